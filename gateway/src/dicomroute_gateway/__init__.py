"""The gateway: receives instances over DIMSE, keeps them, and delivers them over DICOMweb.

docs/architecture.md is the map of its rooms.
"""

__version__ = "0.1.0"
