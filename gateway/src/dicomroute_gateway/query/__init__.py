"""The way back: queries and retrievals by DIMSE, answered from archives and from what the spool still holds.

No socket lives here: a service gets its messages from `dimse`, an archive asks by `dicomweb` or `catalogue`.
"""
