"""An instance's way in, whatever brings it: `reception` decides, keeps and says what became of it.

What brings it is beside: `storage_scp` (DIMSE). Each has a table from `Answer` to the words of its protocol, the only
place that chooses a status. `reroute` gives held instances what today's rules say. Nothing here knows a socket.
"""
