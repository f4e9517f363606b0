"""Deliveries to DicomNodes: C-STORE, and what its statuses mean."""
