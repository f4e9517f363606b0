"""Loads a configuration by sections, so that a mistake in one keeps the last good of that section alone."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from dicomroute_gateway.destination import destination_named
from dicomroute_gateway.reasons import Reason

from .destinations import Accepts, AnyDestination, DestinationKey
from .listener import Listener
from .model import SCHEMA_VERSION, Configuration
from .queries import QueryRetrieve
from .rules import Rules
from .treatments import not_in_force


class ConfigurationError(Exception):
    """The configuration cannot be used at all; the message says why and what to do."""


@dataclass(frozen=True)
class SectionFinding:
    """A section that was not taken over, and why; its last good content goes on."""

    section: str
    reason: Reason
    message: str


@dataclass(frozen=True)
class Loaded:
    """A usable configuration, the hash of the text it came from, and what of that text was not usable."""

    configuration: Configuration
    hash: str
    findings: tuple[SectionFinding, ...] = ()


def configuration_hash(text: str) -> str:
    """Return the identity of a configuration text, which status reports so that the operator can compare."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def configuration_schema() -> dict[str, Any]:
    """Return the JSON Schema of the configuration, as it is published with the gateway."""
    return Configuration.model_json_schema(by_alias=True)


def load(text: str, check_rules: Callable[[Rules], object], last_good: Configuration | None = None) -> Loaded:
    """Return the configuration in `text`, with sections of `last_good` in the place of unusable ones.

    `check_rules` raises ValueError with a sentence for rules that do not compile.

    Raises ConfigurationError when there is nothing to fall back on.
    """
    newest, document = _parse(text), _parse(text)
    findings: list[SectionFinding] = []
    sections: list[tuple[str, TypeAdapter[Any], Reason]] = [
        ("listeners", TypeAdapter(list[Listener]), Reason.LISTENERS_INVALID),
        ("rules", TypeAdapter(Rules), Reason.RULE_INVALID),
    ]
    for section, adapter, reason in sections:
        try:
            value = adapter.validate_python(document.get(section))
            if isinstance(value, Rules):
                check_rules(value)
        except ValueError as error:
            message = _sentence(section, error)
            if last_good is None:
                raise ConfigurationError(message) from error
            findings.append(SectionFinding(section, reason, message))
            document[section] = last_good.model_dump(by_alias=True, mode="json")[section]
    document["destinations"] = _destinations(document.get("destinations", []), last_good, findings)
    _query_retrieve(document, last_good, findings)
    try:
        configuration = Configuration.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError(_sentence("configuration", error)) from error
    return Loaded(withholding(configuration, newest), configuration_hash(text), tuple(findings))


def withholding(configuration: Configuration, newest: dict[str, Any]) -> Configuration:
    """Return a configuration that gives nothing to destinations which the document `newest` treats in another way."""
    return configuration.model_copy(update={"treatment_not_in_force": not_in_force(newest, configuration)})


def untold(configuration: Configuration, text: str) -> list[DestinationKey]:
    """Return what `configuration` is to withhold while the newer `text` cannot be used at all."""
    try:
        newest = json.loads(text)
    except (ValueError, RecursionError):
        return configuration.treatment_not_in_force
    return not_in_force(newest, configuration)


def _parse(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"the configuration is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError("the configuration is not a JSON object")
    version = document.get("schemaVersion")
    if version != SCHEMA_VERSION:
        raise ConfigurationError(
            f"the configuration has schemaVersion {version!r}, but this gateway reads {SCHEMA_VERSION}: let the "
            "operator render it again, or run the matching gateway image"
        )
    return document


def _destinations(
    documents: Any, last_good: Configuration | None, findings: list[SectionFinding]
) -> list[dict[str, Any]]:
    """Return the usable destinations; an unusable one goes on as it last was, or is left out."""
    known = {d.key: d.model_dump(by_alias=True, mode="json") for d in last_good.destinations} if last_good else {}
    adapter: TypeAdapter[AnyDestination] = TypeAdapter(AnyDestination)
    usable = []
    if not isinstance(documents, list):
        raise ConfigurationError("destinations is not a list: let the operator render the configuration again")
    for document in documents:
        if not isinstance(document, dict):
            findings.append(
                SectionFinding("destinations", Reason.DESTINATION_INVALID, "a destination is not an object")
            )
            continue
        try:
            adapter.validate_python(document)
            usable.append(document)
        except ValidationError as error:
            name = destination_named(str(document.get("kind")), str(document.get("name")))
            findings.append(SectionFinding(f"destinations[{name}]", Reason.DESTINATION_INVALID, _sentence(name, error)))
            if name in known:
                # Whatever else is wrong with it: nothing of before may send it more than it is to get now.
                is_strict = document.get("accepts", Accepts.ANY) != Accepts.ANY
                usable.append(known[name] | ({"accepts": str(Accepts.DEIDENTIFIED_ONLY)} if is_strict else {}))
    return usable


def _query_retrieve(document: dict[str, Any], last_good: Configuration | None, findings: list[SectionFinding]) -> None:
    """Put the last good section in the place of an unusable one, or none, so that queries alone are refused."""
    section = "queryRetrieve"
    try:
        TypeAdapter(QueryRetrieve | None).validate_python(document.get(section))
    except ValidationError as error:
        findings.append(SectionFinding(section, Reason.QUERY_RETRIEVE_INVALID, _sentence(section, error)))
        known = last_good.query_retrieve if last_good is not None else None
        document[section] = known.model_dump(by_alias=True, mode="json") if known is not None else None


def _sentence(section: str, error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    where = ".".join(str(step) for step in (section, *first["loc"]))
    return f"{where}: {first['msg']}"
