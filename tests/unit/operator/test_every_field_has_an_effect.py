"""A field without effect is not in the schema: changing any one changes an object, the configuration or a finding."""

from typing import Any

import pytest
from auths import MEMBERS, auth
from manifests import Json, changed, node, profile, route, target

from dicomroute_operator.api.inputs import Claim, Existing
from dicomroute_operator.api.node import DicomNode
from dicomroute_operator.api.profile import DeidentificationProfile
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.target import CloudTarget
from dicomroute_operator.checks.profile import check_profile
from dicomroute_operator.checks.route import check_route
from dicomroute_operator.checks.target import check_target
from dicomroute_operator.gather.route import gather_route
from dicomroute_operator.kinds.crd import open_api_schema
from dicomroute_operator.kinds.listed import KINDS
from dicomroute_operator.render.objects import AdminCredential
from dicomroute_operator.render.profile import render_profile
from dicomroute_operator.render.route import render_route
from dicomroute_operator.render.settings import RenderSettings

SETTINGS = RenderSettings(gateway_image="registry.example/gateway:1", operator_namespace="dicomroute-system")
CREDENTIAL = AdminCredential("a token", "a certificate", "a key", "another key", "a third")
SECRET = {"name": "archive", "key": "password"}
ARCHIVE = {"kind": "CloudTarget", "name": "archive"}
CT1 = {"kind": "DicomNode", "name": "ct-1"}
TOLERATION = {"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute", "tolerationSeconds": 5}

FURTHER: Json = {
    "topologySpreadConstraints": [{"topologyKey": "zone"}],
    "hostAliases": [{"ip": "192.0.2.9", "hostnames": ["pacs.example"]}],
    "dnsConfig": {"nameservers": ["192.0.2.53"], "searches": ["a.example"], "options": [{"name": "a", "value": "b"}]},
}

BASES: dict[str, Json] = {
    "DicomRoute": route(
        listeners=[
            {
                "name": "dicom",
                "port": 11112,
                "aeTitles": ["CTGATE"],
                "sources": {"policy": "Nodes", "nodes": [{"name": "ct-1"}], "selector": {"matchLabels": {"site": "x"}}},
                "tls": {
                    "certificateRef": {"name": "gateway-tls"},
                    "clientCABundleRef": {"kind": "ConfigMap", "name": "callers", "key": "ca.crt"},
                },
            }
        ],
        rules=[
            {
                "name": "everything",
                "destinations": [ARCHIVE, {**ARCHIVE, "name": "research"}, CT1],
                "deidentify": {"name": "research"},
            }
        ],
        destinations=[
            {
                **CT1,
                "required": False,
                "maxOwed": "1Gi",
                "bandwidth": {
                    "maxBytesPerSecond": 2048,
                    "windows": [{"name": "day", "start": "07:00", "end": "19:00", "maxBytesPerSecond": 1024}],
                },
                "callingAETitle": "GATE1",
                "confirm": {"by": "StorageCommitment"},
            },
        ],
        storageCommitment={"listeners": ["dicom"], "destinations": [ARCHIVE]},
        acknowledge={"when": "OnDelivered", "destinations": [ARCHIVE]},
        queryRetrieve={
            "listeners": ["dicom"],
            "clients": {"nodes": [{"name": "ct-1"}], "selector": {"matchLabels": {"site": "x"}}},
            "archives": [{**ARCHIVE}],
            "moveDestinations": {"nodes": [{"name": "ct-1"}], "selector": {"matchLabels": {"site": "x"}}},
        },
        gateway={
            "service": {"ports": [{"listener": "dicom", "port": 104}]},
            "spool": {"encryption": {"keySecretRef": {"name": "spool-key", "key": "keys"}}},
            "podTemplate": {"spec": {"tolerations": [TOLERATION], "imagePullSecrets": [{"name": "pull"}], **FURTHER}},
        },
    ),
    "DeidentificationProfile": profile(
        allowedTokensRef={"name": "words", "key": "words"},
        patientID={"knownRef": {"name": "known", "key": "known"}},
        rules=[{"name": "keep-protocol", "tags": ["00181030"], "action": "Keep"}],
        objects=[
            {
                "name": "screens",
                "sopClassUIDs": ["1.2.840.10008.5.1.4.1.1.7"],
                "action": "Mask",
                "regions": [{"left": 0, "top": 0, "width": 10, "height": 10}],
            }
        ],
    ),
    "DicomNode": node(
        aeTitle="CT1",
        allowedSources=["192.0.2.0/24"],
        certificates=[{"dnsName": "ct-1.example"}],
        host="ct-1.example",
        tls={
            "caBundleRef": {"kind": "ConfigMap", "name": "pacs-authorities", "key": "ca.crt"},
            "clientCertificateRef": {"name": "gateway-client"},
        },
    ),
    "CloudTarget": target(
        auth={"type": "Basic", "basic": {"username": "u", "passwordSecretRef": SECRET}},
        tls={
            "caBundleRef": {"kind": "ConfigMap", "name": "authorities", "key": "ca.crt"},
            "clientCertificateRef": {"name": "certificate"},
        },
        proxy={
            "url": "http://proxy.example:3128",
            "basic": {"username": "u", "passwordSecretRef": SECRET},
            "caBundleRef": {"kind": "ConfigMap", "name": "authorities", "key": "proxy.crt"},
        },
    ),
}
TYPES = {member: type_ for type_, (member, _) in MEMBERS.items()}

# Another value for fields of which the type alone does not say one.
OTHER: dict[str, Any] = {
    "spec.listeners.0.sources.selector.matchLabels": {"site": "north"},
    "spec.listeners.0.sources.policy": "Any",
    "spec.listeners.0.tls.clientCABundleRef.kind": "Secret",
    "spec.gateway.service.loadBalancerIP": "203.0.113.7",
    "spec.gateway.podTemplate.spec.topologySpreadConstraints.0.whenUnsatisfiable": "DoNotSchedule",
    "spec.gateway.podTemplate.spec.topologySpreadConstraints.0.labelSelector": {"matchLabels": {"a": "b"}},
    "spec.gateway.podTemplate.spec.hostAliases.0.hostnames": ["other.example"],
    "spec.gateway.podTemplate.spec.dnsConfig.nameservers": ["192.0.2.54"],
    "spec.gateway.podTemplate.spec.dnsConfig.searches": ["b.example"],
    "spec.gateway.service.allocateLoadBalancerNodePorts": False,
    "spec.gateway.spool.size": "60Gi",
    "spec.gateway.podTemplate.spec.tolerations.0.operator": "Exists",
    "spec.gateway.podTemplate.spec.tolerations.0.effect": "NoSchedule",
    "spec.destinations.0.name": "research",
    "spec.destinations.0.required": True,
    "spec.destinations.0.bandwidth.windows.0.start": "08:00",
    "spec.destinations.0.bandwidth.windows.0.end": "20:00",
    "spec.destinations.0.maxOwed": "2Gi",
    "spec.destinations.0.bandwidth.windows.0.days": ["Monday"],
    "spec.destinations.0.bandwidth.maxBytesPerSecond": 4096,
    "spec.acknowledge.destinations.0.name": "research",
    "spec.storageCommitment.destinations.0.name": "research",
    "spec.storageCommitment.destinations.0.kind": "DicomNode",
    "spec.acknowledge.when": "OnSpooled",
    # A window's name tells it from others in its list.
    "spec.destinations.0.bandwidth.windows.0.name": None,
    "spec.queryRetrieve.clients.selector.matchLabels": {"site": "north"},
    "spec.queryRetrieve.moveDestinations.selector.matchLabels": {"site": "north"},
    # There is one kind so far.
    "spec.queryRetrieve.archives.0.kind": None,
    "spec.defaultCharacterSet": "ISO_IR 100",
    "spec.allowedSources": ["198.51.100.0/24"],
    "spec.url": "http://archive.example/",
    "spec.auth.type": "None",
    "spec.tls.caBundleRef.kind": "Secret",
    "spec.proxy.caBundleRef.kind": "Secret",
    "spec.answers.permanentReasons": [5],
    "spec.answers.transientReasons": [5],
    "spec.answers.duplicateReasons": [5],
    "spec.rules.0.destinations.0.kind": "DicomNode",
    "spec.destinations.0.kind": "CloudTarget",
    "spec.acknowledge.destinations.0.kind": "DicomNode",
    "spec.host": "ct-2.example",
    "spec.rules.0.transform.0.set.vr": "LO",
    "spec.rules.0.transform.0.replace.vr": "LO",
    # There is one edition, and one source of pseudonyms.
    "spec.edition": None,
    "spec.patientID.source": None,
    "spec.options": ["RetainUIDs"],
    "spec.rules.0.tags": ["0008103E"],
    "spec.rules.0.action": "Remove",
}


TRANSFORM = "spec.rules.0.transform.0."
CHANGES: Json = {
    "set": {"attribute": "PatientID", "value": "'a'"},
    "replace": {"attribute": "PatientID", "value": "'a'"},
    "remove": {"attribute": "PatientID"},
    "copy": {"from": "StudyID", "to": "PatientID"},
}


def leaves(schema: Json, path: str) -> list[tuple[str, Json]]:
    if schema.get("type") == "object" and "properties" in schema:
        return [leaf for name, inner in schema["properties"].items() for leaf in leaves(inner, f"{path}.{name}")]
    if schema.get("type") == "array" and "properties" in schema["items"]:
        return leaves(schema["items"], f"{path}.0")
    return [(path, schema)]


def fields() -> list[tuple[str, str, Json]]:
    return [
        (one.model.kind, path, schema)
        for one in KINDS.values()
        for path, schema in leaves(open_api_schema(one.model)["properties"]["spec"], "spec")
        if OTHER.get(path, "") is not None
    ]


def other_value(path: str, schema: Json) -> Any:
    if path in OTHER:
        return OTHER[path]
    if "enum" in schema:
        return next(one for one in schema["enum"] if one not in ("", schema.get("default")))
    match schema.get("type"):
        case "string":
            return "another"
        case "integer":
            return schema["default"] + 1 if "default" in schema else 7
        case "boolean":
            return not schema["default"]
        case "array":
            return ["OTHER"]
        case "object":
            return {"other": "5"}
    raise AssertionError(f"no other value for {path}")


def effects(documents: dict[str, Json]) -> Any:
    a_route = DicomRoute.model_validate(documents["DicomRoute"])
    a_target = CloudTarget.model_validate(documents["CloudTarget"])
    a_profile = DeidentificationProfile.model_validate(documents["DeidentificationProfile"])
    inputs = gather_route(
        a_route,
        [DicomNode.model_validate(documents["DicomNode"]), DicomNode.model_validate(OTHER_NODE)],
        [a_target],
        {("default", "archive"): frozenset(["password"])},
        existing=Existing(claims=(Claim(f"spool-{a_route.metadata.name}-gw-0", "a deleted route", "1Gi"),)),
        profiles=[a_profile],
    )
    return (
        list(render_route(inputs, SETTINGS, CREDENTIAL).manifests()),
        check_route(inputs),
        check_target(a_target),
        render_profile(a_profile),
        check_profile(a_profile),
        a_profile.spec.files,
    )


def base_of(kind: str, path: str) -> Json:
    """Return the manifest in which a field is changed: a member of auth belongs to its type, a change stands alone."""
    if path.startswith(TRANSFORM):
        member = path.removeprefix(TRANSFORM).partition(".")[0]
        return changed(BASES[kind], "spec.rules.0.transform", [{member: CHANGES[member]}])
    member = path.removeprefix("spec.auth.").partition(".")[0]
    return changed(BASES[kind], "spec.auth", auth(TYPES[member])) if member in TYPES else BASES[kind]


OTHER_NODE = changed(
    changed(changed(node(), "metadata.name", "ct-2"), "spec.aeTitle", "CT2"), "spec.host", "ct-2.example"
)


@pytest.mark.parametrize("kind, path, schema", fields(), ids=[f"{kind} {path}" for kind, path, _ in fields()])
def test_a_field_has_an_effect(kind: str, path: str, schema: Json) -> None:
    value = other_value(path, schema)
    base = base_of(kind, path)
    changes = {**BASES, kind: changed(base, path, value)}
    assert effects(changes) != effects({**BASES, kind: base}), f"{kind} {path}: {value!r} changes nothing"
