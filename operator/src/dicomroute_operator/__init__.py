"""The operator: turns DicomRoute, DicomNode and CloudTarget manifests into gateways.

Rooms, low to high: `api` (the resources), `checks` and `render` (pure), `gather` (what a route needs of the world).
"""

__version__ = "0.1.0"
