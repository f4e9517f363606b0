"""What a configuration would do with an instance of a caller: who admits it, which rules match, where it goes."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from dicomroute_gateway.configuration.holds import NO_STUDY, RULE_HELD
from dicomroute_gateway.configuration.listener import ClientCertificates, Listener
from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.configuration.recipe import Recipe
from dicomroute_gateway.configuration.study import WaitPlan
from dicomroute_gateway.deliver.holding import held
from dicomroute_gateway.dimse.admission import Caller as AllowedCaller
from dicomroute_gateway.dimse.admission import caller_refusal, may_connect
from dicomroute_gateway.dimse.certificate import PeerCertificate
from dicomroute_gateway.prepare.transform import Came
from dicomroute_gateway.rules.attributes import ValueUnusable
from dicomroute_gateway.rules.decide import Decision, decide
from dicomroute_gateway.rules.expression import compile_expression
from dicomroute_gateway.rules.head import EXPLICIT_VR_BIG_ENDIAN, HeadError, RawElement
from dicomroute_gateway.rules.routing import Routing, attribute_values, compile_rules
from dicomroute_gateway.spool.records import Sender

from .instance import InstanceFile, NotAnInstance
from .treatment import Words, differences


@dataclass(frozen=True)
class ExplainedCaller:
    """Who would send the instance."""

    calling: str
    called: str | None
    address: IPv4Address | IPv6Address
    certificate: PeerCertificate | None = None


def explanation(
    configuration: Configuration, caller: ExplainedCaller, instance: InstanceFile, now: float, words: Words
) -> dict[str, Any]:
    """Return what a configuration would do with an instance: the document of `dicomroute explain`.

    `now` is in seconds since 1970; `words` returns mounted ConfigMaps. Raises NotAnInstance.
    """
    listeners = [_admission(configuration, listener, caller) for listener in configuration.listeners]
    listener = next((one for one in listeners if one["admits"]), listeners[0])
    sender = Sender("", listener["name"], caller.calling, listener["calledAETitle"], str(caller.address))
    rules = compile_rules(configuration.rules)
    try:
        decision = decide(instance.read, instance.transfer_syntax_uid, sender.facts, rules)
    except HeadError as error:
        raise NotAnInstance(f"{instance.path} is not a readable data set: {error}") from error
    elements, routing = decision.elements, decision.routing
    return {
        "listeners": listeners,
        "rules": [_rule(configuration, routing, index, elements, instance) for index in range(len(routing.outcomes))],
        "destinations": [
            {
                "name": destination,
                "held": held(destination, configuration, now) or (RULE_HELD if destination in routing.held else ""),
                **_waits(routing.waits.get(destination)),
                **_prepared(routing.recipes.get(destination), instance, Came(sender.facts, now), words),
            }
            for destination in routing.destinations
        ],
        "outcome": _outcome(decision) if any(one["admits"] for one in listeners) else "refused: no listener accepts it",
    }


def _waits(plan: WaitPlan | None) -> dict[str, Any]:
    """Return what a delivery would wait for; nothing where it is made at once."""
    if plan is None:
        return {}
    return {
        "waitsForStudy": [
            {"rule": one.rule, "whenComplete": one.when_complete, "onRevision": str(one.on_revision)}
            for one in plan.waits
        ]
    }


def _prepared(recipe: Recipe | None, instance: InstanceFile, came: Came, words: Words) -> dict[str, Any]:
    """Return what a recipe makes of an instance; nothing where it is sent as it came."""
    if recipe is None:
        return {}
    found = differences(instance, recipe, came, words)
    if isinstance(found, str):
        return {"notPrepared": found}
    deidentified = {"deidentifiedBy": found.profile, "masked": found.masked} if found.profile else {}
    return {"changes": found.changes, **deidentified}


def _admission(configuration: Configuration, listener: Listener, caller: ExplainedCaller) -> dict[str, Any]:
    called = caller.called or listener.ae_titles[0]
    if not may_connect(caller.address, listener):
        why = f"the connection is closed without an answer: no caller is allowed from {caller.address}"
        return {"name": listener.name, "calledAETitle": called, "admits": False, "why": why}
    verifies = listener.tls is not None and listener.tls.client_certificates is not ClientCertificates.IGNORED
    who = AllowedCaller(caller.calling, caller.address, caller.certificate if verifies else None)
    refusal = caller_refusal(who, called, listener, configuration.mode)
    answer = refusal.answer if refusal else None
    return {
        "name": listener.name,
        "calledAETitle": called,
        "admits": refusal is None,
        "why": f"A-ASSOCIATE-RJ {answer[0]}/{answer[1]}/{answer[2]}: {refusal.label}" if refusal and answer else "",
    }


def _rule(
    configuration: Configuration, routing: Routing, index: int, elements: dict[int, RawElement], instance: InstanceFile
) -> dict[str, Any]:
    outcome, rule = routing.outcomes[index], configuration.rules.rules[index]
    return {
        "name": outcome.rule,
        "matches": outcome.matched,
        "when": rule.when,
        "values": _values(rule.when, elements, instance),
        "error": outcome.error,
    }


def _values(when: str, elements: dict[int, RawElement], instance: InstanceFile) -> dict[str, Any]:
    order = ">" if instance.transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else "<"
    values: dict[str, Any] = {}
    for attribute in compile_expression(when).attributes if when else ():
        try:
            values.update(attribute_values((attribute,), elements, order, instance.transfer_syntax_uid))
        except ValueUnusable as error:
            values[attribute.keyword] = f"unusable: {error}"
    return values


def _outcome(decision: Decision) -> str:
    routing = decision.routing
    if decision.hold == NO_STUDY:
        return f"held as {NO_STUDY}: a rule waits for its study, and it has no valid Study Instance UID (0020,000D)"
    reason = decision.hold
    if reason and routing.problem:
        return f"held as {reason}: {routing.problem}"
    return f"no rule matches: {routing.unmatched}" if reason else "accepted"
