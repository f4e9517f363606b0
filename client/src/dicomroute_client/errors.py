"""What goes wrong between a gateway and whoever asks it. Each says in a sentence what happened."""


class AdminError(Exception):
    """A gateway could not be asked, or refused what it was asked."""


class Unreachable(AdminError):
    """No connection, or no answer in time."""


class Unknown(AdminError):
    """What answers has another certificate than the gateway that is meant, or does not know the token."""


class Unreadable(AdminError):
    """The answer is not the document that was asked for."""


class Refused(AdminError):
    """The gateway answered that it does not do that; the sentence is its own. `status` is that of HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class TooOld(Refused):
    """What is behind a cursor is no longer kept, or is of another feed: status and ledger say how things stand.

    Read on from the first event that is kept (no cursor), or from now on (`latest`).
    """
