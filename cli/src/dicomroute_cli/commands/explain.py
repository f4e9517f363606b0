"""`dicomroute explain`: says what a route would do with an instance, and why."""

import ssl
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

import typer

from dicomroute_cli.examine import examine, inputs_of
from dicomroute_cli.manifests.mounted import mounted_files
from dicomroute_cli.manifests.world import Key, ManifestWorld, load_world
from dicomroute_cli.output import Failure, Format, print_data, print_error, print_table
from dicomroute_gateway.configuration.load import ConfigurationError, load
from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.dimse.certificate import PeerCertificate, read_certificate
from dicomroute_gateway.explain.explanation import ExplainedCaller, explanation
from dicomroute_gateway.explain.instance import NotAnInstance, open_instance
from dicomroute_gateway.rules.routing import compile_rules
from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.render.gateway_configuration import configuration_text, gateway_configuration

from .options import Manifests, Output


def explain(
    instance: Annotated[Path, typer.Argument(help="A DICOM file.", metavar="INSTANCE.dcm")],
    filename: Manifests,
    route: Annotated[str, typer.Option(help="NAME or NAMESPACE/NAME of the DicomRoute.")],
    calling: Annotated[str, typer.Option(help="Calling AE title of the sender.", metavar="AE")],
    called: Annotated[
        str | None, typer.Option(help="Called AE title. Default: one of the listener's titles.", metavar="AE")
    ] = None,
    address: Annotated[str, typer.Option(help="IP address of the sender.", metavar="IP")] = "127.0.0.1",
    certificate: Annotated[
        Path | None,
        typer.Option(
            help="Certificate of the sender, in PEM, for a listener that verifies certificates.", metavar="FILE"
        ),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Show which listeners would accept the sender, which rules match an instance and why, and its destinations."""
    try:
        caller = ExplainedCaller(calling, called, ip_address(address), _shown(certificate))
    except ValueError as error:
        raise Failure(f"--address {address}: is not an IP address", 2) from error
    world = load_world(filename)
    errors = [one for one in examine(world) if one.is_error]
    for finding in errors:
        print_error(str(finding))
    inputs = inputs_of(world, _route_key(world, route))
    configuration = _configuration(inputs)
    files = {
        f"{folder}/{key}": one for folder, keys in mounted_files(world, inputs).items() for key, one in keys.items()
    }
    try:
        document = explanation(configuration, caller, open_instance(instance), time.time(), files.get)
    except NotAnInstance as error:
        raise Failure(str(error), 2) from error
    if output.is_table:
        _print(document, output)
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
        raise Failure(f"--certificate {file}: the file contains no PEM certificate", 2) from error


def _route_key(world: ManifestWorld, name: str) -> Key:
    namespace, _, plain = name.rpartition("/")
    found = [key for key in world.routes if key[1] == plain and namespace in ("", key[0])]
    if len(found) == 1:
        return found[0]
    known = ", ".join("/".join(key) for key in world.routes) or "none"
    problem = (
        "is in several namespaces: write NAMESPACE/NAME" if found else f"is not in the manifests; there are {known}"
    )
    raise Failure(f"--route {name}: {problem}", 2)


def _configuration(inputs: RouteInputs) -> Configuration:
    text = configuration_text(gateway_configuration(inputs))
    try:
        return load(text, compile_rules).configuration
    except ConfigurationError as error:
        raise Failure(f"the route cannot be explained: {error}", 2) from error


def _print(document: dict[str, Any], output: Format) -> None:
    print_table(
        ["listener", "called", "admits", "why"],
        [[one["name"], one["calledAETitle"], _yes(one["admits"]), one["why"]] for one in document["listeners"]],
        output,
    )
    print()
    rows = []
    for rule in document["rules"]:
        values = ", ".join(f"{keyword}={value!r}" for keyword, value in rule["values"].items())
        why = rule["error"] or (f"{rule['when']}  [{values}]" if rule["when"] else "matches every instance")
        rows.append([rule["name"], "error" if rule["error"] else _yes(rule["matches"]), why])
    print_table(["rule", "matches", "why"], rows, output)
    print()
    print(f"outcome: {document['outcome']}")
    is_admitted = any(one["admits"] for one in document["listeners"])
    for destination in document["destinations"]:
        hold = f", Held as {destination['held']}" if destination["held"] else ""
        print(f"  {'' if is_admitted else 'if one did: '}to {destination['name']}{hold}")
        for wait in destination.get("waitsForStudy", ()):
            asks = f" and {wait['whenComplete']}" if wait["whenComplete"] else ""
            later = f"; later revisions: {wait['onRevision']}"
            print(f"    waits (rule {wait['rule']}) until its study is complete{asks}{later}")
        if why := destination.get("notPrepared"):
            print(f"    not sent, because it cannot be prepared: {why}")
        if profile := destination.get("deidentifiedBy"):
            print(f"    de-identified by profile {profile}; the new UIDs, pseudonyms and dates below are examples:")
        for region in destination.get("masked", ()):
            size, at = f"{region['width']} x {region['height']}", f"column {region['left']}, row {region['top']}"
            print(f"    masked: {size} pixels at {at}")
        for change in destination.get("changes", ()):
            before, after = (_value(change[when]) for when in ("before", "after"))
            print(f"    {change['attribute']}: {before} -> {after}")


def _value(value: str | None) -> str:
    return "(none)" if value is None else repr(value)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
