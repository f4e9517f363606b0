"""Alerts and dashboard: Prometheus' own tool reads them, they speak of what is exposed, their pages exist."""

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from expositions import Families, families, gateway_exposition, operator_exposition, unknown
from gateways import LoneGateway
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "charts" / "dicomroute" / "files" / "alerts.yaml"
DASHBOARD = ROOT / "charts" / "dicomroute" / "files" / "dashboard.json"
RENDERED = ROOT / "tests" / "golden" / "chart" / "monitored.yaml"
CASES = ROOT / "tests" / "monitoring"
VARIABLES = {"$__rate_interval": "5m", "$namespace": "radiology", "$route": "ct"}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def expressions() -> list[str]:
    """Return the expressions of the dashboard, as Grafana sends them."""
    found = [one["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for one in panel.get("targets", [])]
    for variable, text in VARIABLES.items():
        found = [one.replace(variable, text) for one in found]
    return found


def promtool(*words: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["promtool", *words], check=False, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Families]]:
    """The metrics of a real gateway, and those of the operator."""
    started: list[LoneGateway] = []

    def lone(*arguments: Any, **options: Any) -> LoneGateway:
        started.append(LoneGateway(*arguments, **options))
        return started[-1]

    try:
        text = gateway_exposition(tmp_path_factory.mktemp("gateway"), lone)
        yield {"gateway": families(text), "operator": families(operator_exposition())}
    finally:
        for one in started:
            one.kill()


def test_prometheus_reads_the_rules_with_nothing_to_complain_of(tmp_path: Path) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", ALERTS)
    (rendered,) = [one for one in yaml.safe_load_all(RENDERED.read_text()) if one["kind"] == "PrometheusRule"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rendered["spec"]))
    promtool("check", "rules", "--lint=all", "--lint-fatal", tmp_path / "rules.yaml")


@pytest.mark.parametrize("alert", [rule["alert"] for rule in rules()])
def test_an_alert_fires_when_it_should_and_only_then(alert: str) -> None:
    file = CASES / f"{alert}.yaml"
    checks = [(test["name"], check) for test in yaml.safe_load(file.read_text())["tests"]
              for check in test["alert_rule_test"] if check["alertname"] == alert]  # fmt: skip
    assert {bool(check["exp_alerts"]) for _, check in checks} == {True, False}, "one case of each"
    assert all(bool(check["exp_alerts"]) == (name == "fires") for name, check in checks)
    promtool("test", "rules", file.name, folder=CASES)


def test_a_case_that_does_not_hold_fails(tmp_path: Path) -> None:
    """Promtool reads the rules, and not only the syntax of the cases."""
    case = (
        (CASES / "DicomrouteDeadLetters.yaml").read_text().replace("../../charts/dicomroute/files", str(ALERTS.parent))
    )
    (tmp_path / "case.yaml").write_text(case.replace("values: 0 3x20", "values: 0x20"))
    done = subprocess.run(["promtool", "test", "rules", "case.yaml"], cwd=tmp_path, check=False, capture_output=True)
    assert done.returncode != 0


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_what_happened_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["alert"].startswith("Dicomroute")
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert all(text.endswith(".") for name, text in rule["annotations"].items() if name != "runbook_url")
    page = ROOT / rule["annotations"]["runbook_url"]
    text = page.read_text()
    assert rule["alert"] in text, f"{page.name} does not say which alert leads to it"
    assert "**What you see.**" in text
    assert f"]({page.name})" in (page.parent / "README.md").read_text()


def test_the_chart_puts_the_address_of_the_pages_into_every_alert() -> None:
    (rendered,) = [one for one in yaml.safe_load_all(RENDERED.read_text()) if one["kind"] == "PrometheusRule"]
    found = [rule["annotations"]["runbook_url"] for group in rendered["spec"]["groups"] for rule in group["rules"]]
    assert found == [
        rule["annotations"]["runbook_url"].replace("docs/runbooks", "https://wiki.example/dicomroute")
        for rule in rules()
    ]


def test_alerts_and_dashboard_speak_of_what_is_exposed(exposed: dict[str, Families]) -> None:
    known = exposed["gateway"] | exposed["operator"]
    for expression in [*expressions(), *(rule["expr"] for rule in rules())]:
        assert unknown(expression, known) == [], expression
    assert unknown("sum by (title) (dicomroute_stored_total)", known) == ["dicomroute_stored_total", "title"]


def test_every_metric_of_ours_is_on_the_dashboard(exposed: dict[str, Families]) -> None:
    text = " ".join(expressions())
    ours = [name for kind in exposed.values() for name in kind if name.startswith("dicomroute_")]
    assert [name for name in ours if not re.search(rf"\b{name}(_bucket)?\b", text)] == []


def test_prometheus_reads_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    found = expressions()
    assert not [one for one in found if "$" in one], "a variable that the test does not know"
    recorded = [{"record": f"panel:{number}", "expr": one} for number, one in enumerate(found)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    assert f"{len(found)} rules found" in promtool("check", "rules", tmp_path / "rules.yaml").stdout


def test_the_dashboard_is_what_its_source_makes() -> None:
    made = subprocess.run(["python3", ROOT / "tools" / "dashboard.py"], check=True, capture_output=True, text=True)
    assert DASHBOARD.read_text() == made.stdout, "charts/dicomroute/files/dashboard.json is stale: run `make generate`"


def test_the_dashboard_is_as_grafana_documents_its_model() -> None:
    document = json.loads(DASHBOARD.read_text())
    validator = Draft202012Validator(json.loads((CASES / "dashboard.schema.json").read_text()))
    assert [f"{one.json_path}: {one.message}" for one in validator.iter_errors(document)] == []
    panels = document["panels"]
    rows = [one["title"] for one in panels if one["type"] == "row"]
    services = ["Studies and events", "Queries and retrievals", "Storage commitment"]
    assert rows == ["Receiving", "Spool", "Deliveries by destination", *services, "Operator"]
    assert max(Counter(one["id"] for one in panels).values()) == 1
    places = [one["gridPos"] for one in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    cells = Counter(
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    )
    assert max(cells.values()) == 1, "two panels overlap"
    variables = {one["name"] for one in document["templating"]["list"]}
    assert set(re.findall(r"\$\{?([a-z]+)", json.dumps(panels))) <= variables


def table(text: str) -> Families:
    """Return the metrics of the tables of a page: type and labels by name."""
    row = re.compile(r"^\| `(\w+)` \| (gauge|counter|histogram) \|([^|]*)\|", re.MULTILINE)
    return {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in row.findall(text)}


def test_the_page_has_every_metric_with_its_type_and_labels(exposed: dict[str, Families]) -> None:
    written = table((ROOT / "docs" / "observability.md").read_text())
    ours = {name: found for kind in exposed.values() for name, found in kind.items() if name.startswith("dicomroute_")}
    assert written == ours


def test_the_page_has_every_alert_with_its_severity_and_runbook() -> None:
    text = (ROOT / "docs" / "observability.md").read_text()
    written = {
        name: (severity, page)
        for names, severity, page in re.findall(
            r"^\| (`Dicomroute.*) \| (\w+) \| .*\((runbooks/.*)\) \|$", text, re.MULTILINE
        )
        for name in re.findall(r"`(\w+)`", names)
    }
    assert written == {
        rule["alert"]: (rule["labels"]["severity"], rule["annotations"]["runbook_url"].removeprefix("docs/"))
        for rule in rules()
    }
