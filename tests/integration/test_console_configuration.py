"""Changes on screen: tried first, written as the console's own fields, and never taken from whoever sets them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from console import Answer, audit_lines, chromium, fetch_assets, watch
from console_cluster import API, VIEW, InCluster
from control_plane import ControlPlane
from playwright.sync_api import expect

PATH = f"{API}/namespaces/default/dicomroutes/ct-to-cloud"
ROUTE = "/routes/default/ct-to-cloud"
EDIT = [*VIEW, {"apiGroups": ["dicomroute.dev"], "resources": ["dicomroutes"], "verbs": ["patch", "create"]}]


@pytest.fixture(scope="module")
def there(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[InCluster]:
    found = InCluster(control_plane, tmp_path_factory.mktemp("console-configuration"), root)
    found.tokens["editor"] = found.person("default", "editor", EDIT)
    yield found
    found.stop()


def spec(there: InCluster) -> Any:
    return there.plane.request("GET", PATH).body["spec"]


def change(there: InCluster, text: str, step: str = "try", why: str = "", who: str = "editor") -> Answer:
    return there.ask(who, f"{ROUTE}/configuration", form={"text": text, "step": step, "why": why})


def test_a_route_is_held_and_resumed_by_who_may(there: InCluster) -> None:
    assert there.ask("viewer", f"{ROUTE}/mode").code == 403
    form = {"field": "mode", "to": "HoldDeliveries", "why": "the archive moves"}
    assert there.ask("viewer", f"{ROUTE}/mode", form=form).code == 403
    held = there.ask("editor", f"{ROUTE}/mode", form=form)
    assert (held.code, "+mode: HoldDeliveries" in held.text) == (200, True)
    live = there.plane.request("GET", PATH).body
    assert live["spec"]["mode"] == "HoldDeliveries"
    who = "system:serviceaccount:default:editor"
    assert live["metadata"]["annotations"]["dicomroute.dev/console"] == f"{who}: the archive moves"
    (line,) = [one for one in audit_lines(there.log) if one.get("action") == "configuration.apply"]
    assert (line["by"], line["why"], line["fields"]) == (who, "the archive moves", ["mode"])
    there.ask("editor", f"{ROUTE}/mode", form={**form, "to": "Running"})
    assert spec(there)["mode"] == "Running"
    assert there.ask("editor", f"{ROUTE}/mode", form={**form, "to": "Nonsense"}).code == 403


def test_a_listener_a_destination_and_a_rule_are_held_and_given_back(there: InCluster) -> None:
    before = spec(there)
    rule, name = before["rules"][0]["name"], before["listeners"][0]["name"]
    target = before["rules"][0]["destinations"][0]
    parts = {
        f"listeners[{name}].mode": ("RefuseAssociations", "listeners"),
        f"destinations[{target['kind']}/{target['name']}].mode": ("HoldDeliveries", "destinations"),
        f"rules[{rule}].mode": ("HoldDeliveries", "rules"),
    }
    for field, (mode, section) in parts.items():
        held = there.ask("editor", f"{ROUTE}/mode", form={"field": field, "to": mode, "why": "the archive moves"})
        assert (held.code, f"mode: {mode}" in held.text) == (200, True), held.text
        assert mode in {one.get("mode") for one in spec(there)[section]}
    for field in parts:
        assert there.ask("editor", f"{ROUTE}/mode", form={"field": field, "to": "Running"}).code == 200
    assert spec(there) == before, "what was held is as it was, and the console owns nothing of it"
    assert there.ask("editor", f"{ROUTE}/mode", form={"field": "rules[no].mode", "to": "Running"}).code == 403


def test_a_program_holds_and_resumes_a_route(there: InCluster) -> None:
    def post(who: str, **change: Any) -> Answer:
        body = json.dumps({"field": "mode", **change}).encode()
        return there.ask(who, f"/api/v1{ROUTE}/mode", data=body, Content_Type="application/json")

    assert post("viewer", to="HoldDeliveries").code == 403
    tried = json.loads(post("editor", to="HoldDeliveries", dryRun=True).text)
    assert (tried["isWritten"], spec(there)["mode"]) == (False, "Running")
    written = json.loads(post("editor", to="HoldDeliveries").text)
    assert (written["isWritten"], written["problem"], spec(there)["mode"]) == (True, "", "HoldDeliveries")
    assert json.loads(post("editor", to="Running").text)["isWritten"]
    assert post("editor", to="Nonsense").code == 403


def test_a_change_is_tried_and_nothing_is_written(there: InCluster) -> None:
    before = spec(there)
    tried = change(there, "ledger: {retentionSeconds: 777777}")
    assert "The API server would take this" in tried.text
    assert "+  retentionSeconds: 777777" in tried.text
    assert spec(there) == before
    for text, sentence in (
        ("ledger: {retentionSeconds: many}", "retentionSeconds"),
        ("nonsense: 1", "nonsense"),
        ("- a", "the text is not a YAML object"),
        ("a: [", "the text is not valid YAML"),
        ("!!python/object/apply:os.system [true]", "the text is not valid YAML"),
    ):
        refused = change(there, text, "write")
        assert re.search(f'role="alert">.*{sentence}', refused.text, re.DOTALL), (text, refused.text)
        assert spec(there) == before


def test_what_is_set_before_stays_set_and_what_is_taken_out_is_given_back(there: InCluster) -> None:
    assert "Written." in change(there, "ledger: {retentionSeconds: 777777}", "write").text
    there.ask("editor", f"{ROUTE}/mode", form={"field": "mode", "to": "HoldDeliveries"})
    assert (spec(there)["ledger"]["retentionSeconds"], spec(there)["mode"]) == (777777, "HoldDeliveries")
    assert "retentionSeconds: 777777" in there.ask("editor", f"{ROUTE}/configuration").text
    assert "Written." in change(there, "mode: Running", "write").text
    assert spec(there)["ledger"]["retentionSeconds"] != 777777


def test_a_field_of_somebody_else_is_not_taken_and_its_owner_is_named(there: InCluster) -> None:
    before = spec(there)["retry"]["contentAttempts"]
    for step in ("try", "write"):
        refused = change(there, f"retry: {{contentAttempts: {before + 1}}}", step)
        assert "Another owner sets these fields" in refused.text
        assert re.search(r"<code>\.spec\.retry\.contentAttempts</code> conflict with &#34;git&#34;", refused.text)
        assert spec(there)["retry"]["contentAttempts"] == before
    assert "spec.retry.contentAttempts" in there.ask("editor", f"{ROUTE}/configuration").text


def test_who_may_not_patch_sees_and_changes_nothing(there: InCluster) -> None:
    shown = there.ask("viewer", f"{ROUTE}/configuration")
    assert (shown.code, "You do not have permission to patch this object" in shown.text) == (200, True)
    assert "managedFields" not in shown.text
    assert change(there, "mode: HoldDeliveries", "write", who="viewer").code == 403
    assert there.ask("stranger", f"{ROUTE}/configuration").code == 403


def test_a_person_tries_then_writes(there: InCluster, root: Path) -> None:
    fetch_assets(root)
    with chromium() as browser:
        context, watched = watch(browser, there.url.replace("127.0.0.1", "localhost"))
        watched.sign_in(there.tokens["editor"])
        watched.open(f"{ROUTE}/configuration")
        page = watched.page
        page.get_by_label("Fields of spec").fill("mode: HoldDeliveries")
        expect(page.get_by_role("button", name="Write")).to_have_count(0)
        page.get_by_role("button", name="Try").click()
        expect(page.get_by_role("status")).to_contain_text("would take this")
        page.get_by_role("button", name="Write").click()
        expect(page.get_by_role("status")).to_contain_text("Written")
        assert spec(there)["mode"] == "HoldDeliveries"
        assert watched.complaints == []
        context.close()
