"""HTTP to DICOMweb servers: connections, credentials, patience, resources, and what a failure is called.

It asks any endpoint, whatever for. It knows no delivery and no verdict.
"""
