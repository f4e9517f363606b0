"""Storage commitment (PS3.4 annex J): who asks for it, what is promised on which grounds, and who is told.

`decide` is pure. No socket is known here: requests come through the services of a listener, reports go by `node`.
"""
