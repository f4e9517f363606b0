"""Studies as units: `completion` says when one is complete, `judging` what that means for what waits; both pure.

`tracker` hears what is being received, and completes studies in the spool, in a thread of its own. Revisions are the
ledger's (`spool.studies`). Nothing here knows a socket.
"""
