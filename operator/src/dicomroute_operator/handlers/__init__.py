"""The edge: kopf hears of our kinds, informers of their children; both say which key is to be reconciled."""
