"""Decides where an instance goes: the rules of a configuration, applied to one data set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Final

from dicomroute_gateway.configuration.destinations import DeliveryMode
from dicomroute_gateway.configuration.recipe import Recipe
from dicomroute_gateway.configuration.rules import Rule, RuleMatching, Rules, Unmatched
from dicomroute_gateway.configuration.study import Wait, WaitPlan
from dicomroute_gateway.destination import Destination

from .attributes import SPECIFIC_CHARACTER_SET, TRANSFER_SYNTAX_KEYWORD, Attribute, Value, ValueUnusable, value_of
from .changes import check_step
from .expression import EvaluationError, Expression, ExpressionError, compile_expression
from .head import EXPLICIT_VR_BIG_ENDIAN, RawElement
from .study import compile_condition

_IDENTIFIERS: Final = (0x00080016, 0x00080018, 0x00080060, 0x0020000D, 0x0020000E)
_ROUTINGS_KEPT: Final = 256
_MOST_KEPT_BYTES: Final = 4096
"""What a peer sends is not kept when its values are longer."""

_Elements = tuple[RawElement | None, ...]
_Association = tuple[tuple[str, str], ...]
_Apply = Callable[[_Elements, str, _Association], "Routing"]


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """What one rule said of an instance; `error` is set when it had no answer."""

    rule: str
    matched: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class Routing:
    """Where an instance goes, and what each rule said."""

    destinations: tuple[Destination, ...]
    outcomes: tuple[RuleOutcome, ...]
    unmatched: Unmatched
    recipes: Mapping[Destination, Recipe] = field(default_factory=dict)
    """How it is prepared, for each destination that is not to get it as it came."""
    waits: Mapping[Destination, WaitPlan] = field(default_factory=dict)
    """What its delivery waits for, for each destination that rules name for complete studies alone."""
    conflicts: tuple[Destination, ...] = ()
    """Destinations that rules name for it with different recipes: nobody can say which of them is meant."""

    held: frozenset[Destination] = frozenset()
    """Destinations that only rules name for it which hold their deliveries."""

    @property
    def error(self) -> str:
        """The first rule that had no answer, and why; "" when all had one."""
        return next((f"rule {o.rule}: {o.error}" for o in self.outcomes if o.error), "")

    @property
    def problem(self) -> str:
        """What a person has to correct in the rules before they can say where this instance goes; "" for nothing."""
        conflict = f"rules name {self.conflicts[0]} with different treatments" if self.conflicts else ""
        return self.error or conflict


@dataclass(frozen=True, slots=True)
class CompiledRules:
    """Rules ready to be applied. Safe to use from several threads.

    The last routings are kept: the instances of a series mostly have equal values where rules ask for them
    (docs/adr/0001-cel.md).
    """

    matching: RuleMatching
    unmatched: Unmatched
    rules: tuple[tuple[Rule, Expression | None], ...]
    wanted: frozenset[int] = field(init=False)
    """The tags that `route` needs, and those that say what an instance is and belongs to."""
    _asked: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _apply: _Apply = field(init=False, repr=False, compare=False)
    _apply_or_recall: _Apply = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tags = {a.tag for _, expression in self.rules if expression for a in expression.attributes}
        asked = tuple(sorted(tags | {SPECIFIC_CHARACTER_SET}))
        apply = partial(_apply_rules, self.matching, self.unmatched, self.rules, asked)
        object.__setattr__(self, "wanted", frozenset({*asked, *_IDENTIFIERS}))
        object.__setattr__(self, "_asked", asked)
        object.__setattr__(self, "_apply", apply)
        object.__setattr__(self, "_apply_or_recall", lru_cache(_ROUTINGS_KEPT)(apply))

    def route(
        self, elements: Mapping[int, RawElement], transfer_syntax_uid: str, association: Mapping[str, str]
    ) -> Routing:
        """Return where the instance with these elements goes.

        A rule without an answer names nothing and does not stop the others, unless only the first match
        counts: then nobody can say which rule that is, and the rules behind it are not asked.
        """
        asked = tuple(map(elements.get, self._asked))
        facts = tuple(association.items())
        is_long = sum(len(one.value) for one in asked if one is not None) > _MOST_KEPT_BYTES
        return (self._apply if is_long else self._apply_or_recall)(asked, transfer_syntax_uid, facts)


def compile_rules(rules: Rules) -> CompiledRules:
    """Return the compiled form of a configuration's rules. Pure.

    Raises ExpressionError, a ValueError, that names the rule.
    """
    compiled = []
    for rule in rules.rules:
        try:
            compiled.append((rule, compile_expression(rule.when) if rule.when else None))
            for step in rule.steps:
                check_step(step)
            if rule.when_complete:
                compile_condition(rule.when_complete)
        except ExpressionError as error:
            raise ExpressionError(f"rule {rule.name}: {error}") from error
    return CompiledRules(rules.matching, rules.unmatched, tuple(compiled))


def attribute_values(
    attributes: tuple[Attribute, ...],
    elements: Mapping[int, RawElement],
    order: str,
    transfer_syntax_uid: str,
) -> dict[str, Value]:
    """Return the values that an expression asks for, by keyword.

    TransferSyntaxUID belongs to the file meta information (PS3.10 7.1); its value is the negotiated syntax.
    """
    return {
        a.keyword: transfer_syntax_uid if a.keyword == TRANSFER_SYNTAX_KEYWORD else value_of(a, elements, order)
        for a in attributes
    }


def _apply_rules(
    matching: RuleMatching,
    unmatched: Unmatched,
    rules: tuple[tuple[Rule, Expression | None], ...],
    tags: tuple[int, ...],
    asked: _Elements,
    transfer_syntax_uid: str,
    facts: _Association,
) -> Routing:
    """Apply rules to the elements with these tags, None where there is none."""
    elements = {tag: element for tag, element in zip(tags, asked, strict=True) if element is not None}
    association = dict(facts)
    order = ">" if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else "<"
    outcomes: list[RuleOutcome] = []
    recipes: dict[Destination, dict[str, Recipe]] = {}
    waits: dict[Destination, list[Wait | None]] = {}
    doubtful: dict[Destination, set[str]] = {}
    modes: dict[Destination, set[DeliveryMode]] = {}
    for rule, expression in rules:
        outcome = _ask(rule, expression, elements, order, transfer_syntax_uid, association)
        outcomes.append(outcome)
        if outcome.error:
            for destination in rule.names:
                doubtful.setdefault(destination, set()).add(rule.recipe.id)
        if outcome.matched:
            for destination in rule.names:
                recipes.setdefault(destination, {})[rule.recipe.id] = rule.recipe
                waits.setdefault(destination, []).append(rule.wait)
                modes.setdefault(destination, set()).add(rule.mode)
        if matching is RuleMatching.FIRST and (outcome.matched or outcome.error):
            break
    # What a rule without an answer would have treated in another way may be what it is for.
    sure = {
        one: next(iter(found.values()))
        for one, found in recipes.items()
        if len(found.keys() | doubtful.get(one, set())) == 1
    }
    return Routing(
        tuple(sure),
        tuple(outcomes),
        unmatched,
        {one: recipe for one, recipe in sure.items() if recipe.steps},
        # What one rule sends at once waits for no other.
        {one: WaitPlan(tuple(found)) for one in sure if (found := list(filter(None, waits[one]))) == waits[one]},
        tuple(one for one in recipes if one not in sure),
        frozenset(one for one, found in modes.items() if found == {DeliveryMode.HOLD_DELIVERIES}),
    )


def _ask(
    rule: Rule,
    expression: Expression | None,
    elements: Mapping[int, RawElement],
    order: str,
    transfer_syntax_uid: str,
    association: Mapping[str, str],
) -> RuleOutcome:
    if expression is None:
        return RuleOutcome(rule.name, matched=True)
    try:
        values = attribute_values(expression.attributes, elements, order, transfer_syntax_uid)
        return RuleOutcome(rule.name, expression.evaluate(values, association))
    except (ValueUnusable, EvaluationError) as error:
        return RuleOutcome(rule.name, matched=False, error=str(error))
