"""Why an instance is not de-identified: what keeps it in quarantine."""

from enum import StrEnum


class Reason(StrEnum):
    """Why, in one word. Each has its meaning."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> "Reason":
        """Make a member with its meaning."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    CANNOT_BE_READ = "CannotBeRead", "The bytes are not a data set in their transfer syntax; nothing of it is passed."
    MAY_SHOW_NAMES = "MayShowNames", "Its pixels may show a name, and no object rule says what becomes of them."
    MAY_CONTAIN_NAMES = "MayContainNames", "It has a document, text or audio, and no object rule lets it pass."
    QUARANTINED_BY_RULE = "QuarantinedByRule", "An object rule of the profile withholds it."
    CANNOT_BE_MASKED = "CannotBeMasked", "Its pixels are to be masked, and are in a form that cannot be."
    IDENTIFIER_LEFT = "IdentifierLeft", "What was made still has one of the patient's identifiers."
    ON_HOLD = "OnHold", "The profile is on hold."


class Withheld(Exception):
    """An instance is not passed; the message has no value of it."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
