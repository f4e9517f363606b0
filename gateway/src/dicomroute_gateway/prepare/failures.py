"""What keeps an instance from being written in another form."""


class TranscodingFailed(Exception):
    """The bytes are not a data set in the transfer syntax that they came in, or have no other form."""


class DecoderDied(TranscodingFailed):
    """A decoder ended, or took too long, for whatever reason: the pixels may be the cause, and may not."""
