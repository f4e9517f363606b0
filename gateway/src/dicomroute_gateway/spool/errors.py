"""How a spool says no."""

from dicomroute_gateway.reasons import Reason


class SpoolError(Exception):
    """The spool cannot be used; `reason` names the condition, the message says what to do."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SpoolFull(Exception):
    """There is no room for another instance at present."""


class SpoolLocked(Exception):
    """Instances are to be encrypted and cannot be: nothing is accepted until the keys are mended."""


class SpoolFailed(Exception):
    """The volume did not keep what it was given; nothing is accepted until the gateway is restarted."""


class SpoolUncertain(SpoolFailed):
    """Nobody knows whether an instance is safe: it is not acknowledged, and its bytes stay for a restart to find."""
