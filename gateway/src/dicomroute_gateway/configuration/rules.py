"""How instances find their destinations."""

from enum import StrEnum
from functools import cached_property

from pydantic import Field

from dicomroute_gateway.destination import Destination

from .destinations import DeliveryMode, DestinationKey
from .recipe import Recipe, Step
from .section import Section
from .study import OnRevision, Trigger, Wait


class RuleMatching(StrEnum):
    """Whether every rule that matches counts, or the first alone."""

    ALL = "All"
    FIRST = "First"


class Rule(Section):
    """A condition in CEL and the destinations of what it takes; without a condition it takes everything."""

    name: str
    mode: DeliveryMode = DeliveryMode.RUNNING
    """A rule that holds its deliveries matches like any other."""
    when: str = ""
    destinations: list[DestinationKey] = Field(min_length=1)
    steps: tuple[Step, ...] = ()
    """How what it takes is prepared for these destinations; without a step it is sent as it came."""
    trigger: Trigger = Trigger.INSTANCE_RECEIVED
    when_complete: str = ""
    """A condition in CEL over `study.*`, asked once when the study is complete; "": none."""
    on_revision: OnRevision = OnRevision.SEND_NEW

    @property
    def names(self) -> tuple[Destination, ...]:
        """The destinations that it names."""
        return tuple(one.destination for one in self.destinations)

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe of these steps."""
        return Recipe(self.steps)

    @cached_property
    def wait(self) -> Wait | None:
        """What deliveries that it names wait for; None where they are made at once."""
        if self.trigger is Trigger.INSTANCE_RECEIVED:
            return None
        return Wait(rule=self.name, when_complete=self.when_complete, on_revision=self.on_revision)


class Unmatched(StrEnum):
    """What becomes of an instance that no rule takes."""

    HOLD = "Hold"
    DISCARD = "Discard"
    REFUSE = "Refuse"


class Rules(Section):
    """How instances find their destinations."""

    matching: RuleMatching
    unmatched: Unmatched
    rules: list[Rule]

    @cached_property
    def held(self) -> frozenset[Destination]:
        """The destinations that only rules name which hold their deliveries."""
        return self._named(DeliveryMode.HOLD_DELIVERIES) - self._named(DeliveryMode.RUNNING)

    @cached_property
    def partly_held(self) -> frozenset[Destination]:
        """The destinations that rules name which hold their deliveries, and others: each instance decides."""
        return self._named(DeliveryMode.HOLD_DELIVERIES) & self._named(DeliveryMode.RUNNING)

    def _named(self, mode: DeliveryMode) -> frozenset[Destination]:
        return frozenset(name for rule in self.rules if rule.mode is mode for name in rule.names)
