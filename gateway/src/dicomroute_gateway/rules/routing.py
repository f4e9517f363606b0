"""Decides where an instance goes: the rules of a configuration, applied to one data set."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from dicomroute_gateway.configuration.model import DestinationKey, Rule, RuleMatching, Rules, Unmatched

from .attributes import (
    SPECIFIC_CHARACTER_SET,
    TRANSFER_SYNTAX_KEYWORD,
    Attribute,
    Value,
    ValueUnusable,
    value_of,
)
from .expression import EvaluationError, Expression, ExpressionError, compile_expression
from .head import EXPLICIT_VR_BIG_ENDIAN, RawElement

_IDENTIFIERS: Final = (0x00080016, 0x00080018, 0x0020000D, 0x0020000E)


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """What one rule said of an instance; `error` is set when it had no answer."""

    rule: str
    matched: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class Routing:
    """Where an instance goes, and what each rule said."""

    destinations: tuple[DestinationKey, ...]
    outcomes: tuple[RuleOutcome, ...]
    unmatched: Unmatched

    @property
    def error(self) -> str:
        """The first rule that had no answer, and why; "" when all had one."""
        return next((f"rule {o.rule}: {o.error}" for o in self.outcomes if o.error), "")


@dataclass(frozen=True, slots=True)
class CompiledRules:
    """Rules ready to be applied. Immutable and safe to use from several threads."""

    matching: RuleMatching
    unmatched: Unmatched
    rules: tuple[tuple[Rule, Expression | None], ...]
    wanted: frozenset[int] = field(init=False)
    """The tags that `route` needs, and those that identify an instance."""

    def __post_init__(self) -> None:
        tags = {a.tag for _, expression in self.rules if expression for a in expression.attributes}
        object.__setattr__(self, "wanted", frozenset(tags | {SPECIFIC_CHARACTER_SET, *_IDENTIFIERS}))

    def route(
        self, elements: Mapping[int, RawElement], transfer_syntax_uid: str, association: Mapping[str, str]
    ) -> Routing:
        """Return where the instance with these elements goes.

        A rule without an answer names nothing and does not stop the others, unless only the first match
        counts: then nobody can say which rule that is, and the rules behind it are not asked.
        """
        order = ">" if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else "<"
        outcomes: list[RuleOutcome] = []
        destinations: dict[str, DestinationKey] = {}
        for rule, expression in self.rules:
            outcome = _ask(rule, expression, elements, order, transfer_syntax_uid, association)
            outcomes.append(outcome)
            if outcome.matched:
                destinations.update((str(destination), destination) for destination in rule.destinations)
            if self.matching is RuleMatching.FIRST and (outcome.matched or outcome.error):
                break
        return Routing(tuple(destinations.values()), tuple(outcomes), self.unmatched)


def compile_rules(rules: Rules) -> CompiledRules:
    """Return the compiled form of a configuration's rules. Pure.

    Raises ExpressionError, a ValueError, that names the rule.
    """
    compiled = []
    for rule in rules.rules:
        try:
            compiled.append((rule, compile_expression(rule.when) if rule.when else None))
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
