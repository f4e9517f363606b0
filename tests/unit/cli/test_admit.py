"""What would admit a refused caller: every manifest is valid, every sentence one line, whatever the title is."""

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from dicomroute_cli.admit import advices
from dicomroute_cli.commands.refused import manifest_text
from dicomroute_cli.manifests.world import checked
from dicomroute_client.documents.refused import RefusedCaller
from dicomroute_gateway.dimse.associate import _title
from dicomroute_operator.api.node import DicomNode

NOW = "2026-01-02T03:04:05Z"
ADDRESSES = st.ip_addresses().map(str)
REASONS = st.sampled_from(["CallingAETitle", "SourceAddress", "CalledAETitle", "SpoolFull", "Unheard"])
TITLES = st.binary(min_size=16, max_size=16).map(_title)


def caller(
    title: str | None, address: str = "192.0.2.4", reason: str = "CallingAETitle", called: str = "X"
) -> RefusedCaller:
    document = {"callingAETitle": title, "calledAETitle": called, "address": address, "listener": "dicom"}
    return RefusedCaller.model_validate({**document, "reason": reason, "count": 1, "firstTime": NOW, "lastTime": NOW})


@given(st.lists(st.builds(caller, st.none() | TITLES, ADDRESSES, REASONS, TITLES), max_size=8))
@example([caller("CT 1"), caller("CT-1"), caller("ct.1"), caller("1e3"), caller("y"), caller("0o17")])
def test_whatever_bytes_a_title_is_it_makes_a_valid_manifest_or_a_sentence(callers: list[RefusedCaller]) -> None:
    found = advices(callers)
    assert bool(found) == bool(callers)
    for advice in found:
        assert advice.sentence.isprintable()
        if advice.manifest is not None:
            assert checked(DicomNode, advice.manifest)[1] == []
            assert list(yaml.safe_load_all(manifest_text(advice.manifest))) == [advice.manifest]
    names = [one.manifest["metadata"]["name"] for one in found if one.manifest is not None]
    assert len(set(names)) == len(names)


def test_a_known_title_from_another_address_makes_no_manifest() -> None:
    """Applied, it would take away the networks that the node has."""
    found = advices([caller("CT1", "192.0.2.5", "SourceAddress"), caller("CT1", "192.0.2.6")])
    assert [one.manifest for one in found] == [None, None]
    assert "add 192.0.2.5/32 to the node's allowedSources" in found[0].sentence


def test_one_title_from_several_addresses_is_one_node() -> None:
    found = advices([caller("CT1", "192.0.2.5"), caller("CT1", "2001:db8::1"), caller("CT1", "192.0.2.4")])
    (manifest,) = [one.manifest for one in found]
    assert manifest is not None
    assert manifest["spec"]["allowedSources"] == ["192.0.2.4/32", "192.0.2.5/32", "2001:db8::1/128"]


def test_a_title_from_more_addresses_than_a_node_can_have_makes_none() -> None:
    (advice,) = advices(caller("CT1", f"192.0.2.{number}") for number in range(65))
    assert advice.manifest is None
    assert "at most 64 are allowed" in advice.sentence


def test_titles_are_quoted_for_every_reader_of_yaml() -> None:
    for title in ("1e3", "y", "0o17", "NO", "null"):
        (advice,) = advices([caller(title)])
        assert advice.manifest is not None
        assert f"aeTitle: '{title}'" in manifest_text(advice.manifest)
