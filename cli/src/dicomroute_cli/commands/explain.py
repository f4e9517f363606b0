"""`dicomroute explain`: says what a route would do with an instance, and why."""

import ssl
import time
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Any

import typer

from dicomroute_cli.examine import examine, inputs_of
from dicomroute_cli.manifests.world import Key, World, load_world
from dicomroute_cli.output import Failure, Format, print_data, print_error, print_table
from dicomroute_cli.part10 import InstanceFile, open_instance
from dicomroute_cli.treatment import differences
from dicomroute_gateway.configuration.load import ConfigurationError, load
from dicomroute_gateway.configuration.model import ClientCertificates, Configuration, Listener
from dicomroute_gateway.configuration.recipe import Recipe
from dicomroute_gateway.deliver.holding import held
from dicomroute_gateway.dimse.admission import Caller as AllowedCaller
from dicomroute_gateway.dimse.admission import caller_refusal, may_connect
from dicomroute_gateway.dimse.certificate import PeerCertificate, read_certificate
from dicomroute_gateway.prepare.transform import Came
from dicomroute_gateway.rules.attributes import ValueUnusable
from dicomroute_gateway.rules.decide import decide, hold_reason
from dicomroute_gateway.rules.expression import compile_expression
from dicomroute_gateway.rules.head import EXPLICIT_VR_BIG_ENDIAN, HeadError, RawElement
from dicomroute_gateway.rules.routing import Routing, attribute_values, compile_rules
from dicomroute_gateway.spool.records import Sender
from dicomroute_operator.render.gateway_configuration import configuration_text, gateway_configuration

from .options import Manifests, Output


@dataclass(frozen=True)
class Caller:
    """Who would send the instance."""

    calling: str
    called: str | None
    address: IPv4Address | IPv6Address
    certificate: PeerCertificate | None = None


def explain(
    instance: Annotated[Path, typer.Argument(help="A DICOM file.", metavar="INSTANCE.dcm")],
    filename: Manifests,
    route: Annotated[str, typer.Option(help="NAME or NAMESPACE/NAME of the DicomRoute.")],
    calling: Annotated[str, typer.Option(help="AE title that the sender calls with.", metavar="AE")],
    called: Annotated[
        str | None, typer.Option(help="AE title that it calls. Default: one that is served.", metavar="AE")
    ] = None,
    address: Annotated[str, typer.Option(help="Address that it calls from.", metavar="IP")] = "127.0.0.1",
    certificate: Annotated[
        Path | None,
        typer.Option(help="Certificate that it shows, in PEM, where a listener verifies one.", metavar="FILE"),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Say which listeners would admit the sender, which rules match an instance and why, and where it would go."""
    try:
        caller = Caller(calling, called, ip_address(address), _shown(certificate))
    except ValueError as error:
        raise Failure(f"--address {address}: is not an IP address", 2) from error
    world = load_world(filename)
    errors = [one for one in examine(world) if one.is_error]
    for finding in errors:
        print_error(str(finding))
    configuration = _configuration(world, _route_key(world, route))
    document = _explanation(configuration, caller, open_instance(instance))
    if output is Format.TABLE:
        _print(document)
    else:
        print_data(document, output)


def _shown(file: Path | None) -> PeerCertificate | None:
    """Return what the first certificate of a file in PEM says. Raises Failure."""
    if file is None:
        return None
    try:
        begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
        text = file.read_text()
        return read_certificate(ssl.PEM_cert_to_DER_cert(text[text.index(begin) : text.index(end)] + end))
    except (OSError, ValueError) as error:
        raise Failure(f"--certificate {file}: there is no certificate in PEM in it", 2) from error


def _route_key(world: World, name: str) -> Key:
    namespace, _, plain = name.rpartition("/")
    found = [key for key in world.routes if key[1] == plain and namespace in ("", key[0])]
    if len(found) == 1:
        return found[0]
    known = ", ".join("/".join(key) for key in world.routes) or "none"
    problem = (
        "is in several namespaces: write NAMESPACE/NAME" if found else f"is not in the manifests; there are {known}"
    )
    raise Failure(f"--route {name}: {problem}", 2)


def _configuration(world: World, key: Key) -> Configuration:
    text = configuration_text(gateway_configuration(inputs_of(world, key)))
    try:
        return load(text, compile_rules).configuration
    except ConfigurationError as error:
        raise Failure(f"the route cannot be explained: {error}", 2) from error


def _explanation(configuration: Configuration, caller: Caller, instance: InstanceFile) -> dict[str, Any]:
    listeners = [_admission(configuration, listener, caller) for listener in configuration.listeners]
    listener = next((one for one in listeners if one["admits"]), listeners[0])
    sender = Sender("", listener["name"], caller.calling, listener["calledAETitle"], str(caller.address))
    rules = compile_rules(configuration.rules)
    try:
        decision = decide(instance.read, instance.transfer_syntax_uid, sender.facts, rules)
    except HeadError as error:
        raise Failure(f"{instance.path} is not a data set that can be read: {error}") from error
    elements, routing = decision.elements, decision.routing
    return {
        "listeners": listeners,
        "rules": [_rule(configuration, routing, index, elements, instance) for index in range(len(routing.outcomes))],
        "destinations": [
            {
                "name": str(destination),
                "held": held(str(destination), configuration, time.time()),
                **_prepared(routing.recipes.get(str(destination)), instance, Came(sender.facts, time.time())),
            }
            for destination in routing.destinations
        ],
        "outcome": _outcome(routing) if any(one["admits"] for one in listeners) else "refused: no listener admits it",
    }


def _prepared(recipe: Recipe | None, instance: InstanceFile, came: Came) -> dict[str, Any]:
    """Return what a recipe makes of an instance; nothing where it is sent as it came."""
    if recipe is None:
        return {}
    found = differences(instance, recipe, came)
    return {"notPrepared": found} if isinstance(found, str) else {"changes": found}


def _admission(configuration: Configuration, listener: Listener, caller: Caller) -> dict[str, Any]:
    called = caller.called or listener.ae_titles[0]
    if not may_connect(caller.address, listener):
        why = f"the connection is closed without an answer: nobody may call from {caller.address}"
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


def _outcome(routing: Routing) -> str:
    reason = hold_reason(routing)
    if reason and routing.problem:
        return f"held as {reason}: {routing.problem}"
    return f"no rule takes it: {routing.unmatched}" if reason else "accepted"


def _print(document: dict[str, Any]) -> None:
    print_table(
        ["listener", "called", "admits", "why"],
        [[one["name"], one["calledAETitle"], _yes(one["admits"]), one["why"]] for one in document["listeners"]],
    )
    print()
    rows = []
    for rule in document["rules"]:
        values = ", ".join(f"{keyword}={value!r}" for keyword, value in rule["values"].items())
        why = rule["error"] or (f"{rule['when']}  [{values}]" if rule["when"] else "takes every instance")
        rows.append([rule["name"], "error" if rule["error"] else _yes(rule["matches"]), why])
    print_table(["rule", "matches", "why"], rows)
    print()
    print(f"outcome: {document['outcome']}")
    is_admitted = any(one["admits"] for one in document["listeners"])
    for destination in document["destinations"]:
        hold = f", Held as {destination['held']}" if destination["held"] else ""
        print(f"  {'' if is_admitted else 'if one did: '}to {destination['name']}{hold}")
        if why := destination.get("notPrepared"):
            print(f"    not sent, as it cannot be prepared: {why}")
        for change in destination.get("changes", ()):
            before, after = (_value(change[when]) for when in ("before", "after"))
            print(f"    {change['attribute']}: {before} -> {after}")


def _value(value: str | None) -> str:
    return "(none)" if value is None else repr(value)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
