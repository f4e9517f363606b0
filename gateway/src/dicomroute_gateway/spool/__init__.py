"""The spool: the instances that a gateway has accepted and still owes, on stable storage.

`files` holds every file operation, `part10` the file format, `sealed` that of encrypted files and `keys` their keys,
`content` reads either; `records` and `journal` are what is written down, `ledger` what that means (pure), `books` keeps
ledger and journal together; `spool` is the door, `upkeep` works behind it, `history` stays when the bytes are gone.
Nothing here knows of DIMSE, rules or HTTP.
What is on disk after each step, and why a crash there loses nothing: docs/durability.md.
"""
