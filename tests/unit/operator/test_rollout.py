"""A new default image is taken by a few routes at a time, and by no more once one of them does not become ready."""

from hypothesis import given
from hypothesis import strategies as st

from dicomroute_operator.reconcile.rollout import RouteImage, may_take

OLD, NEW = "gateway:1", "gateway:2"


def key(name: str) -> tuple[str, ...]:
    return (name,)


def test_one_at_a_time_by_name() -> None:
    routes = {key(name): RouteImage(OLD, True) for name in "cab"}
    assert may_take(NEW, routes, 1) == {key("a")}
    assert may_take(NEW, routes, 2) == {key("a"), key("b")}


def test_the_next_goes_when_the_first_is_ready() -> None:
    routes = {key("a"): RouteImage(NEW, False), key("b"): RouteImage(OLD, True)}
    assert may_take(NEW, routes, 1) == {key("a")}
    assert may_take(NEW, {**routes, key("a"): RouteImage(NEW, True)}, 1) == {key("a"), key("b")}


def test_a_route_that_does_not_work_anyway_goes_last() -> None:
    routes = {key("a"): RouteImage(OLD, False), key("b"): RouteImage(OLD, True)}
    assert may_take(NEW, routes, 1) == {key("b")}


@given(
    st.dictionaries(st.text("abcdef", min_size=1), st.tuples(st.sampled_from([OLD, NEW]), st.booleans())),
    st.integers(1, 4),
)
def test_never_more_than_allowed_are_under_way(routes: dict[str, tuple[str, bool]], allowed: int) -> None:
    images = {key(name): RouteImage(*one) for name, one in routes.items()}
    taking = may_take(NEW, images, allowed)
    under_way = sum(images[name].image == NEW and not images[name].is_ready for name in images)
    fresh = sum(images[name].image == OLD for name in taking)
    assert fresh <= max(0, allowed - under_way)
    assert {name for name in images if images[name].image == NEW} <= taking
