"""Gather: collects what a route needs of the world into frozen inputs, before anything is checked or rendered."""
