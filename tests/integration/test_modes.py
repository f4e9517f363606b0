"""Modes of a listener, a destination and a rule: obeyed within a second, of that part alone, and visible in status."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gateways import LoneGateway, prepare
from manifests import Json, changed, route
from pdus import data_set, element
from peer import Accepted, Answered, Peer, Rejected, new_uid
from ports import free_port
from processes import wait_until
from routes import local_node, local_route, references, targets
from weather import ChangingArchive

from dicomroute_client.documents.status import StatusDocument
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.status.suspended import suspended

Lone = Callable[..., LoneGateway]
CT, MR = b"CT", b"MR"
HOLD = "HoldDeliveries"
BOUND_SECONDS = 1.0
ROUNDS = 5


class Site:
    """Two archives behind one route: CT images go to `first` by a rule, and everything goes to `second` by another."""

    def __init__(self, first: ChangingArchive, second: ChangingArchive) -> None:
        self.first, self.second = first, second

    def manifests(self, rules: list[Json] | None = None, **spec: Any) -> list[Json]:
        both = targets(first=self.first.url, second=self.second.url)
        return [local_node(), *both, local_route(rules=rules or [self.ct(), self.everything()], **spec)]

    def ct(self, *names: str, **fields: Any) -> Json:
        when = "instance.Modality == 'CT'"
        return {"name": "ct", "when": when, "destinations": references(*(names or ("first",))), **fields}

    def everything(self, **fields: Any) -> Json:
        return {"name": "everything", "destinations": references("second"), **fields}


@pytest.fixture
def site(changing: Callable[..., ChangingArchive]) -> Site:
    return Site(changing(), changing())


def store(gateway: LoneGateway, *modalities: bytes) -> list[str]:
    """Store an instance of each modality with success; return their UIDs."""
    peer = Peer(gateway.port).associated()
    uids = [new_uid() for _ in modalities]
    for uid, modality in zip(uids, modalities, strict=True):
        assert peer.store(data_set(uid, element(0x00080060, "CS", modality)), uid) == Answered(0)
    peer.release()
    return uids


def held(gateway: LoneGateway) -> set[tuple[str, str]]:
    """Return destination and reason of what the queue shows as held."""
    return {(one["destination"], one["reason"]) for one in gateway.get("/api/v1/queue?state=Held")["items"]}


def message(gateway: LoneGateway) -> str:
    """Return what the operator says in the condition Suspended when a gateway reports its status, "" for nothing."""
    found = suspended([StatusDocument.model_validate(gateway.status())])
    return f"{found[0].reason}: {found[0].message}" if found else ""


def test_a_held_destination_gets_nothing_within_a_second_and_the_other_goes_on(
    tmp_path: Path, lone: Lone, site: Site
) -> None:
    gateway = lone(tmp_path, site.manifests())
    (before,) = store(gateway, CT)
    gateway.wait_for(owed=0, deliveredTotal=1)
    hold = site.manifests(destinations=[{**references("first")[0], "mode": HOLD}])
    gateway.reconfigure(hold)
    (after,) = store(gateway, CT)
    wait_until(lambda: site.second.copies(after) == 1, "the other destination waits for nobody")
    assert held(gateway) == {("CloudTarget/first", "DestinationHeld")}
    first = gateway.destination("first")
    assert (first["heldReason"], first["held"], first["pending"]) == ("DestinationHeld", 1, 0)
    assert message(gateway) == "HoldsDeliveries: deliveries to CloudTarget first are held (spec.destinations[].mode)"
    assert (site.first.copies(before), site.first.copies(after)) == (1, 0)
    gateway.reconfigure(site.manifests())
    wait_until(lambda: site.first.copies(after) == 1, "what was held goes out by itself")
    assert message(gateway) == ""


@pytest.mark.parametrize("matching", ["All", "First"])
def test_a_held_rule_still_matches_and_nothing_falls_through_to_another(
    tmp_path: Path, lone: Lone, site: Site, matching: str
) -> None:
    """With `First` a rule that no longer matched would let CT images through to the rule behind it."""
    rules = [site.ct(mode=HOLD), site.everything()]
    gateway = lone(tmp_path, site.manifests(rules, ruleMatching=matching))
    ct, mr = store(gateway, CT, MR)
    wait_until(lambda: site.second.copies(mr) == 1, "the rule that is not held delivers")
    wait_until(lambda: held(gateway) == {("CloudTarget/first", "RuleHeld")}, "it is not held")
    assert site.first.copies(ct) == 0
    gateway.wait_for(owed=1)
    assert site.second.copies(ct) == (1 if matching == "All" else 0)
    assert message(gateway) == "HoldsDeliveries: deliveries of rule ct are held (spec.rules[].mode)"
    gateway.reconfigure(site.manifests([site.ct(), site.everything()], ruleMatching=matching))
    gateway.wait_for(owed=0, deliveredTotal=2)
    assert site.first.copies(ct) == 1
    assert site.second.copies(ct) == (1 if matching == "All" else 0)


def test_of_a_destination_that_two_rules_name_only_what_the_held_one_alone_names_is_held(
    tmp_path: Path, lone: Lone, site: Site
) -> None:
    """What waits already is held, over a restart, and goes out when the rule is resumed while the gateway is down."""
    running = [site.ct("second"), {**site.everything(), "when": "instance.Modality == 'MR'"}]
    held_rule = [{**running[0], "mode": HOLD}, running[1]]
    gateway = lone(tmp_path, site.manifests(running, mode=HOLD))
    ct, mr = store(gateway, CT, MR)
    gateway.reconfigure(site.manifests(held_rule))
    wait_until(lambda: site.second.copies(mr) == 1, "what another rule names is sent")
    wait_until(lambda: held(gateway) == {("CloudTarget/second", "RuleHeld")}, "it is not held")
    second = gateway.destination("second")
    assert (second["held"], second["pending"], second["lastError"]) == (1, 0, None), "a hold is no fault"
    gateway.kill()
    gateway = lone(tmp_path, site.manifests(held_rule))
    (later,) = store(gateway, MR)
    wait_until(lambda: site.second.copies(later) == 1, "what another rule names is sent")
    (item,) = gateway.get("/api/v1/queue?state=Held")["items"]
    assert gateway.change("retry", instances=[item["instance"]]) == 1, "a person may try: the rule holds it again"
    wait_until(lambda: held(gateway) == {("CloudTarget/second", "RuleHeld")}, "it is not held")
    assert site.second.copies(ct) == 0
    gateway.kill()
    gateway = lone(tmp_path, site.manifests(running))
    gateway.wait_for(owed=0)
    assert site.second.copies(ct) == 1


def test_a_rule_that_is_held_and_resumed_again_and_again_loses_nothing_and_sends_nothing_twice(
    tmp_path: Path, lone: Lone, site: Site
) -> None:
    running = [site.ct("second"), {**site.everything(), "when": "instance.Modality == 'MR'"}]
    held_rule = [{**running[0], "mode": HOLD}, running[1]]
    gateway = lone(tmp_path, site.manifests(held_rule))
    uids: list[str] = []
    for _ in range(5):
        uids += store(gateway, *([CT, MR] * 10))
        gateway.reconfigure(site.manifests(running))
        uids += store(gateway, *([CT, MR] * 10))
        gateway.reconfigure(site.manifests(held_rule))
    gateway.reconfigure(site.manifests(running))
    gateway.wait_for(owed=0, deliveredTotal=len(uids))
    assert {site.second.copies(uid) for uid in uids} == {1}


def test_a_listener_that_refuses_associations_leaves_the_other_and_open_associations_alone(
    tmp_path: Path, lone: Lone, site: Site
) -> None:
    port = free_port()
    manifests = site.manifests()
    second = {**manifests[-1]["spec"]["listeners"][0], "name": "second", "port": 11113}
    manifests[-1]["spec"]["listeners"].append(second)
    gateway = lone(tmp_path, manifests, further=[f"--listen=second={port}"])
    open_one = Peer(port).associated()
    refusing = [*manifests[:-1], changed(manifests[-1], "spec.listeners.1.mode", "RefuseAssociations")]
    gateway.reconfigure(refusing)
    assert Peer(port).associate() == Rejected(2, 3, 1)
    assert open_one.store_one() == Answered(0), "an association that is open goes on"
    store(gateway, CT)
    modes = {one["name"]: one["mode"] for one in gateway.status()["listeners"]}
    assert modes == {"dicom": "Running", "second": "RefuseAssociations"}
    assert message(gateway).startswith("RefusesAssociations: new associations are refused by listener second")
    gateway.reconfigure(manifests)
    Peer(port).associated()


def test_a_mode_is_obeyed_within_a_second(tmp_path: Path, lone: Lone, site: Site) -> None:
    """From the moment when the configuration is there; the median of some rounds, as others use this machine too."""
    both = site.manifests()
    refusing = [*both[:-1], changed(both[-1], "spec.listeners.0.mode", "RefuseAssociations")]
    gateway = lone(tmp_path, both)
    seconds: list[float] = []
    for number in range(ROUNDS * 2):
        is_refusing = number % 2 == 0
        prepare(tmp_path, refusing if is_refusing else both)
        began = time.monotonic()
        answer = Rejected if is_refusing else Accepted
        wait_until(lambda answer=answer: isinstance(Peer(gateway.port).associate(), answer), "it is not obeyed")
        seconds.append(time.monotonic() - began)
    assert statistics.median(seconds) < BOUND_SECONDS, seconds


def test_the_condition_names_every_mode_that_is_not_running(tmp_path: Path, lone: Lone, site: Site) -> None:
    query = {"listeners": ["dicom"], "clients": {"nodes": [{"name": "ct-1"}]}, "mode": "Refuse"}
    manifests = site.manifests([site.ct(mode=HOLD), site.everything()], mode="RefuseAssociations", queryRetrieve=query)
    gateway = lone(tmp_path, manifests)
    assert message(gateway) == (
        "RefusesAssociations: the route refuses new associations (spec.mode); deliveries of rule ct are held "
        "(spec.rules[].mode); queries and retrievals are refused (spec.queryRetrieve.mode)"
    )
    (found,) = suspended([StatusDocument.model_validate(gateway.status())])
    assert (found.type, found.status) == ("Suspended", "True")
    assert DicomRoute.model_validate(route()).spec.listeners[0].mode == "Running"
