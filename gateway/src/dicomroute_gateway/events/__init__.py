"""The feed: what happens, told to whoever asks. Made behind those who receive and deliver, who never wait for it.

What the journal says is read from the journal; what only the process knows is compared with what was told last.
"""
