"""What is seen of objects: only news count, half a list undoes nothing, and a change concerns exactly its routes."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from manifests import changed, node, route, target

from dicomroute_operator.reconcile.world import Key, World

ROUTE, NODE, TARGET = (
    Key("DicomRoute", "default", "ct-to-cloud"),
    Key("DicomNode", "default", "ct-1"),
    Key("CloudTarget", "default", "archive"),
)


def body(document: dict[str, Any], version: int = 1, uid: str = "", **meta: Any) -> dict[str, Any]:
    base = {"namespace": "default", "uid": uid or document["kind"], "resourceVersion": str(version), "generation": 1}
    return {**document, "metadata": {**document["metadata"], **base, **meta}}


def full_world() -> World:
    world = World()
    for document in (route(), node(), target()):
        world.observe(document["kind"], body(document), deleted=False)
    return world


def test_a_change_concerns_itself_and_the_routes_that_name_it() -> None:
    world = full_world()
    other = changed(route(), "metadata.name", "other")
    other["spec"]["listeners"][0]["sources"] = {"policy": "Any"}
    other["spec"]["rules"][0]["destinations"][0]["name"] = "elsewhere"
    world.observe("DicomRoute", body(other, uid="other"), deleted=False)
    assert world.observe("DicomNode", body(node(aeTitle="X", anyAddress=True), 2), deleted=False) == {NODE, ROUTE}
    assert world.observe("CloudTarget", body(target(url="https://x.example"), 2), deleted=False) == {TARGET, ROUTE}
    assert world.observe("CloudTarget", body(target(), 3), deleted=True) == {TARGET, ROUTE}


def test_a_node_that_is_a_destination_concerns_the_routes_that_send_to_it() -> None:
    world = full_world()
    to_pacs = changed(route(), "spec.rules.0.destinations", [{"kind": "DicomNode", "name": "archive"}])
    to_pacs = changed(to_pacs, "metadata.name", "to-pacs")
    key = Key("DicomRoute", "default", "to-pacs")
    world.observe("DicomRoute", body(to_pacs, uid="to-pacs"), deleted=False)
    pacs = changed(node(aeTitle="PACS", host="pacs.example"), "metadata.name", "archive")
    called = Key("DicomNode", "default", "archive")
    assert world.observe("DicomNode", body(pacs, uid="pacs"), deleted=False) == {called, key}
    assert world.observe("CloudTarget", body(target(url="https://x.example"), 2), deleted=False) == {TARGET, ROUTE}


def test_a_label_that_a_selector_wants_concerns_its_route_when_it_comes_and_when_it_goes() -> None:
    world = World()
    chosen = route()
    chosen["spec"]["listeners"][0]["sources"] = {"selector": {"matchLabels": {"site": "south"}}}
    world.observe("DicomRoute", body(chosen), deleted=False)
    assert world.observe("DicomNode", body(node()), deleted=False) == {NODE}
    assert world.observe("DicomNode", body(node(), 2, labels={"site": "south"}), deleted=False) == {NODE, ROUTE}
    assert world.observe("DicomNode", body(node(), 3, labels={}), deleted=False) == {NODE, ROUTE}


def test_a_status_of_our_own_concerns_nobody() -> None:
    world = full_world()
    assert world.observe("DicomRoute", {**body(route(), 2), "status": {"conditions": []}}, deleted=False) == set()


def test_routes_that_ask_for_the_same_concern_each_other() -> None:
    world = World()
    keys = set()
    for name in ("a", "b"):
        one = changed(route(), "spec.gateway", {"service": {"loadBalancerIP": "203.0.113.7"}})
        keys.add(Key("DicomRoute", "default", name))
        found = world.observe("DicomRoute", body(changed(one, "metadata.name", name), uid=name), deleted=False)
    assert found == keys


def test_an_older_version_and_the_deletion_of_a_namesake_are_no_news() -> None:
    world = full_world()
    world.observe("DicomNode", body(node(aeTitle="NEW", anyAddress=True), 9), deleted=False)
    assert world.observe("DicomNode", body(node(), 5), deleted=False) == set()
    assert world.nodes[NODE].spec.ae_title == "NEW"
    assert world.observe("DicomNode", body(node(), 10, uid="an older one"), deleted=True) == set()
    assert NODE in world.nodes


def test_a_list_that_began_before_a_deletion_brings_nothing_back() -> None:
    world = full_world()
    world.observe("DicomNode", body(node(), 2), deleted=True)
    assert world.observe("DicomNode", body(node(), 1), deleted=False) == set()
    assert NODE not in world.nodes
    assert world.observe("DicomNode", body(node(), 3, uid="a new one"), deleted=False) == {NODE, ROUTE}


def test_what_a_list_did_not_have_is_gone_unless_it_came_meanwhile() -> None:
    world = full_world()
    before = dict(world.versions)
    late = changed(node(), "metadata.name", "late")
    world.observe("DicomNode", body(late, uid="late"), deleted=False)
    assert world.listed(before, {ROUTE}) == {NODE, TARGET, ROUTE}
    assert [key.name for key in world.nodes] == ["late"]
    assert world.targets == {}


def test_what_cannot_be_read_is_remembered_and_not_taken_as_absent() -> None:
    world = full_world()
    newer = changed(target(), "spec.auth", {"type": "Quantum"})
    other = changed(changed(route(), "metadata.name", "other"), "spec.rules.0.destinations.0.name", "elsewhere")
    other = changed(other, "spec.listeners.0.sources", {"selector": {"matchLabels": {"site": "south"}}})
    untouched = Key("DicomRoute", "default", "other")
    world.observe("DicomRoute", body(other, uid="other"), deleted=False)
    assert world.observe("CloudTarget", body(newer, 2), deleted=False) == {TARGET, ROUTE}
    assert world.unreadable.keys() == {TARGET}
    assert TARGET in world.targets, "what it was before goes on"
    assert (world.blocker(ROUTE), world.blocker(untouched)) == (TARGET, None)
    assert world.observe("CloudTarget", body(newer, 3), deleted=False) == set(), "the same but for its status"
    unknown = changed(node(), "spec.port", "a name")
    seen = world.observe("DicomNode", body(unknown, 4, labels={"site": "south"}), deleted=False)
    assert seen == {NODE, ROUTE, untouched}
    assert world.blocker(untouched) == NODE
    assert world.observe("CloudTarget", body(target(), 5), deleted=False) == {TARGET, ROUTE}
    assert world.unreadable.keys() == {NODE}


@given(st.permutations([1, 2, 3, 4, 5]))
def test_whatever_the_order_the_newest_version_stays(order: list[int]) -> None:
    world = World()
    for version in order:
        one = body(node(aeTitle=f"V{version}", anyAddress=True), version)
        world.observe("DicomNode", one, deleted=False)
    assert world.nodes[NODE].spec.ae_title == "V5"
