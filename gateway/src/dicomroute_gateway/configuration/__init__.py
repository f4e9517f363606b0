"""The gateway configuration: its model (schema version 1), its JSON Schema, and how it is loaded.

Nothing here opens a socket, reads a spool or compiles a rule.
"""
