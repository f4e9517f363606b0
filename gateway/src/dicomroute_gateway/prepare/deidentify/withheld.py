"""What is raised for an instance that is not de-identified, and so stays in quarantine."""

from dicomroute_gateway.reasons import Reason


class Withheld(Exception):
    """An instance is not passed; the message has no value of it."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
