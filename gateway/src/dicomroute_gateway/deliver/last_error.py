"""What a person is shown of the last fault of a destination."""

from dataclasses import dataclass

from dicomroute_gateway.reasons import Reason


@dataclass(frozen=True, slots=True)
class LastError:
    """The last fault of a destination, as a person is shown it; `time` is in seconds since 1970."""

    reason: Reason
    status: int | None
    time: float
    message: str = ""
