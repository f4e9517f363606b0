"""What keeps an instance from being written in another form."""

from dicomroute_gateway.reasons import Reason


class TranscodingFailed(Exception):
    """The bytes are not a data set in the transfer syntax that they came in, or have no other form."""


class DecoderDied(TranscodingFailed):
    """A decoder ended, or took too long, for whatever reason: the pixels may be the cause, and may not."""


class TreatmentFailed(Exception):
    """An instance cannot be treated as its recipe says, for what is in it; `reason` is what a person is shown.

    The message has no value of the instance: values are patient data.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
