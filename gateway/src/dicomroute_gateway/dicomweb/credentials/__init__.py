"""Credentials: one file a family, each of which makes the headers that authenticate a request.

`authorize` chooses; `tokens` keeps what token endpoints give; `exchange` speaks to them. What is secret lives in files
and in headers, never in a log, an error, a status or a repr.
"""
