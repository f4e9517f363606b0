"""What the checks find across objects, and what they leave alone."""

from dataclasses import replace
from typing import Any

import pytest
from auths import MEMBERS, auth
from manifests import Json, changed, node, route, target

from dicomroute_operator.api.conditions import CONDITIONS, Accepted
from dicomroute_operator.api.credentials import MACHINE_IDENTITIES
from dicomroute_operator.api.inputs import Existing, RouteInputs
from dicomroute_operator.api.node import DicomNode
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.target import CloudTarget
from dicomroute_operator.checks.finding import Finding
from dicomroute_operator.checks.route import check_route
from dicomroute_operator.checks.target import check_target
from dicomroute_operator.gather.route import gather_route

BASIC = {"type": "Basic", "basic": {"username": "u", "passwordSecretRef": {"name": "archive", "key": "password"}}}


def findings(
    a_route: Json, nodes: list[Json] | None = None, targets: list[Json] | None = None, secrets: Any = None
) -> list[Finding]:
    inputs = gather_route(
        DicomRoute.model_validate(a_route),
        [DicomNode.model_validate(one) for one in ([node()] if nodes is None else nodes)],
        [CloudTarget.model_validate(one) for one in ([target()] if targets is None else targets)],
        secrets,
    )
    return check_route(inputs)


def reasons(found: list[Finding]) -> list[str]:
    return [f"{one.type}={one.status}/{one.reason}" for one in found]


FINE = ["Accepted=True/Accepted", "ResolvedRefs=True/ResolvedRefs"]


def test_a_route_whose_objects_are_there_is_accepted_and_resolved() -> None:
    assert reasons(findings(route())) == FINE


def test_allowed_sources_behind_a_service_that_hides_addresses() -> None:
    hidden = changed(route(), "spec.gateway.service.externalTrafficPolicy", "Cluster")
    (finding, _) = findings(hidden)
    assert f"{finding.reason}" == "SourceAddressHidden"
    assert "set it to Local" in finding.message
    assert finding.field == "spec.gateway.service.externalTrafficPolicy"
    anybody = node(aeTitle="CT1", anyAddress=True)
    assert reasons(findings(hidden, nodes=[anybody]))[:2] == FINE
    inside = changed(hidden, "spec.gateway.service.type", "ClusterIP")
    assert reasons(findings(inside)) == FINE


def test_a_title_that_another_node_may_use_from_anywhere() -> None:
    both = changed(route(), "spec.listeners.0.sources.nodes.1", {"name": "ct-2"})
    open_ = changed(node(aeTitle="CT1", anyAddress=True), "metadata.name", "ct-2")
    (finding, *_) = findings(both, nodes=[node(), open_])
    assert f"{finding.reason}" == "AllowedSourcesBypassed"
    assert "CT1" in finding.message
    other_title = changed(open_, "spec.aeTitle", "CT2")
    assert reasons(findings(both, nodes=[node(), other_title]))[:2] == FINE


def test_commitment_on_an_answer_and_requestors_without_a_host_are_warned_of() -> None:
    committing = changed(route(), "spec.storageCommitment", {"listeners": ["dicom"]})
    found = findings(committing)
    assert reasons(found)[2:] == [
        "CommitsOnAnswer=True/DestinationOnlyAnswers",
        "ReportsUndeliverable=True/RequestorHasNoHost",
    ]
    assert all(one.is_warning for one in found[2:])
    assert "add confirm: {by: Query}" in found[2].message
    assert "DicomNode ct-1" in found[3].message
    archive = {"kind": "CloudTarget", "name": "archive"}
    confirmed = changed(committing, "spec.destinations", [{**archive, "confirm": {"by": "Query"}}])
    called = node(aeTitle="CT1", allowedSources=["192.0.2.0/24"], host="ct-1.example")
    assert reasons(findings(confirmed, nodes=[called])) == FINE
    optional = changed(committing, "spec.destinations", [{**archive, "required": False}])
    assert reasons(findings(optional, nodes=[called])) == FINE, "it does not count"
    named = changed(optional, "spec.storageCommitment.destinations", [archive])
    assert reasons(findings(named, nodes=[called]))[2:] == ["CommitsOnAnswer=True/DestinationOnlyAnswers"]
    anybody = changed(confirmed, "spec.listeners.0.sources", {"policy": "Any"})
    assert "ReportsUndeliverable=True/AnybodyMayAsk" in reasons(findings(anybody))


def test_a_load_balancer_that_lets_everybody_in_is_warned_of() -> None:
    anybody = [node(aeTitle="CT1", anyAddress=True)]
    found = findings(route(), nodes=anybody)[2]
    assert (f"{found.reason}", found.is_warning, found.field) == (
        "LoadBalancerOpen",
        True,
        "spec.listeners[dicom].sources",
    )
    assert "DicomNode ct-1 may call listener dicom from any address" in found.message
    with_any = changed(route(), "spec.listeners.0.sources", {"policy": "Any"})
    assert "anyone may call listener dicom from any address" in findings(with_any)[2].message
    inside = changed(with_any, "spec.gateway.service.type", "ClusterIP")
    assert reasons(findings(inside)) == FINE
    unbound = changed(route(), "spec.gateway.service.loadBalancerSources", "Anywhere")
    assert reasons(findings(unbound)) == [*FINE, "OpenToAnywhere=True/SourcesNotBound"]


def test_rules_behind_one_that_takes_everything() -> None:
    last = {
        "name": "last",
        "when": "instance.Modality == 'CT'",
        "destinations": [{"kind": "CloudTarget", "name": "archive"}],
    }
    two = changed(changed(route(), "spec.rules.1", last), "spec.ruleMatching", "First")
    (finding, _) = findings(two)
    assert f"{finding.reason}" == "RuleUnreachable"
    assert reasons(findings(changed(two, "spec.ruleMatching", "All"))) == FINE


def test_one_destination_with_two_treatments() -> None:
    archive = {"kind": "CloudTarget", "name": "archive"}
    treated = {
        "name": "treated",
        "when": "instance.Modality == 'CT'",
        "destinations": [archive],
        "transform": [{"remove": {"attribute": "PatientComments"}}],
    }
    two = changed(route(), "spec.rules.1", treated)
    (finding, _) = findings(two)
    assert f"{finding.reason}" == "ConflictingTreatment"
    assert "both send to CloudTarget archive" in finding.message
    first = changed(two, "spec.rules.0.when", "instance.Modality == 'MR'")
    assert reasons(findings(first)) == FINE, "no instance need be taken by both"
    assert reasons(findings(changed(two, "spec.rules.0.transform", treated["transform"]))) == FINE
    assert "ConflictingTreatment" not in str(reasons(findings(changed(two, "spec.ruleMatching", "First"))))


def test_a_port_that_two_listeners_would_be_published_on() -> None:
    second = {"name": "two", "port": 11113, "aeTitles": ["B"], "sources": {"policy": "Any"}}
    two = changed(route(), "spec.listeners.1", second)
    assert reasons(findings(two))[:2] == FINE
    clash = changed(two, "spec.gateway.service.ports", [{"listener": "two", "port": 11112}])
    (finding, *_) = findings(clash)
    assert f"{finding.reason}" == "ServicePortConflict"
    assert "dicom and two" in finding.message


def test_what_is_named_and_missing() -> None:
    assert reasons(findings(route(), nodes=[]))[1] == "ResolvedRefs=False/NodeNotFound"
    assert reasons(findings(route(), targets=[]))[1] == "ResolvedRefs=False/TargetNotFound"
    selecting = changed(route(), "spec.listeners.0.sources", {"selector": {"matchLabels": {"site": "south"}}})
    assert reasons(findings(selecting))[1] == "ResolvedRefs=False/NoNodeSelected"
    assert reasons(findings(selecting, nodes=[changed(node(), "metadata.labels.site", "south")])) == FINE


def test_a_node_as_a_destination_exists_and_says_where_it_is_called() -> None:
    pacs = changed(node(aeTitle="PACS", host="pacs.example"), "metadata.name", "pacs")
    to_pacs = changed(route(), "spec.rules.0.destinations.1", {"kind": "DicomNode", "name": "pacs"})
    assert reasons(findings(to_pacs, nodes=[node(), pacs])) == FINE
    (_, finding) = findings(to_pacs)
    assert f"{finding.reason}" == "NodeNotFound"
    assert finding.field == "spec.rules[everything].destinations[pacs]"
    nowhere = changed(node(), "metadata.name", "pacs")
    (_, finding) = findings(to_pacs, nodes=[node(), nowhere])
    assert f"{finding.reason}" == "NodeHasNoHost"
    assert "add spec.host" in finding.message
    namesake = changed(target(), "metadata.name", "pacs")
    assert reasons(findings(to_pacs, targets=[target(), namesake]))[1] == "ResolvedRefs=False/NodeNotFound"


def test_a_node_that_is_called_alone_may_not_call() -> None:
    called = node(aeTitle="CT1", host="ct-1.example")
    (_, finding) = findings(route(), nodes=[called])
    assert f"{finding.reason}" == "NodeMayNotCall"
    hidden = changed(route(), "spec.gateway.service.externalTrafficPolicy", "Cluster")
    assert reasons(findings(hidden, nodes=[called]))[0] == "Accepted=True/Accepted"


def test_secrets_are_looked_for_where_they_may_be_read() -> None:
    targets = [target(auth=BASIC)]
    assert reasons(findings(route(), targets=targets)) == FINE
    assert reasons(findings(route(), targets=targets, secrets={}))[1] == "ResolvedRefs=False/SecretNotFound"
    (_, finding) = findings(route(), targets=targets, secrets={("default", "archive"): frozenset(["pass"])})
    assert f"{finding.reason}" == "SecretKeyMissing"
    assert "which has only the keys pass" in finding.message
    elsewhere = {("other", "archive"): frozenset(["password"])}
    assert reasons(findings(route(), targets=targets, secrets=elsewhere))[1] == "ResolvedRefs=False/SecretNotFound"


def test_a_certificate_that_is_missing_is_one_finding_and_not_one_a_key() -> None:
    tls = {"certificateRef": {"name": "gateway-tls"}, "clientCertificates": "Ignored"}
    encrypted = changed(route(), "spec.listeners.0.tls", tls)
    (_, finding) = findings(encrypted, secrets={})
    assert finding.message == "listener dicom needs the Secret gateway-tls, which does not exist: create it"
    (_, finding) = findings(encrypted, secrets={("default", "gateway-tls"): frozenset(["tls.crt"])})
    assert f"{finding.reason}" == "SecretKeyMissing"
    assert "needs the key tls.key" in finding.message


def test_the_spools_key_is_looked_for_like_a_targets_credential() -> None:
    encrypted = route(gateway={"spool": {"encryption": {"keySecretRef": {"name": "spool-key", "key": "keys"}}}})
    assert reasons(findings(encrypted)) == FINE
    (_, finding) = findings(encrypted, secrets={})
    assert f"{finding.reason}" == "SecretNotFound"
    assert finding.message == "the spool needs the Secret spool-key, which does not exist: create it"
    (_, finding) = findings(encrypted, secrets={("default", "spool-key"): frozenset(["key"])})
    assert f"{finding.reason}" == "SecretKeyMissing"
    assert reasons(findings(encrypted, secrets={("default", "spool-key"): frozenset(["keys"])})) == FINE
    in_cluster = RouteInputs(
        DicomRoute.model_validate(encrypted),
        targets={"archive": CloudTarget.model_validate(target())},
        nodes={"ct-1": DicomNode.model_validate(node())},
        existing=Existing(unmounted=frozenset(["spool-key/keys"])),
    )
    finding = next(one for one in check_route(in_cluster) if not one.status)
    assert f"{finding.reason}" == "SecretNotFound"
    assert "the gateway sees it within two minutes" in finding.message


def two_targets(one: Json, other: Json) -> list[Finding]:
    second = {"kind": "CloudTarget", "name": "research"}
    targets = [target(auth=one), changed(target(auth=other), "metadata.name", "research")]
    return findings(changed(route(), "spec.rules.0.destinations.1", second), targets=targets)


@pytest.mark.parametrize(
    "one, other",
    [
        (
            auth("GoogleWorkloadIdentity", serviceAccount="a@p.iam.gserviceaccount.com"),
            auth("GoogleWorkloadIdentity", serviceAccount="b@p.iam.gserviceaccount.com"),
        ),
        (
            auth("AWSWebIdentity", roleARN="arn:aws:iam::000000000000:role/a"),
            auth("AWSWebIdentity", roleARN="arn:aws:iam::000000000000:role/b"),
        ),
    ],
)
def test_two_identities_that_one_service_account_cannot_have(one: Json, other: Json) -> None:
    (finding, _) = two_targets(one, other)
    assert f"{finding.reason}" == "ConflictingIdentities"
    assert "use a separate route for each" in finding.message
    assert reasons(two_targets(one, one)) == FINE
    assert reasons(two_targets(one, BASIC)) == FINE


def test_two_clients_of_azure_may_share_the_pods() -> None:
    one, other = (auth("AzureWorkloadIdentity", clientID=client) for client in ("a", "b"))
    assert reasons(two_targets(one, other)) == FINE


def test_certificates_are_looked_for_too() -> None:
    bundle = {"kind": "ConfigMap", "name": "authorities", "key": "ca.crt"}
    targets = [CloudTarget.model_validate(target(tls={"caBundleRef": bundle}))]
    inputs = gather_route(DicomRoute.model_validate(route()), [DicomNode.model_validate(node())], targets)

    def found(**known: Any) -> str:
        return reasons(check_route(replace(inputs, **known)))[1]

    assert found() == "ResolvedRefs=True/ResolvedRefs"
    assert found(config_maps={}) == "ResolvedRefs=False/ConfigMapNotFound"
    assert found(config_maps={"authorities": frozenset(["x"])}) == "ResolvedRefs=False/ConfigMapKeyMissing"
    missing = Existing(unmounted=frozenset(["ConfigMap-authorities/ca.crt"]))
    assert found(existing=missing) == "ResolvedRefs=False/ConfigMapNotFound"
    a_secret = Existing(unmounted=frozenset(["authorities/ca.crt"]))
    assert found(existing=a_secret) == "ResolvedRefs=True/ResolvedRefs"


def test_objects_of_other_namespaces_are_not_there() -> None:
    elsewhere = changed(target(), "metadata.namespace", "other")
    assert reasons(findings(route(), targets=[elsewhere]))[1] == "ResolvedRefs=False/TargetNotFound"


def test_a_password_over_plain_http_is_warned_of_unless_it_stays_on_the_machine() -> None:
    def warnings(url: str, credential: Json) -> list[str]:
        found = check_target(CloudTarget.model_validate(target(url=url, auth=credential)))
        return [str(one.reason) for one in found if one.is_warning]

    assert warnings("http://archive.example", BASIC) == ["PlainHTTP"]
    assert warnings("https://archive.example", BASIC) == []
    assert warnings("http://127.0.0.1:8042", BASIC) == []
    assert warnings("http://archive.example", {"type": "None"}) == []
    for type_ in MEMBERS:
        assert warnings("http://archive.example", auth(type_)) == ["PlainHTTP"], type_
    in_clear = auth("OAuth2ClientCredentials", tokenURL="http://login.example/token")
    assert warnings("https://archive.example", in_clear) == ["PlainHTTP"]


def test_every_reason_is_declared_with_its_meaning_and_used() -> None:
    for reasons_, kinds in CONDITIONS:
        assert kinds
        assert reasons_.__doc__
        for reason in reasons_:
            assert reason.meaning.endswith("."), reason


@pytest.mark.parametrize("type_", MACHINE_IDENTITIES)
def test_a_machines_identity_is_for_the_platform_to_allow(type_: str) -> None:
    one = CloudTarget.model_validate(target(auth=auth(type_)))
    (refused, *_) = check_target(one, ())
    assert (refused.reason, refused.is_fault) == (Accepted.MACHINE_IDENTITY_NOT_ALLOWED, True)
    assert f"gateway.machineIdentities: [{type_}]" in refused.message
    (accepted, *_) = check_target(one, (type_,))
    assert accepted.reason is Accepted.ACCEPTED
    (other, *_) = check_target(CloudTarget.model_validate(target()), ())
    assert other.reason is Accepted.ACCEPTED


def moving(**spec: Any) -> Json:
    """Return a route that may move to the node `pacs`."""
    query = {
        "listeners": ["dicom"],
        "clients": {"nodes": [{"name": "ct-1"}]},
        "moveDestinations": {"nodes": [{"name": "pacs"}]},
    }
    return changed(route(**spec), "spec.queryRetrieve", query)


def pacs(name: str = "pacs", title: str = "PACS", host: str = "pacs.example") -> Json:
    return changed(node(aeTitle=title, host=host), "metadata.name", name)


def faults(found: list[Finding]) -> list[str]:
    return [str(one.reason) for one in found if not one.status]


def test_a_move_destination_exists_and_says_where_it_is_called() -> None:
    assert faults(findings(moving(), nodes=[node(), pacs()])) == []
    (finding,) = [one for one in findings(moving()) if not one.status]
    assert (str(finding.reason), finding.field) == ("NodeNotFound", "spec.queryRetrieve.moveDestinations.nodes[pacs]")
    silent = changed(node(aeTitle="PACS", allowedSources=["192.0.2.9/32"]), "metadata.name", "pacs")
    assert faults(findings(moving(), nodes=[node(), silent])) == ["NodeHasNoHost"]


def test_two_move_destinations_with_one_title_cannot_be_told_apart() -> None:
    both = changed(moving(), "spec.queryRetrieve.moveDestinations.nodes.1", {"name": "pacs-2"})
    alike = [node(), pacs(), pacs("pacs-2", host="other.example")]
    assert faults(findings(both, nodes=alike)) == ["MoveDestinationsAlike"]
    assert faults(findings(both, nodes=[node(), pacs(), pacs("pacs-2", "PACS2")])) == []


@pytest.mark.parametrize("host", ["ct-to-cloud", "ct-to-cloud.default.svc", "203.0.113.7"])
def test_the_gateway_itself_is_no_move_destination(host: str) -> None:
    itself = changed(moving(), "status", {"endpoints": [{"listener": "dicom", "address": "203.0.113.7", "port": 104}]})
    assert faults(findings(itself, nodes=[node(), pacs(title="CTGATE", host=host)])) == ["MoveDestinationIsGateway"]
    assert faults(findings(itself, nodes=[node(), pacs(host=host)])) == [], "another title is another application"
    assert faults(findings(itself, nodes=[node(), pacs(title="CTGATE")])) == [], "a gateway may call itself as its PACS"


def test_a_node_with_certificates_calls_a_listener_that_verifies_them() -> None:
    known = node(aeTitle="CT1", allowedSources=["192.0.2.0/24"], certificates=[{"dnsName": "ct-1.example"}])
    tls = {
        "certificateRef": {"name": "tls"},
        "clientCABundleRef": {"kind": "ConfigMap", "name": "callers", "key": "ca.crt"},
    }
    verifying = changed(route(), "spec.listeners.0.tls", tls)
    ignoring = changed(verifying, "spec.listeners.0.tls.clientCertificates", "Ignored")
    assert reasons(findings(verifying, nodes=[known])) == FINE
    for one in (route(), ignoring):
        found = findings(one, nodes=[known])
        assert reasons(found) == ["Accepted=True/Accepted", "ResolvedRefs=False/NodeCertificateNotVerified"]
        assert found[1].field == "spec.listeners[dicom].tls"
    assert "clientCertificates: Ignored" in findings(ignoring, nodes=[known])[1].message


@pytest.mark.parametrize(
    ("other", "is_bypassed"),
    [
        ({"allowedSources": ["192.0.2.128/25"]}, True),
        ({"anyAddress": True}, None),
        ({"allowedSources": ["198.51.100.0/24"]}, False),
        ({"allowedSources": ["192.0.2.0/24"], "certificates": [{"commonName": "a"}]}, False),
        ({"allowedSources": ["192.0.2.0/24"], "aeTitle": "CT2"}, False),
    ],
)
def test_certificates_that_another_node_of_that_title_does_not_need(other: Json, is_bypassed: bool | None) -> None:
    known = node(aeTitle="CT1", allowedSources=["192.0.2.0/24"], certificates=[{"dnsName": "ct-1.example"}])
    second = changed(node(**{"aeTitle": "CT1", **other}), "metadata.name", "ct-2")
    both = changed(route(), "spec.listeners.0.sources.nodes.1", {"name": "ct-2"})
    both = changed(
        both,
        "spec.listeners.0.tls",
        {
            "certificateRef": {"name": "tls"},
            "clientCABundleRef": {"kind": "ConfigMap", "name": "callers", "key": "ca.crt"},
        },
    )
    found = [str(one.reason) for one in findings(both, nodes=[known, second])]
    assert ("CertificatesBypassed" in found) == (is_bypassed is not False)
