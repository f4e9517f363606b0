"""Instances with planted identifiers, and a checker that knows where each of them was."""
