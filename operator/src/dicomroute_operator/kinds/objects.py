"""The objects that people wrote, by kind."""

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from dicomroute_operator.api.node import DicomNode
from dicomroute_operator.api.profile import DeidentificationProfile
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.target import CloudTarget

from .listed import KINDS

Key = TypeVar("Key")


@dataclass
class Objects(Generic[Key]):
    """The objects of every kind, each by a key of its reader's choice."""

    objects: dict[str, dict[Key, Any]] = field(default_factory=lambda: {name: {} for name in KINDS})
    """By kind."""

    @property
    def routes(self) -> dict[Key, DicomRoute]:
        """The routes."""
        return self.objects[DicomRoute.kind]

    @property
    def nodes(self) -> dict[Key, DicomNode]:
        """The nodes."""
        return self.objects[DicomNode.kind]

    @property
    def targets(self) -> dict[Key, CloudTarget]:
        """The targets."""
        return self.objects[CloudTarget.kind]

    @property
    def profiles(self) -> dict[Key, DeidentificationProfile]:
        """The profiles."""
        return self.objects[DeidentificationProfile.kind]
