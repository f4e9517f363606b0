"""The cluster: the only place that speaks to the API server, but for kopf at the edge. Knows objects, not routes."""
