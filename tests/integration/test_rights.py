"""What the operator's account and the writers of our kinds may do: by the chart's policies, on a real API server."""

import copy
import itertools
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from control_plane import BUILD, Answer, ControlPlane
from manifests import PLURALS, changed, node, route, target
from processes import wait_until

from dicomroute_operator.kinds.crd import crds

Json = dict[str, Any]
CHART = Path(__file__).parents[2] / "charts" / "dicomroute"
OPERATOR = "system:serviceaccount:dicomroute-system:rights-dicomroute"
NAMESPACE = "rights"
GROUPS = {
    "Secret": "api/v1",
    "ConfigMap": "api/v1",
    "Service": "api/v1",
    "ServiceAccount": "api/v1",
    "Pod": "api/v1",
    "PersistentVolumeClaim": "api/v1",
    "StatefulSet": "apis/apps/v1",
    "NetworkPolicy": "apis/networking.k8s.io/v1",
    "PodDisruptionBudget": "apis/policy/v1",
    "ClusterRole": "apis/rbac.authorization.k8s.io/v1",
    "ClusterRoleBinding": "apis/rbac.authorization.k8s.io/v1",
    "ValidatingAdmissionPolicy": "apis/admissionregistration.k8s.io/v1",
    "ValidatingAdmissionPolicyBinding": "apis/admissionregistration.k8s.io/v1",
}


def path_of(document: Json) -> str:
    kind = document["kind"]
    plural = "networkpolicies" if kind == "NetworkPolicy" else f"{kind.lower()}s"
    plural = plural.replace("policys", "policies")
    namespace = document["metadata"].get("namespace")
    return f"/{GROUPS[kind]}/" + (f"namespaces/{namespace}/" if namespace else "") + plural


def apply(plane: ControlPlane, document: Json, user: str = "", force: bool = True) -> Answer:
    """Apply as the operator does: by server-side apply."""
    query = f"fieldManager=dicomroute-operator&force={str(force).lower()}"
    name = document["metadata"]["name"]
    return plane.request("PATCH", f"{path_of(document)}/{name}?{query}", document, user=user, kind="apply-patch+yaml")


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> ControlPlane:
    """The API server with what the chart brings for rights."""
    helm = Path(subprocess.run([BUILD], check=True, capture_output=True, text=True).stdout.strip()) / "helm"
    command = [helm, "template", "rights", CHART, "--namespace", "dicomroute-system", "--kube-version", "1.35.0"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for name in (NAMESPACE, "dicomroute-system"):
        assert control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}}).code == 201
    control_plane.sign_in("dicomroute-system", "rights-dicomroute")
    for document in filter(None, yaml.safe_load_all(text)):
        if document["kind"] in GROUPS and not document["metadata"].get("namespace"):
            answer = apply(control_plane, document)
            assert answer.code in (200, 201), answer.message
    for document in objects().values():
        unlabelled = changed(document, "metadata.labels", {})
        wait_until(lambda: apply(control_plane, renamed(unlabelled), OPERATOR).code == 403, "not in force")  # noqa: B023
    grant(control_plane, "canary", OURS)
    for document in (with_password("canary"), route(gateway={"image": "canary"})):
        wait_until(lambda: write(control_plane, "canary", renamed(document)).code == 403, "not in force")  # noqa: B023
    return control_plane


def secret(name: str, labels: dict[str, str] | None = None, namespace: str = NAMESPACE, **more: Any) -> Json:
    labels = {"dicomroute.dev/route": "ct"} if labels is None else labels
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        **more,
    }


RENDERED = "everything"
"""The name of the golden route."""


def objects() -> dict[str, Json]:
    """Return what the operator renders for a route with everything, by kind and name."""
    text = (Path(__file__).parents[1] / "golden" / "full" / "objects.yaml").read_text().replace(RENDERED, "ct")
    rendered = [changed(one, "metadata.namespace", NAMESPACE) for one in yaml.safe_load_all(text)]
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in rendered}


def gateway(change: Callable[[Json], Any] = lambda _: None, **metadata: Any) -> Json:
    """Return the StatefulSet of a gateway, changed."""
    one = copy.deepcopy(objects()["StatefulSet/ct-gw"])
    one["metadata"].update(metadata)
    change(one)
    return one


def other_claim(one: Json) -> None:
    claims = one["spec"]["volumeClaimTemplates"]
    claims.append(changed(claims[0], "metadata.name", "theirs"))


def copied(one: Json) -> None:
    source = {"kind": "PersistentVolumeClaim", "name": "data-postgres-0"}
    one["spec"]["volumeClaimTemplates"][0]["spec"]["dataSource"] = source


def claiming(change: Callable[[Json], Any]) -> Json:
    """Return a StatefulSet that does not exist yet, as the claims of one that does cannot change."""
    one = gateway(change, name="claims-gw", labels={"dicomroute.dev/route": "claims"})
    spec = one["spec"]["template"]["spec"]
    spec["serviceAccountName"] = "claims-gw"
    spec["volumes"] = [volume for volume in spec["volumes"] if "secret" not in volume]
    mounts = spec["containers"][0]["volumeMounts"]
    spec["containers"][0]["volumeMounts"] = [mount for mount in mounts if mount["name"] != "admin"]
    return one


def pod(change: Callable[[Json], Any]) -> Json:
    return gateway(lambda one: change(one["spec"]["template"]["spec"]))


def container(**fields: Any) -> Json:
    return pod(lambda spec: spec["containers"][0].update(fields))


def confined(**fields: Any) -> Json:
    return pod(lambda spec: spec["containers"][0]["securityContext"].update(fields))


def test_every_object_that_is_rendered_may_be_written_again_and_removed(plane: ControlPlane) -> None:
    for name, document in objects().items():
        for _ in range(2):
            answer = apply(plane, document, OPERATOR)
            assert answer.code in (200, 201), f"{name}: {answer.message}"
    again = changed(objects()["ConfigMap/ct-gw-v1"], "data", {"v1.json": "{}"})
    assert apply(plane, again, OPERATOR).code == 200
    aside = changed(again, "metadata.name", "ct-gw-accepted")
    assert apply(plane, aside, OPERATOR).code == 201
    assert plane.request("DELETE", f"{path_of(aside)}/ct-gw-accepted", user=OPERATOR).code == 200
    for name in ("ConfigMap/ct-gw-v1", "NetworkPolicy/ct-gw"):
        document = objects()[name]
        answer = plane.request("DELETE", f"{path_of(document)}/{document['metadata']['name']}", user=OPERATOR)
        assert answer.code == 200, answer.message


def test_a_label_that_somebody_took_off_comes_back(plane: ControlPlane) -> None:
    service = objects()["Service/ct-dicom"]
    assert apply(plane, service, OPERATOR).code in (200, 201)
    labels = [{"op": "remove", "path": "/metadata/labels"}]
    path = f"{path_of(service)}/{service['metadata']['name']}"
    assert plane.request("PATCH", path, labels, kind="json-patch+json").code == 200  # type: ignore[arg-type]
    answer = apply(plane, service, OPERATOR)
    assert answer.code == 200, answer.message


ATTACKS: dict[str, tuple[Callable[[], Json], str]] = {
    "a token for another service account": (
        lambda: changed(
            secret("token-gw-admin", {"dicomroute.dev/route": "token"}, type="kubernetes.io/service-account-token"),
            "metadata.annotations",
            {"kubernetes.io/service-account.name": "default"},
        ),
        "must have the type Opaque",
    ),
    "a Secret without the label": (lambda: secret("other-gw-admin", {}), "not other-gw-admin"),
    "a Secret of another name": (lambda: secret("archive-credentials"), "not archive-credentials"),
    "a Secret of somebody else": (
        lambda: secret("theirs-gw-admin", {"dicomroute.dev/route": "theirs"}),
        "another owner",
    ),
    "a Secret in kube-system": (lambda: secret("ct-gw-admin", namespace="kube-system"), "nothing in the namespace"),
    "a gateway in kube-system": (lambda: gateway(namespace="kube-system"), "nothing in the namespace"),
    "another service account": (
        lambda: pod(lambda spec: spec.update(serviceAccountName="default")),
        "own service account",
    ),
    "a token in the pod": (lambda: pod(lambda spec: spec.update(automountServiceAccountToken=True)), "without a token"),
    "a token by a volume": (
        lambda: pod(
            lambda spec: spec["volumes"].append(
                {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
            )
        ),
        "no token",
    ),
    "the node's files": (
        lambda: pod(lambda spec: spec["volumes"].append({"name": "root", "hostPath": {"path": "/"}})),
        "its spool",
    ),
    "another Secret as a volume": (
        lambda: pod(lambda spec: spec["volumes"].append({"name": "s", "secret": {"secretName": "other"}})),
        "its spool",
    ),
    "the node's network": (
        lambda: pod(lambda spec: spec.update(hostNetwork=True)),
        "must not use the network, PID or IPC",
    ),
    "the node's processes": (
        lambda: pod(lambda spec: spec.update(hostPID=True)),
        "must not use the network, PID or IPC",
    ),
    "the node's memory": (lambda: pod(lambda spec: spec.update(hostIPC=True)), "must not use the network, PID or IPC"),
    "a privileged container": (
        lambda: confined(privileged=True, allowPrivilegeEscalation=True),
        "restricted Pod Security",
    ),
    "root": (lambda: confined(runAsUser=0, runAsNonRoot=False), "restricted Pod Security"),
    "root for the pod": (
        lambda: pod(lambda spec: spec["securityContext"].update(runAsNonRoot=False)),
        "restricted Pod Security",
    ),
    "a capability": (
        lambda: confined(capabilities={"drop": ["ALL"], "add": ["NET_ADMIN"]}),
        "restricted Pod Security",
    ),
    "a writable root": (lambda: confined(readOnlyRootFilesystem=False), "read-only root"),
    "no seccomp": (lambda: confined(seccompProfile={"type": "Unconfined"}), "restricted Pod Security"),
    "another command": (lambda: container(command=["/bin/sh"]), "command of its image"),
    "every Secret by the environment": (lambda: container(envFrom=[{"secretRef": {"name": "other"}}]), "environment"),
    "a hook": (
        lambda: container(lifecycle={"preStop": {"exec": {"command": ["/bin/sh"]}}}),
        "hooks",
    ),
    "a port of the node": (
        lambda: container(ports=[{"containerPort": 8080, "hostPort": 80}]),
        "host ports",
    ),
    "a second container": (
        lambda: pod(lambda spec: spec["containers"].append({**spec["containers"][0], "name": "second"})),
        "one container",
    ),
    "a container before it": (
        lambda: pod(lambda spec: spec.update(initContainers=[{"name": "first", "image": "attacker"}])),
        "one container",
    ),
    "another claim": (lambda: claiming(other_claim), "only its spool"),
    "a copy of another volume": (lambda: claiming(copied), "an empty volume"),
    "the admin key": (lambda: gateway(namespace="dicomroute-system"), "nothing in the namespace"),
    "a StatefulSet of another name": (lambda: gateway(name="postgres"), "not postgres"),
    "a Service that leads elsewhere": (
        lambda: changed(objects()["Service/ct-dicom"], "spec.selector", {"app": "postgres"}),
        "must select the gateway",
    ),
    "a name outside": (
        lambda: changed(
            objects()["Service/ct-dicom"], "spec", {"type": "ExternalName", "externalName": "attacker.example"}
        ),
        "must select the gateway",
    ),
    "external addresses": (
        lambda: changed(objects()["Service/ct-dicom"], "spec.externalIPs", ["192.0.2.7"]),
        "external addresses",
    ),
    "a policy about others": (
        lambda: changed(objects()["NetworkPolicy/ct-gw"], "spec.podSelector", {}),
        "must select the gateway of its route",
    ),
    "a budget about others": (
        lambda: changed(objects()["PodDisruptionBudget/ct-gw"], "spec.selector", {"matchLabels": {"app": "x"}}),
        "must select the gateway of its route",
    ),
    "a service account with a token": (
        lambda: changed(objects()["ServiceAccount/ct-gw"], "automountServiceAccountToken", True),
        "must not have a token",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_stolen_token_of_the_operator_is_refused(plane: ControlPlane, attack: str) -> None:
    if "somebody else" in attack:
        assert apply(plane, secret("theirs-gw-admin", {})).code in (200, 201)
    document, sentence = ATTACKS[attack]
    made = document()
    answer = apply(plane, made, OPERATOR)
    assert answer.code == 403, f"{answer.code} {answer.message}"
    assert sentence in answer.message


def stored(plane: ControlPlane, document: Json) -> None:
    assert apply(plane, document).code in (200, 201)


def test_pods_and_claims_of_others_are_left_alone(plane: ControlPlane) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-postgres-0", "namespace": NAMESPACE},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    stored(plane, claim)
    labelled = changed(claim, "metadata.labels", {"dicomroute.dev/route": "ct"})
    answer = apply(plane, labelled, OPERATOR)
    assert (answer.code, "must not change any other claim" in answer.message) == (403, True)
    spool = changed(claim, "metadata.name", "spool-ct-gw-0")
    stored(plane, spool)
    spool = changed(spool, "metadata.labels", {"dicomroute.dev/route": "ct"})
    answer = apply(plane, spool, OPERATOR)
    assert answer.code == 200, answer.message
    one = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "ct-gw-0", "namespace": NAMESPACE, "labels": {"dicomroute.dev/route": "ct"}},
        "spec": {"containers": [{"name": "gateway", "image": "gateway"}]},
    }
    stored(plane, one)
    path = f"{path_of(one)}/ct-gw-0"
    annotated = {"metadata": {"annotations": {"dicomroute.dev/configuration": "1"}}}
    assert plane.request("PATCH", path, annotated, user=OPERATOR, kind="merge-patch+json").code == 200
    image = {"spec": {"containers": [{"name": "gateway", "image": "attacker"}]}}
    answer = plane.request("PATCH", path, image, user=OPERATOR, kind="strategic-merge-patch+json")
    assert (answer.code, "may change only the annotations of gateway pods" in answer.message) == (403, True)


# -- the writers of our kinds --------------------------------------------------------------------------------------


def named(document: Json, name: str) -> Json:
    return changed(document, "metadata.name", name)


def grant(plane: ControlPlane, user: str, *rules: Json) -> None:
    """Give a user rights in the namespace."""
    group = "apis/rbac.authorization.k8s.io/v1"
    base = f"/{group}/namespaces/{NAMESPACE}"
    meta = {"name": user, "namespace": NAMESPACE}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": meta, "rules": list(rules)}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": meta,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}],
    }
    assert plane.request("POST", f"{base}/roles", role).code == 201
    assert plane.request("POST", f"{base}/rolebindings", binding).code == 201


OURS = {"apiGroups": ["dicomroute.dev"], "resources": list(PLURALS.values()), "verbs": ["*"]}
PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}
SERIAL = itertools.count()


def renamed(document: Json) -> Json:
    """Return it by a name that no other has: what changes nothing may not be judged."""
    return named(document, f"canary-{next(SERIAL)}")


def write(plane: ControlPlane, user: str, document: Json) -> Answer:
    """Apply one of our kinds as a user."""
    document = changed(document, "metadata.namespace", NAMESPACE)
    plural = PLURALS[document["kind"]]
    path = f"/apis/dicomroute.dev/v1alpha1/namespaces/{NAMESPACE}/{plural}/{document['metadata']['name']}"
    query = "?fieldManager=someone&force=true"
    return plane.request("PATCH", path + query, document, user=user, kind="apply-patch+yaml")


@pytest.fixture
def writer(plane: ControlPlane) -> Callable[..., Callable[[Json], Answer]]:
    """Return what writes as a user of our kinds with more rights."""

    def make(*rules: Json) -> Callable[[Json], Answer]:
        user = f"writer-{next(SERIAL)}"
        grant(plane, user, OURS, *rules)

        wait_until(lambda: write(plane, user, named(node(), user)).code in (200, 201), "the rights are not in force")
        return partial(write, plane, user)

    return make


def reading(*names: str) -> Json:
    return {"apiGroups": [""], "resources": ["secrets"], "resourceNames": list(names), "verbs": ["get"]}


CONFIG_MAPS_ALONE = ("allowedTokensRef", "knownRef")
"""References to what is no secret."""


def secret_paths() -> dict[str, list[str]]:
    """Return where the kinds name Secrets whose content a gateway uses, by plural, as the CRDs have it."""
    found: dict[str, list[str]] = {}

    def walk(schema: Json, path: str, plural: str) -> None:
        for name, inner in schema.get("properties", {}).items():
            is_secret = name not in CONFIG_MAPS_ALONE
            if name.endswith("Ref") and "name" in inner.get("properties", {}) and is_secret:
                found.setdefault(plural, []).append(f"{path}.{name}".removeprefix("."))
            walk(inner.get("items", inner), f"{path}.{name}", plural)

    for crd in crds():
        spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        walk(spec, "", crd["spec"]["names"]["plural"])
    return found


def test_every_field_that_names_a_secret_is_looked_at() -> None:
    policy = (CHART / "templates" / "admission-writers.yaml").read_text()
    paths = [path for several in secret_paths().values() for path in several]
    assert len(paths) >= 11
    for path in paths:
        within = path.removeprefix("listeners.")
        assert f'"{within.replace(".", ".?")}"' in policy, path


def with_password(name: str, called: str = "archive") -> Json:
    auth = {"type": "Basic", "basic": {"username": "gw", "passwordSecretRef": {"name": name, "key": "password"}}}
    return named(target(auth=auth), called)


def test_who_writes_a_target_names_secrets_that_he_may_read(writer: Callable[..., Callable[[Json], Answer]]) -> None:
    writes = writer()
    answer = writes(with_password("archive-password", "first"))
    assert answer.code == 403
    assert "in the namespace rights (archive-password), and therefore may not let a gateway use" in answer.message
    allowed = writer(reading("archive-password"))
    assert allowed(with_password("archive-password", "second")).code in (200, 201)
    assert writes(with_password("archive-password", "second")).code in (200, 201), "it was named before"
    elsewhere = changed(with_password("archive-password", "second"), "spec.url", "https://attacker.example/dicom-web")
    answer = writes(elsewhere)
    assert (answer.code, "(archive-password)" in answer.message) == (403, True), "it would be sent elsewhere"
    answer = writes(with_password("another", "second"))
    assert (answer.code, "(another)" in answer.message) == (403, True)


def test_who_sets_an_image_or_a_pod_template_may_create_pods(
    writer: Callable[..., Callable[[Json], Answer]],
) -> None:
    writes, allowed = writer(), writer(PODS)
    plain = named(route(), "plain")
    assert writes(plain).code in (200, 201), "without either nothing is asked for"
    for field, value in (
        ("image", "registry.example/gateway:mine"),
        ("podTemplate", {"spec": {"priorityClassName": "system-node-critical"}}),
    ):
        name = f"with-{field.lower()}"
        document = named(route(gateway={field: value}), name)
        answer = writes(document)
        assert (answer.code, "may not create pods" in answer.message) == (403, True), answer.message
        assert allowed(document).code in (200, 201)
        assert writes(document).code in (200, 201), "it was so before"
        assert writes(changed(document, "spec.mode", "HoldDeliveries")).code in (200, 201)


def test_what_names_many_secrets_is_judged_as_what_names_one(writer: Callable[..., Callable[[Json], Answer]]) -> None:
    auth = {"type": "Basic", "basic": {"username": "gw", "passwordSecretRef": {"name": "one", "key": "password"}}}
    proxy = {"username": "gw", "passwordSecretRef": {"name": "four", "key": "password"}}
    bundle = {"kind": "Secret", "key": "ca.crt"}
    many = named(
        target(
            auth=auth,
            tls={"caBundleRef": {**bundle, "name": "two"}, "clientCertificateRef": {"name": "three"}},
            proxy={"url": "http://proxy.example:3128", "basic": proxy, "caBundleRef": {**bundle, "name": "five"}},
        ),
        "many",
    )
    assert writer(reading("one", "two", "three", "four", "five"))(many).code in (200, 201)
    answer = writer(reading("one", "two", "three", "four"))(named(many, "more"))
    assert (answer.code, "(one, two, three, four, five)" in answer.message) == (403, True), answer.message
    listeners = [
        {
            "name": f"tls-{number}",
            "port": 2762 + number,
            "aeTitles": ["A"],
            "sources": {"policy": "Any"},
            "tls": {
                "certificateRef": {"name": f"tls-{number}"},
                "clientCABundleRef": {**bundle, "name": f"ca-{number}"},
            },
        }
        for number in range(8)
    ]
    document = named(route(listeners=listeners), "eight")
    secrets = [f"{kind}-{number}" for kind in ("tls", "ca") for number in range(8)]
    assert writer(reading(*secrets))(document).code in (200, 201)
    answer = writer(reading(*secrets[:-1]))(named(document, "seven"))
    assert (answer.code, "ca-7" in answer.message) == (403, True), answer.message


def test_who_sets_an_address_of_the_service_may_create_services(
    writer: Callable[..., Callable[[Json], Answer]],
) -> None:
    service = {"type": "LoadBalancer", "annotations": {"external-dns.alpha.kubernetes.io/hostname": "theirs.example"}}
    document = named(route(gateway={"service": service}), "annotated")
    answer = writer()(document)
    assert (answer.code, "may not create Services" in answer.message) == (403, True), answer.message
    services = {"apiGroups": [""], "resources": ["services"], "verbs": ["create"]}
    assert writer(services)(document).code in (200, 201)


def test_who_encrypts_a_spool_may_read_its_key(writer: Callable[..., Callable[[Json], Answer]]) -> None:
    key = {"keySecretRef": {"name": "spool-key", "key": "keys"}}
    document = named(route(gateway={"spool": {"encryption": key}}), "sealed")
    answer = writer()(document)
    assert (answer.code, "(spool-key)" in answer.message) == (403, True)
    assert writer(reading("spool-key"))(document).code in (200, 201)


def test_who_gives_a_listener_a_certificate_may_read_it(writer: Callable[..., Callable[[Json], Answer]]) -> None:
    tls = {"certificateRef": {"name": "gateway-tls"}, "clientCertificates": "Ignored"}
    document = changed(named(route(), "encrypted"), "spec.listeners.0.tls", tls)
    answer = writer()(document)
    assert (answer.code, "(gateway-tls)" in answer.message) == (403, True)
    assert writer(reading("gateway-tls"))(document).code in (200, 201)
    bundle = {"kind": "Secret", "name": "authorities", "key": "ca.crt"}
    with_authorities = changed(
        document, "spec.listeners.0.tls", {"certificateRef": {"name": "gateway-tls"}, "clientCABundleRef": bundle}
    )
    answer = writer(reading("gateway-tls"))(with_authorities)
    assert (answer.code, "(authorities)" in answer.message) == (403, True)


def test_a_warning_in_place_of_a_refusal() -> None:
    helm = Path(subprocess.run([BUILD], check=True, capture_output=True, text=True).stdout.strip()) / "helm"
    command = [helm, "template", "dicomroute", CHART, "--set", "admissionPolicies.writers=Warn"]
    text = subprocess.run([*command, "--kube-version", "1.35.0"], check=True, capture_output=True, text=True).stdout
    actions = {
        one["metadata"]["name"]: one["spec"]["validationActions"]
        for one in filter(None, yaml.safe_load_all(text))
        if one["kind"] == "ValidatingAdmissionPolicyBinding"
    }
    assert {name for name, action in actions.items() if action == ["Warn"]} == {
        "dicomroute-writers-cloudtargets",
        "dicomroute-writers-deidentificationprofiles",
        "dicomroute-writers-dicomnodes",
        "dicomroute-writers-dicomroutes",
    }


@pytest.mark.parametrize(("annotation", "may"), [(None, False), ("false", False), ("", False), ("true", True)])
def test_a_route_that_owes_instances_is_deleted_when_they_are_given_up_alone(
    plane: ControlPlane, annotation: str | None, may: bool
) -> None:
    name = f"owing-{next(SERIAL)}"
    document = changed(named(route(), name), "metadata.namespace", NAMESPACE)
    if annotation is not None:
        document = changed(document, "metadata.annotations", {"dicomroute.dev/abandon-spool": annotation})
    path = f"/apis/dicomroute.dev/v1alpha1/namespaces/{NAMESPACE}/dicomroutes"
    assert plane.request("POST", path, document).code == 201
    counts = {"receivedTotal": 3, "owed": 3, "deadLettered": 0, "skippedTotal": 0, "deliveredTotal": 0}
    status = {"status": {"instances": {**counts, "discardedTotal": 0}}}
    answer = plane.request("PATCH", f"{path}/{name}/status", status, kind="merge-patch+json")
    assert answer.code == 200, answer.message
    answer = plane.request("DELETE", f"{path}/{name}")
    assert (answer.code == 200) is may, answer.message
    assert may or "still owes 3 instances" in answer.message
