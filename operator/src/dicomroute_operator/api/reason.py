"""What every list of reasons is: words with their meaning."""

from enum import Enum
from typing import Self


class Reason(Enum):
    """The reasons of one condition type. The class's doc string says what the condition is about."""

    meaning: str

    def __new__(cls, word: str, meaning: str) -> Self:
        """Make a reason of its word and its meaning."""
        member = object.__new__(cls)
        member._value_ = word
        member.meaning = meaning
        return member

    @property
    def condition_type(self) -> str:
        """The type of the condition that carries this reason."""
        return self.declared_type()

    @classmethod
    def declared_type(cls) -> str:
        """Return the type of the condition that carries these reasons."""
        return cls.__name__

    def __str__(self) -> str:
        return str(self.value)
