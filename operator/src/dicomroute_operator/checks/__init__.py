"""Checks: pure functions from inputs to findings, in ordered chains, one per condition type.

The first finding of a chain becomes the condition; all of them are what `dicomroute validate` prints.
"""
