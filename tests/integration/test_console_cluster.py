"""The console in a cluster: everybody sees and does there what the API server's RBAC lets them, and nothing more.

A real API server; the gateway is that of `dicomroute run`, at an address that a Pod object has.
"""

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from console import ask, audit_lines, chromium, watch
from console_cluster import InCluster
from control_plane import ControlPlane
from playwright.sync_api import expect
from processes import Process, wait_until

ROUTE = "/routes/default/ct-to-cloud"


@pytest.fixture(scope="module")
def there(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[InCluster]:
    found = InCluster(control_plane, tmp_path_factory.mktemp("console-cluster"), root)
    yield found
    found.stop()


def test_a_viewer_sees_the_status_of_his_namespace_and_no_queue(there: InCluster) -> None:
    listed = there.ask("viewer", "/")
    assert listed.code == 200
    assert "default/ct-to-cloud" in listed.text
    assert "&lt;b&gt;it starts&lt;/b&gt;" in listed.text, "what a condition says is text"
    shown = there.ask("viewer", ROUTE)
    assert (shown.code, "so its gateways are not asked" in shown.text) == (200, True)
    for path in (f"{ROUTE}/queue", f"{ROUTE}/refused", f"{ROUTE}/queue/drop"):
        refused = there.ask("viewer", path)
        assert (path, refused.code) == (path, 403)
        assert "does not have the right to" in refused.text
    assert "Not asked" in there.ask("viewer", "/studies?calling=CT1").text
    assert there.ask("viewer", "/targets/default/archive/test", form={}).code == 403
    assert "/nodes/default/ct-1" in there.ask("viewer", "/nodes").text


def test_who_has_rights_in_another_namespace_sees_nothing_of_this_one(there: InCluster) -> None:
    assert "You cannot see any route" in there.ask("stranger", "/").text
    for path in (ROUTE, f"{ROUTE}/queue", "/targets/default/archive"):
        assert there.ask("stranger", path).code == 403
    assert there.ask("stranger", "/studies?calling=CT1").text.count("None of the gateways that you may ask") == 1


def test_each_decision_has_a_right_of_its_own_and_a_line_that_says_who(there: InCluster) -> None:
    assert "Unmatched" in there.ask("careful", f"{ROUTE}/queue").text
    assert "/queue/drop" not in there.ask("careful", f"{ROUTE}/queue").text, "no button that does nothing"
    refused = there.ask("careful", f"{ROUTE}/queue/drop?state=Held", form={"why": "x"})
    assert refused.code == 403
    dropped = there.ask("operator", f"{ROUTE}/queue/drop?state=Held", form={"why": "sent by mistake"})
    assert (dropped.code, "1 dropped" in dropped.text) == (200, True)
    there.running.wait_for(owed=1, discardedTotal=1)
    who = "system:serviceaccount:default:operator"
    (changed_,) = [
        json.loads(line) for line in there.running.process.output.read_text().splitlines() if '"queue.changed"' in line
    ]
    assert changed_["by"] == who, "the gateway knows the person too"
    lines = audit_lines(there.log)
    assert {(one["event"], one["by"].rpartition(":")[2]) for one in lines} >= {
        ("console.refused", "careful"),
        ("console.done", "operator"),
    }
    assert [one["why"] for one in lines if one.get("by") == who] == ["sent by mistake"]


def test_records_are_seen_by_who_made_them_or_may_audit_the_route(there: InCluster) -> None:
    everything = there.ask("operator", "/audit").text
    assert "sent by mistake" in everything
    assert "default:careful" in everything
    own = there.ask("viewer", "/audit").text
    assert "default:viewer" in own
    assert "sent by mistake" not in own
    assert "default:careful" not in own


def test_tokens_that_are_none_open_nothing(there: InCluster) -> None:
    other = there.token("/api/v1/namespaces/default/serviceaccounts", "operator", audiences=["another"])
    header, payload, _ = there.tokens["operator"].split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    for token in (other, f"{none}.{payload}.", f"{header}.{payload}.AAAA", "x", "ünknown"):
        answer = ask(there.url, "/", Authorization=f"Bearer {token}".encode().decode("latin-1"))
        assert answer.code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_gateway_that_is_another_is_not_told_the_credential(there: InCluster) -> None:
    """Somebody else listens where the pod was: its certificate is not the one of the Secret."""
    path = "/api/v1/namespaces/default/secrets/ct-to-cloud-gw-admin"
    before = there.plane.request("GET", path).body["data"]
    from dicomroute_operator.gateways.credential import admin_credential

    another = base64.b64encode(admin_credential("another", b"k" * 32).certificate.encode()).decode()
    try:
        there.plane.request("PATCH", path, {"data": {"tls.crt": another}}, kind="merge-patch+json")
        shown = there.ask("operator", ROUTE)
        assert "it shows another certificate than the one made for it" in shown.text
    finally:
        there.plane.request("PATCH", path, {"data": before}, kind="merge-patch+json")


def test_people_sign_in_with_a_token_and_are_who_the_cluster_says(there: InCluster) -> None:
    with chromium() as browser:
        url = there.url.replace("127.0.0.1", "localhost")
        context, watched = watch(browser, url)
        watched.sign_in(there.tokens["operator"])
        expect(watched.page.get_by_text("system:serviceaccount:default:operator")).to_be_visible()
        watched.page.get_by_role("link", name="default/ct-to-cloud").click()
        expect(watched.page.get_by_role("region", name="Conditions")).to_contain_text("Starting")
        expect(watched.page.get_by_role("region", name="Destinations")).to_contain_text("CloudTarget/archive")
        (cookie,) = context.cookies()
        assert cookie["name"] == "__Host-dicomroute-console"
        assert cookie["secure"]
        assert there.tokens["operator"] not in str(context.storage_state())
        assert watched.complaints == []
        context.close()


def test_a_cluster_that_does_not_answer_is_said(tmp_path: Path, there: InCluster) -> None:
    log = tmp_path / "console.log"
    authorities = there.running.folder / "authorities.crt"
    command = [sys.executable, "-m", "dicomroute_console", "--kubernetes=https://127.0.0.1:9", "--port=0"]
    lonely = Process([*command, f"--authorities={authorities}"], log)
    try:
        lonely.wait_until(lambda: log.read_text().startswith("127.0.0.1 "), "the console does not listen")
        url = f"http://127.0.0.1:{log.read_text().split()[1]}"
        answer = ask(url, "/", Authorization="Bearer x")
        assert answer.code == 502
        assert "the API server does not answer" in answer.text
        assert ask(url, "/healthz").code == 200
    finally:
        lonely.stop()


def test_a_right_that_is_taken_away_is_gone_within_half_a_minute(there: InCluster) -> None:
    """The last test of this file: afterwards the operator has no right."""
    assert there.ask("operator", f"{ROUTE}/queue/drop").code == 200
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings/operator"
    assert there.plane.request("DELETE", path).code == 200
    assert there.ask("operator", ROUTE).code == 403, "what the API server itself is asked is gone at once"
    gone = "does not have the right to delete dicomroutes/queue"
    wait_until(lambda: gone in there.ask("operator", f"{ROUTE}/queue/drop").text, "the right is still there", 32)
