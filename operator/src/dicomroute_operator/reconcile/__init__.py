"""Reconcile: from a key to the cluster as it should be. Level-triggered: the same function whatever has happened."""
