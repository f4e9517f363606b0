"""Render: pure functions from inputs to the objects that a route needs and to its gateway's configuration."""
