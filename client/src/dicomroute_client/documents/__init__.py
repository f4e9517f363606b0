"""The documents of the admin API: what `/api/v1/...` answers and takes. Pure models; nothing here knows a connection.

The gateway writes them, everybody else reads them. A field that a release adds has a default, so that later readers
understand what earlier gateways answer.
"""
