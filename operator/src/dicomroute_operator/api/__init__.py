"""The resources `dicomroute.dev/v1alpha1`: typed models, the CRDs made from them, and the reasons of conditions.

Nothing here reads a file, a clock or a cluster.
"""
