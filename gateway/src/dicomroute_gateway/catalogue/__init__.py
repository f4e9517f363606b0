"""What the spool holds, ready to be asked: an index that may be lost, beside the ledger, which may not.

It holds names of patients: never log what is in it.
"""
