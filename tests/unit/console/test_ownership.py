"""Whose the fields of a resource are, and what one manager applied, from managedFields as an API server writes them."""

import pytest

from dicomroute_console.pages.ownership import NotYaml, applied, owners, parsed, shown

RESOURCE = {
    "kind": "DicomRoute",
    "metadata": {
        "namespace": "n",
        "name": "r",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "kept"},
        "managedFields": [
            {
                "manager": "dicomroute-console",
                "operation": "Apply",
                "fieldsV1": {
                    "f:spec": {
                        "f:mode": {},
                        "f:rules": {'k:{"name":"ct"}': {".": {}, "f:name": {}, "f:when": {}}},
                        "f:gateway": {"f:labels": {'v:"b"': {}}},
                    }
                },
            },
            {"manager": "operator", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
            {"manager": "argocd", "operation": "Apply", "fieldsV1": {"f:spec": {"f:unmatched": {}}}},
        ],
    },
    "spec": {
        "mode": "Running",
        "unmatched": "Hold",
        "rules": [{"name": "mr", "when": "x"}, {"name": "ct", "when": "y", "destinations": []}],
        "gateway": {"labels": ["a", "b"], "proxy": "http://user:secret@proxy.example"},
    },
}


def test_what_a_manager_applied_is_found_with_todays_values() -> None:
    assert applied(RESOURCE, "dicomroute-console") == {
        "mode": "Running",
        "rules": [{"name": "ct", "when": "y"}],
        "gateway": {"labels": ["b"]},
    }
    assert applied(RESOURCE, "argocd") == {"unmatched": "Hold"}
    assert applied(RESOURCE, "nobody") == {}


def test_owners_are_named_with_the_paths_of_their_fields() -> None:
    assert owners(RESOURCE) == [
        ("argocd", ["spec.unmatched"]),
        (
            "dicomroute-console",
            ['spec.gateway.labels["b"]', "spec.mode", "spec.rules[name=ct].name", "spec.rules[name=ct].when"],
        ),
    ]


def test_what_is_shown_has_no_password_and_nothing_of_the_api_server() -> None:
    text = shown(RESOURCE)
    assert "secret" not in text
    assert "http://…@proxy.example" in text
    assert "managedFields" not in text
    assert "last-applied" not in text
    assert "note: kept" in text


@pytest.mark.parametrize("text", ["- a", "a", "a: [", "!!python/object/apply:os.system [x]", "\x00"])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(NotYaml):
        parsed(text)
    assert parsed("") == {}
