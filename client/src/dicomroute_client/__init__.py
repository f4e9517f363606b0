"""The admin API of a gateway: its documents, the calls that it answers, and clients of it.

Whoever speaks to a gateway imports this package; it imports nothing of theirs.
"""
