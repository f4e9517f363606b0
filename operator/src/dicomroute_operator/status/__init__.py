"""Status: pure functions from what was observed to conditions and numbers. The time is an argument."""
