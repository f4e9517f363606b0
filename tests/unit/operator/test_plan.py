"""What has to be written is planned from what is there; what others have added is nobody's business."""

from typing import Any

import pytest

from dicomroute_operator.kube.plan import as_answered, covers, is_as_wanted, plan, with_hash

MARK = "example.com/applied"


def manifest(name: str = "one", **spec: Any) -> dict[str, Any]:
    return {"kind": "Service", "metadata": {"name": name, "namespace": "n"}, "spec": {"type": "ClusterIP", **spec}}


def live(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return what the API server makes of an applied manifest: defaults and a UID are added."""
    marked = with_hash(wanted, MARK)
    return {
        **marked,
        "metadata": {**marked["metadata"], "uid": "u", "resourceVersion": "1"},
        "spec": {**marked["spec"], "sessionAffinity": "None"},
    }


def test_nothing_is_planned_for_what_is_as_applied() -> None:
    todo = plan([manifest()], [live(manifest())], MARK)
    assert (todo.apply, todo.delete) == ((), ())


def test_absent_objects_are_applied_and_unwanted_ones_deleted() -> None:
    stray = live(manifest("stray"))
    todo = plan([manifest()], [stray], MARK)
    assert [one["metadata"]["name"] for one in todo.apply] == ["one"]
    assert todo.delete == (stray,)


def test_a_field_that_somebody_changed_is_applied_again() -> None:
    changed = live(manifest())
    changed["spec"] = {**changed["spec"], "type": "NodePort"}
    assert plan([manifest()], [changed], MARK).apply


def test_a_field_that_is_no_longer_wanted_is_noticed_by_the_hash() -> None:
    before = live(manifest(loadBalancerIP="203.0.113.7"))
    assert covers(before["spec"], manifest()["spec"])
    assert plan([manifest()], [before], MARK).apply


def test_what_others_have_added_is_no_difference() -> None:
    more = live(manifest())
    more["metadata"] = {**more["metadata"], "labels": {"theirs": "x"}}
    assert not plan([manifest()], [more], MARK).apply


@pytest.mark.parametrize(
    ("there", "wanted", "same"),
    [
        ({"cpu": "500m"}, {"cpu": "0.5"}, True),
        ({"memory": "1Gi"}, {"memory": "1024Mi"}, True),
        ({"memory": "1Gi"}, {"memory": "1025Mi"}, False),
        ({"cpu": 1}, {"cpu": "1"}, True),
        ({}, {"annotations": {}}, True),
        ({}, {"sources": []}, True),
        ({"sources": [1]}, {"sources": []}, False),
        ({"c": [{"name": "a", "x": 1}, {"name": "theirs"}]}, {"c": [{"name": "a"}]}, True),
        ({"c": [{"name": "theirs"}]}, {"c": [{"name": "a"}]}, False),
        ({"to": [{"ip": 1}, {"ip": 2}]}, {"to": [{"ip": 1}]}, False),
        ({"flag": True}, {"flag": 1}, True),
        ({"text": "a"}, {"text": "b"}, False),
        ({"text": None}, {"text": "b"}, False),
    ],
)
def test_live_fields_cover_wanted_ones(there: Any, wanted: Any, same: bool) -> None:
    assert covers(there, wanted) is same


def test_an_absent_object_is_not_as_wanted() -> None:
    assert not is_as_wanted(None, manifest())


def test_what_a_webhook_makes_of_an_object_is_as_applied_until_somebody_changes_that() -> None:
    wanted = manifest(containers=[{"name": "gateway", "image": "gateway:1"}], args=["--one"], empty={})
    mirrored = live(wanted)
    mirrored["spec"]["containers"] = [
        {"name": "gateway", "image": "mirror.example/gateway:1"},
        {"name": "sidecar", "image": "theirs"},
    ]
    mirrored["spec"]["args"] = ["--one", "--theirs"]
    del mirrored["spec"]["empty"]
    answer = as_answered(mirrored, with_hash(wanted, MARK))
    assert plan([wanted], [mirrored], MARK).apply != (), "nobody remembers what was answered"
    assert plan([wanted], [mirrored], MARK, lambda _live, _wanted: answer).apply == ()
    mirrored["spec"]["containers"][0]["image"] = "somebody:1"
    assert plan([wanted], [mirrored], MARK, lambda _live, _wanted: answer).apply != ()
