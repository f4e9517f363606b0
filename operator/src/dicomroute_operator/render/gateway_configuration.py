"""Renders the gateway configuration, schema version 1: what a gateway is told of its route.

The gateway publishes the schema; nothing is shared with it but this document, so that an operator and a gateway of
different versions understand each other.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final

from dicomroute_operator.api.delivery import (
    Bandwidth,
    ConfirmBy,
    DeliveryMode,
    Destination,
    DestinationKind,
    Events,
    Weekday,
)
from dicomroute_operator.api.gateway import Spool
from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.api.listener import Listener, ListenerMode
from dicomroute_operator.api.meta import Accepts
from dicomroute_operator.api.node import DicomNode, NodeCertificate, Relational
from dicomroute_operator.api.quantity import quantity_bytes
from dicomroute_operator.api.route import DicomRoute, Rule
from dicomroute_operator.api.studies import OnRevision, Trigger
from dicomroute_operator.api.target import Answers, CloudTarget

from . import credentials, names
from .steps import steps
from .support import NODE_ACCEPTS, is_supported

SETTINGS = ("required", "mode", "maxOwedBytes", "bandwidth", "confirm", "callingAETitle")
"""What a route, and not the destination, says of a destination."""

MAX_CONFIGURATION_BYTES: Final = 1_000_000
"""The API server refuses a ConfigMap whose values have more than 1 MiB; what is above this is left to MACs."""


def gateway_configuration(inputs: RouteInputs) -> dict[str, Any]:
    """Return the configuration of a route's gateway. What cannot be delivered to is left out of it."""
    route, spec = inputs.route, inputs.route.spec
    return {
        "schemaVersion": names.CONFIGURATION_VERSION,
        "route": {
            "namespace": route.metadata.namespace,
            "name": route.metadata.name,
            "uid": route.metadata.uid,
        },
        "generation": route.metadata.generation,
        "mode": str(spec.mode),
        "listeners": [_listener(inputs, listener) for listener in spec.listeners],
        "rules": {
            "matching": str(spec.rule_matching),
            "unmatched": str(spec.unmatched),
            "rules": [_rule(rule, inputs) for rule in spec.rules],
        },
        "destinations": [
            found | destination_settings(route, destination)
            for destination in inputs.destinations()
            if is_supported(inputs, destination) and (found := rendered_destination(inputs, destination)) is not None
        ],
        "acknowledge": {
            "when": str(spec.acknowledge.when),
            "destinations": [{"kind": str(d.kind), "name": d.name} for d in spec.acknowledge.destinations],
            "timeoutSeconds": spec.acknowledge.timeout_seconds,
        },
        **_storage_commitment(inputs),
        **_studies(route),
        "retry": {
            "initialBackoffSeconds": spec.retry.initial_backoff_seconds,
            "maxBackoffSeconds": spec.retry.max_backoff_seconds,
            "contentAttempts": spec.retry.content_attempts,
        },
        "spool": _spool(spec.gateway.spool),
        "ledger": {"retentionSeconds": spec.ledger.retention_seconds},
        # What follows is said where it is set alone: a gateway of an earlier release does not know it.
        **_events(spec.events),
        **({"queryRetrieve": query} if (query := query_retrieve(inputs)) is not None else {}),
        "drainTimeoutSeconds": spec.gateway.drain_timeout_seconds,
    }


def _rule(rule: Rule, inputs: RouteInputs) -> dict[str, Any]:
    """Return a rule as the gateway has it; what it prepares or waits for is only said of one that does."""
    found: dict[str, Any] = {
        "name": rule.name,
        **_mode(rule.mode),
        "when": rule.when,
        "destinations": [{"kind": str(d.kind), "name": d.name} for d in rule.destinations],
    }
    waits = {
        "trigger": (str(rule.trigger), Trigger.INSTANCE_RECEIVED),
        "whenComplete": (rule.when_complete, ""),
        "onRevision": (str(rule.on_revision), OnRevision.SEND_NEW),
    }
    found |= {name: value for name, (value, default) in waits.items() if value != default}
    prepared = steps(rule, inputs)
    return {**found, "steps": prepared} if prepared else found


def _mode(mode: ListenerMode | DeliveryMode) -> dict[str, str]:
    """Return a mode where it is not Running: a gateway of an earlier release knows none but the route's."""
    return {} if mode in (ListenerMode.RUNNING, DeliveryMode.RUNNING) else {"mode": str(mode)}


def _studies(route: DicomRoute) -> dict[str, Any]:
    """Return when a study is complete, where that is said: an earlier gateway does not know it."""
    studies = route.spec.studies
    if studies is None:
        return {}
    return {"studies": {"idleSeconds": studies.idle_seconds, "maxOpenSeconds": studies.max_open_seconds}}


def configuration_text(configuration: dict[str, Any]) -> str:
    """Return the configuration as it is written down; equal configurations give equal texts.

    It is for people to read too, but for one that has no room in a ConfigMap with its white space, about half of it.
    """
    text = json.dumps(configuration, indent=1, sort_keys=True) + "\n"
    if len(text) <= MAX_CONFIGURATION_BYTES:
        return text
    return json.dumps(configuration, separators=(",", ":"), sort_keys=True) + "\n"


def configuration_data(key: str, **texts: str) -> dict[str, str]:
    """Return the data of the ConfigMap: texts by their keys, and the MAC of each, by which others' are told apart."""
    return {
        **texts,
        **{f"{name}{names.MAC_SUFFIX}": configuration_mac(key, name, text) for name, text in texts.items()},
    }


def is_own(key: str, data: Mapping[str, str], name: str) -> bool:
    """Return whether a text in the data of a ConfigMap is the operator's own."""
    mac = data.get(f"{name}{names.MAC_SUFFIX}", "")
    return hmac.compare_digest(mac.encode(), configuration_mac(key, name, data.get(name, "")).encode())


def configuration_mac(key: str, name: str, text: str) -> str:
    """Return the HMAC-SHA-256 of a configuration's name and text, in hexadecimal."""
    return hmac.new(key.encode(), f"{name}\0{text}".encode(), hashlib.sha256).hexdigest()


def configuration_hash(text: str) -> str:
    """Return the identity of a configuration text, as gateways report it of the one that they read."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _listener(inputs: RouteInputs, listener: Listener) -> dict[str, Any]:
    return {
        "name": listener.name,
        **_mode(listener.mode),
        "port": listener.port,
        "aeTitles": listener.ae_titles,
        "sources": {
            "policy": str(listener.sources.policy),
            "callers": [caller(node) for node in inputs.nodes_of(listener)],
        },
        "maxAssociations": listener.max_associations,
        # Said where it is set alone: a gateway of an earlier release does not know it.
        **({"maxAssociationsPerCaller": share} if (share := listener.max_associations_per_caller) is not None else {}),
        "maxPDUBytes": listener.max_pdu_bytes,
        "acseTimeoutSeconds": listener.acse_timeout_seconds,
        "idleTimeoutSeconds": listener.idle_timeout_seconds,
        "stallTimeoutSeconds": listener.stall_timeout_seconds,
        **({"tls": credentials.listener_tls(listener.tls)} if listener.tls is not None else {}),
    }


def query_retrieve(inputs: RouteInputs) -> dict[str, Any] | None:
    """Return how queries are served; None where they are not. Archives that may not be asked are left out."""
    spec = inputs.route.spec.query_retrieve
    if spec is None:
        return None
    archives = [
        cloud_target(target) | {"required": one.required}
        for one in spec.archives
        if (target := inputs.targets.get(one.name)) is not None and target.spec.accepts is Accepts.ANY
    ]
    return {
        "mode": str(spec.mode),
        "listeners": spec.listeners,
        "clients": [query_client(node) for node in inputs.query_clients() if _may_retrieve(inputs, node)],
        "archives": archives,
        "includeSpool": spec.include_spool,
        "maxMatches": spec.max_matches,
        "maxCandidates": spec.max_candidates,
        "maxConcurrent": {
            "queries": spec.max_concurrent.queries,
            "retrievals": spec.max_concurrent.retrievals,
        },
        "archiveTimeoutSeconds": spec.archive_timeout_seconds,
        "moveDestinations": [
            move_destination(inputs, node) for node in inputs.move_destinations() if _may_retrieve(inputs, node)
        ],
        "pendingIntervalSeconds": spec.pending_interval_seconds,
    }


def _may_retrieve(inputs: RouteInputs, node: DicomNode) -> bool:
    """Return whether the gateway may be told of a node: an older one would ignore that it may see no names."""
    supports = inputs.existing.supports
    return node.spec.accepts is Accepts.ANY or supports is None or NODE_ACCEPTS in supports


def move_destination(inputs: RouteInputs, node: DicomNode) -> dict[str, Any]:
    """Return a node that a C-MOVE may send to: called as it is where rules name it."""
    assert node.spec.host is not None, node.metadata.name
    named = Destination(kind=DestinationKind.DICOM_NODE, name=node.metadata.name)
    calling = destination_settings(inputs.route, named)["callingAETitle"]
    return {**dicom_node(node, node.spec.host), "callingAETitle": calling}


def query_client(node: DicomNode) -> dict[str, Any]:
    """Return who a node is as one that queries."""
    return {
        **caller(node),
        "isRelational": node.spec.relational is Relational.ALWAYS,
        "defaultCharacterSet": node.spec.default_character_set,
        **_accepts(node),
    }


def _spool(spool: Spool) -> dict[str, Any]:
    limits: dict[str, Any] = {
        "sizeBytes": quantity_bytes(spool.size),
        "highWatermarkPercent": spool.high_watermark_percent,
    }
    if spool.encryption is not None:
        reference = spool.encryption.key_secret_ref
        key_file = names.mounted_file("Secret", reference.name, reference.key)
        limits["encryption"] = {"mode": str(spool.encryption.mode), "keyFile": key_file}
    return limits


def _events(events: Events) -> dict[str, Any]:
    if events == Events():
        return {}
    return {
        "events": {
            "retentionSeconds": events.retention_seconds,
            "maxBytes": events.max_bytes,
            "studyQuietSeconds": events.study_quiet_seconds,
        }
    }


def _storage_commitment(inputs: RouteInputs) -> dict[str, Any]:
    """Return what is said of storage commitment, where there is any: an earlier gateway does not know it."""
    commitment = inputs.route.spec.storage_commitment
    if commitment is None:
        return {}
    return {
        "storageCommitment": {
            "listeners": commitment.listeners,
            "destinations": [{"kind": str(d.kind), "name": d.name} for d in commitment.destinations],
            "waitSeconds": commitment.wait_seconds,
            "sameAssociationSeconds": commitment.same_association_seconds,
            "reportForSeconds": commitment.report_for_seconds,
            "requestors": [
                _requestor(node, node.spec.host)
                for node in inputs.commitment_requestors()
                if node.spec.host is not None
            ],
        }
    }


_NOT_CALLED = ("kind", "name", "connectionTestSeconds", "accepts")
"""What is said of a node as a destination, and is of no use for reporting to it."""


def _requestor(node: DicomNode, host: str) -> dict[str, Any]:
    called = {name: value for name, value in dicom_node(node, host).items() if name not in _NOT_CALLED}
    return {"node": node.metadata.name, "callingAETitles": node.spec.callers, **called}


def caller(node: DicomNode) -> dict[str, Any]:
    """Return who a node is to a listener."""
    return {
        "node": node.metadata.name,
        "callingAETitles": node.spec.callers,
        "anyAddress": node.spec.any_address,
        "networks": node.spec.allowed_sources,
        # Said where there are some alone: a gateway of an earlier release does not know them.
        **({"certificates": found} if (found := [_certificate(one) for one in node.spec.certificates]) else {}),
    }


def _certificate(one: NodeCertificate) -> dict[str, str]:
    found = one.model_dump(by_alias=True, exclude_none=True)
    return {**found, "sha256": one.sha256.replace(":", "").lower()} if one.sha256 is not None else found


def destination_settings(route: DicomRoute, destination: Destination) -> dict[str, Any]:
    """Return what a route says of a destination."""
    wanted = (destination.kind, destination.name)
    found = next((one for one in route.spec.destinations if (one.kind, one.name) == wanted), None)
    settings: dict[str, Any] = {"required": found is None or found.required}
    if destination.kind is DestinationKind.DICOM_NODE:
        given = found.calling_ae_title if found is not None else None
        settings["callingAETitle"] = given or route.spec.listeners[0].ae_titles[0]
    if found is None:
        return settings
    settings |= _mode(found.mode)
    if found.max_owed is not None:
        settings["maxOwedBytes"] = quantity_bytes(found.max_owed)
    if found.bandwidth is not None:
        settings["bandwidth"] = _bandwidth(found.bandwidth)
    if found.confirm.by is not ConfirmBy.ANSWER:
        settings["confirm"] = {"by": str(found.confirm.by), "withinSeconds": found.confirm.within_seconds}
    return settings


def _bandwidth(bandwidth: Bandwidth) -> dict[str, Any]:
    bound = bandwidth.max_bytes_per_second
    return {
        **({"maxBytesPerSecond": bound} if bound is not None else {}),
        "timeZone": bandwidth.time_zone,
        "windows": [
            {
                "days": [str(day) for day in window.days or Weekday],
                "start": window.start,
                "end": window.end,
                "maxBytesPerSecond": window.max_bytes_per_second,
            }
            for window in bandwidth.windows
        ],
    }


def rendered_destination(inputs: RouteInputs, destination: Destination) -> dict[str, Any] | None:
    """Return what a destination says of itself; None when it does not exist, or says not where it is called."""
    target, node = inputs.target_of(destination), inputs.node_of(destination)
    if target is not None:
        return cloud_target(target)
    return dicom_node(node, node.spec.host) if node is not None and node.spec.host is not None else None


def dicom_node(node: DicomNode, host: str) -> dict[str, Any]:
    """Return a node as a destination, but for what its route says of it."""
    return {
        "kind": "DicomNode",
        "name": node.metadata.name,
        "host": host,
        "port": node.spec.port,
        "calledAETitle": node.spec.ae_title,
        "acseTimeoutSeconds": node.spec.acse_timeout_seconds,
        "stallTimeoutSeconds": node.spec.stall_timeout_seconds,
        "responseTimeoutSeconds": node.spec.response_timeout_seconds,
        # Said where it is not the gateway's own: one of an earlier release does not know it.
        **({"connectionTestSeconds": seconds} if (seconds := node.spec.connection_test_seconds) != 300 else {}),
        **({"tls": credentials.node_tls(node.spec.tls)} if node.spec.tls is not None else {}),
        **_accepts(node),
    }


def _accepts(node: DicomNode) -> dict[str, str]:
    """Return what a node may be sent, where that is not everything: an earlier gateway knows of no bound."""
    return {} if node.spec.accepts is Accepts.ANY else {"accepts": str(node.spec.accepts)}


def cloud_target(target: CloudTarget) -> dict[str, Any]:
    """Return a target as a destination."""
    return {
        "kind": "CloudTarget",
        "name": target.metadata.name,
        "url": target.spec.url,
        "provider": str(target.spec.provider),
        "onDuplicate": str(target.spec.on_duplicate),
        "answers": (target.spec.answers or Answers()).model_dump(by_alias=True),
        "partition": target.spec.azure.partition if target.spec.azure else "",
        "auth": credentials.auth(target),
        **({"tls": tls} if (tls := credentials.tls(target.spec.tls)) else {}),
        **({"proxy": credentials.proxy(target.spec.proxy)} if target.spec.proxy is not None else {}),
        "accepts": str(target.spec.accepts),
    }
