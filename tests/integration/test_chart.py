"""The chart: what it renders is golden, what contradicts itself is refused, and a real API server takes all of it."""

import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from control_plane import BUILD, ControlPlane

from dicomroute_operator.kinds.crd import crds
from dicomroute_operator.render.settings import GatewayDefaults

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "dicomroute"
GOLDEN = Path(__file__).parents[1] / "golden" / "chart"
CASES = sorted(GOLDEN.glob("*.values.yaml"))


@pytest.fixture(scope="module")
def helm() -> Path:
    return Path(subprocess.run([BUILD], check=True, capture_output=True, text=True).stdout.strip()) / "helm"


def template(helm: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [helm, "template", "dicomroute", CHART, "--namespace", "dicomroute-system", "--kube-version", "1.35.0"]
    return subprocess.run([*command, *words], check=False, capture_output=True, text=True)


def documents(text: str) -> Iterator[dict[str, Any]]:
    return (one for one in yaml.safe_load_all(text) if one)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name.removesuffix(".values.yaml"))
def test_rendered_manifests_are_the_golden_ones(helm: Path, case: Path, request: pytest.FixtureRequest) -> None:
    done = template(helm, "--values", case, "--set", "crds.enabled=false", "--api-versions", "monitoring.coreos.com/v1")
    assert done.returncode == 0, done.stderr
    dashboard = textwrap.indent((CHART / "files" / "dashboard.json").read_text(), "    ")
    text = "\n".join(line for line in done.stdout.splitlines() if not _is_random(line)) + "\n"
    text = text.replace(dashboard, "    files/dashboard.json stands here as it is\n")
    file = case.with_name(case.name.replace(".values.", "."))
    if request.config.getoption("--update-golden"):
        file.write_text(text)
    assert file.read_text() == text, f"{file} differs: read the diff, then `make golden`"


def _is_random(line: str) -> bool:
    return line.startswith("  key: ")  # the admin key, made once in a cluster


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"watch": {"namespaces": ["a"], "selector": {"b": "c"}}}, "watch.selector cannot be used together"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name is empty"),
        ({"adminKey": {"existingSecret": "dicomroute-admin-key"}}, "names the Secret that the chart creates itself"),
        ({"metrics": {"podMonitor": {"enabled": True}}}, "needs the Prometheus operator's PodMonitor"),
        ({"monitoring": {"alerts": {"enabled": True}}}, "needs the Prometheus operator's PrometheusRule"),
        ({"monitoring": {"alerts": {"runbooks": "not a place"}}}, "does not match pattern"),
        ({"console": {"ingress": {"enabled": True}}}, "needs console.hosts and console.ingress.tlsSecretName"),
        ({"console": {"signIn": {"oidc": {"issuer": "https://i.example"}}}}, "needs console.signIn.oidc.clientID"),
        ({"console": {"signIn": {"oidc": {"issuer": "http://i.example"}}}}, "does not match pattern"),
        ({"gatewy": {}}, "additional properties 'gatewy' not allowed"),
        ({"rollout": {"maxConcurrentRoutes": 0}}, "minimum: got 0, want 1"),
        ({"logLevel": "loud"}, "must be one of 'debug', 'info', 'warning', 'error'"),
    ],
)
def test_contradictions_and_mistakes_are_refused(
    helm: Path, values: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    done = template(helm, "--values", file)
    assert done.returncode != 0
    assert sentence in done.stderr


def test_rights_are_somebody_elses_to_give_where_the_chart_is_told_so(helm: Path) -> None:
    rendered = list(documents(template(helm, "--set", "rbac.create=false,rbac.aggregate=false").stdout))
    assert not [one for one in rendered if one["kind"].endswith(("Role", "RoleBinding"))]
    assert [one["metadata"]["name"] for one in rendered if one["kind"] == "ServiceAccount"] == ["dicomroute"]


def test_a_key_that_each_rendering_makes_anew_comes_with_a_warning(helm: Path) -> None:
    sentence = "# WARNING: this was rendered without a cluster"
    assert sentence in template(helm).stdout
    assert sentence not in template(helm, "--set", "adminKey.existingSecret=platform-key").stdout


def test_the_chart_brings_the_crds_and_keeps_them(helm: Path) -> None:
    rendered = [one for one in documents(template(helm).stdout) if one["kind"] == "CustomResourceDefinition"]
    for one in rendered:
        assert one["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert sorted(rendered, key=str) == sorted(crds(), key=str)


def test_the_operator_understands_the_defaults_that_the_chart_gives(helm: Path) -> None:
    rendered = template(helm, "--set", "gateway.podLabels.team=imaging", "--set", "gateway.user=null").stdout
    (text,) = [one["data"]["defaults.yaml"] for one in documents(rendered) if one["kind"] == "ConfigMap"]
    document = yaml.safe_load(text)
    read = GatewayDefaults.model_validate(document)
    assert read.pod_metadata.labels == {"team": "imaging"}
    assert read.resources.limits == {"memory": "1Gi"}
    assert read.user is None
    known = {field.alias or name for name, field in GatewayDefaults.model_fields.items()}
    assert document.keys() <= known


def test_a_real_api_server_takes_every_object(helm: Path, control_plane: ControlPlane) -> None:
    groups = {
        "ClusterRole": "clusterroles",
        "ClusterRoleBinding": "clusterrolebindings",
        "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
        "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
    }
    seen = set()
    for document in documents(template(helm, "--values", GOLDEN / "console.values.yaml").stdout):
        kind = document["kind"]
        if kind in groups:
            path = f"/apis/{document['apiVersion']}/{groups[kind]}"
        elif document["metadata"].get("namespace") == "dicomroute-system":
            document["metadata"]["namespace"] = "default"
            group = "/api/v1" if document["apiVersion"] == "v1" else f"/apis/{document['apiVersion']}"
            plural = {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses"}.get(kind, f"{kind.lower()}s")
            path = f"{group}/namespaces/default/{plural}"
        else:
            continue
        answer = control_plane.request("POST", f"{path}?dryRun=All&fieldValidation=Strict", document)
        assert answer.code == 201, f"{kind}: {answer.message}"
        seen.add(kind)
    assert {"Deployment", "ValidatingAdmissionPolicy", "ClusterRole", "Secret", "Pod", "Ingress"} <= seen
