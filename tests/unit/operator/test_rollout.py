"""A new default is taken by a few routes at a time, and by no more once one of them does not become ready."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dicomroute_operator.reconcile.rollout import RouteVersion, may_take, replaces_pods

OLD, NEW = False, True


def key(name: str) -> tuple[str, ...]:
    return (name,)


def test_one_at_a_time_by_name() -> None:
    routes = {key(name): RouteVersion(OLD, True) for name in "cab"}
    assert may_take(routes, 1) == {key("a")}
    assert may_take(routes, 2) == {key("a"), key("b")}


def test_the_next_goes_when_the_first_is_ready() -> None:
    routes = {key("a"): RouteVersion(NEW, False), key("b"): RouteVersion(OLD, True)}
    assert may_take(routes, 1) == {key("a")}
    assert may_take({**routes, key("a"): RouteVersion(NEW, True)}, 1) == {key("a"), key("b")}


def test_a_route_that_does_not_work_anyway_goes_last() -> None:
    routes = {key("a"): RouteVersion(OLD, False), key("b"): RouteVersion(OLD, True)}
    assert may_take(routes, 1) == {key("b")}


@given(
    st.dictionaries(st.text("abcdef", min_size=1), st.tuples(st.sampled_from([OLD, NEW]), st.booleans())),
    st.integers(1, 4),
)
def test_never_more_than_allowed_are_under_way(routes: dict[str, tuple[bool, bool]], allowed: int) -> None:
    images = {key(name): RouteVersion(*one) for name, one in routes.items()}
    taking = may_take(images, allowed)
    under_way = sum(images[name].is_current and not images[name].is_ready for name in images)
    fresh = sum(images[name].is_current is OLD for name in taking)
    assert fresh <= max(0, allowed - under_way)
    assert {name for name in images if images[name].is_current} <= taking


def stateful_set(template: dict[str, Any], asked: str = "") -> dict[str, Any]:
    annotations = {"dicomroute.dev/template": asked} if asked else {}
    return {"metadata": {"annotations": annotations}, "spec": {"template": template}}


def test_pods_are_replaced_when_other_ones_are_asked_for_than_before() -> None:
    wanted = stateful_set({"labels": {"a": "b"}}, "2")
    assert not replaces_pods(stateful_set({"labels": {"a": "b", "theirs": "c"}}, "2"), wanted, None)
    assert replaces_pods(stateful_set({"labels": {"a": "b", "gone": "c"}}, "1"), wanted, None), "one is taken away"
    assert not replaces_pods(stateful_set({"labels": {"a": "b"}}), wanted, None), "of a release that wrote nothing down"
    assert replaces_pods(stateful_set({"labels": {"a": "x"}}), wanted, None)
    rewritten = stateful_set({"labels": {"a": "webhook"}}, "2")
    assert replaces_pods(rewritten, wanted, None)
    assert not replaces_pods(rewritten, wanted, rewritten)
