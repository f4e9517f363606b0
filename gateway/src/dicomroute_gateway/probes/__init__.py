"""Probes: whether a destination can be reached, knows us and speaks its protocol, asked before anything is owed.

`steps` and `findings` are pure; `wire` and `probe` ask targets, `echo` asks nodes; `prober` says when. What a target
answers is never kept.
"""
