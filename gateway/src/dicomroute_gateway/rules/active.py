"""What is in force: a configuration and its compiled rules, always a pair that belongs together. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from dicomroute_gateway.configuration.model import AcknowledgeWhen, Configuration
from dicomroute_gateway.destination import Destination

from .routing import CompiledRules


@dataclass(frozen=True)
class Active:
    """The configuration in force and its compiled rules: always a pair that belongs together."""

    configuration: Configuration
    rules: CompiledRules

    @cached_property
    def quotas(self) -> Mapping[Destination, int]:
        """How many bytes optional destinations may be owed, where that is bounded."""
        return {
            one.key: one.max_owed_bytes
            for one in self.configuration.destinations
            if not one.required and one.max_owed_bytes is not None
        }

    @cached_property
    def recipes_for(self) -> Mapping[Destination, frozenset[str]]:
        """The ids of the recipes, "" for none, of the rules that name a treated destination."""
        found: dict[Destination, set[str]] = {}
        for rule in self.configuration.rules.rules:
            for one in rule.names:
                found.setdefault(one, set()).add(rule.recipe.id)
        return {name: frozenset(ids) for name, ids in found.items() if ids != {""}}

    @cached_property
    def optional(self) -> frozenset[Destination]:
        """The destinations that are not required."""
        return frozenset(one.key for one in self.configuration.destinations if not one.required)

    def waited_for(self, destinations: Iterable[Destination]) -> frozenset[Destination] | None:
        """Return which of `destinations` have to have an instance before its sender is answered; None: nobody waits."""
        acknowledge = self.configuration.acknowledge
        if acknowledge.when is AcknowledgeWhen.ON_SPOOLED:
            return None
        named = frozenset(one.destination for one in acknowledge.destinations)
        return frozenset(destinations) & named if named else frozenset(destinations) - self.optional
