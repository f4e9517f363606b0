"""Rules: from the head of a data set and the facts of its association to the destinations it is owed to.

Pure but for `head`, which reads through a function that it is given. Nothing here knows of sockets, spools
or HTTP. `decide` is what others ask.
"""
