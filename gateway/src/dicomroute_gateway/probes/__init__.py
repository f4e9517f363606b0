"""Probes: whether a target can be reached, knows the credential and speaks DICOMweb, asked before anything is owed.

`steps` and `findings` are pure; `wire` and `probe` ask; `prober` says when. What a target answers is never kept.
"""
