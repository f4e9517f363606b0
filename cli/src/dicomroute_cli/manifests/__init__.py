"""Manifests: from files to typed objects, refused with the sentences that the API server would use."""
