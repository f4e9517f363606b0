"""Admin: health, metrics, status and the API by which people look into the queue and decide on it."""
