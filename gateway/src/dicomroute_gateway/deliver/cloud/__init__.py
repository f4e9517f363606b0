"""Deliveries to CloudTargets: STOW-RS, what its replies mean, and what becomes of duplicates."""
