"""A configuration is believed only from the operator; the last good one that is kept is, too."""

import json
from pathlib import Path
from typing import Any

import pytest

from dicomroute_gateway.configuration.authentic import ConfigurationSeal
from dicomroute_gateway.configuration.authentic import configuration_mac as gateway_mac
from dicomroute_gateway.process import following as module
from dicomroute_gateway.process.following import Following
from dicomroute_gateway.process.problems import Problems
from dicomroute_operator.gateways.credential import admin_credential
from dicomroute_operator.render.gateway_configuration import configuration_data, is_own

GOLDEN = Path(__file__).parents[2] / "golden" / "smallest" / "configuration.json"
KEY = admin_credential("a-uid", bytes(32)).configuration_key
ANOTHER = admin_credential("a-uid", bytes(31) + b"1").configuration_key


def text(generation: int = 1) -> str:
    return json.dumps({**json.loads(GOLDEN.read_text()), "generation": generation})


class Mounted:
    """The folders of a gateway, and what follows them."""

    def __init__(self, folder: Path, key: str | None = KEY) -> None:
        self.folder = folder
        (folder / "kept").mkdir(exist_ok=True)
        if key is not None:
            self.rotate(key)
        self.start()

    def start(self) -> None:
        self.problems = Problems()
        seal = ConfigurationSeal(self.folder / "configuration-key")
        self.following = Following(self.folder / "v1.json", self.folder / "kept", self.problems, seal)

    def rotate(self, key: str) -> None:
        (self.folder / "configuration-key").write_text(key)

    def mount(self, key: str = KEY, generation: int = 1) -> None:
        """Mount what the operator renders with a key."""
        for name, content in configuration_data(key, **{"v1.json": text(generation)}).items():
            (self.folder / name).write_text(content)

    def reload(self) -> bool:
        changed = self.following.reload()
        if changed:
            self.following.keep()
        return changed

    @property
    def generation(self) -> int | None:
        return self.following.active.configuration.generation if self.following.active else None

    @property
    def reasons(self) -> list[tuple[str, str]]:
        return [(reason, message) for _, reason, message in self.problems]


@pytest.fixture
def mounted(tmp_path: Path) -> Mounted:
    return Mounted(tmp_path)


def test_operator_and_gateway_make_the_same_mac() -> None:
    data = configuration_data(KEY, **{"v1.json": text()})
    assert data["v1.json.mac"] == gateway_mac(KEY, "v1.json", text())
    assert is_own(KEY, data, "v1.json")
    assert not is_own(ANOTHER, data, "v1.json")
    assert not is_own(KEY, {"v1.json": text()}, "v1.json")
    assert not is_own(KEY, {**data, "v1.json": text(2)}, "v1.json")


def test_what_the_operator_writes_is_in_force(mounted: Mounted) -> None:
    mounted.mount()
    assert mounted.reload()
    assert not mounted.reload()
    mounted.mount(generation=2)
    assert mounted.reload()
    assert (mounted.generation, mounted.reasons) == (2, [])


@pytest.mark.parametrize("how", ["another text", "no MAC", "another key's MAC", "a MAC that is no text"])
def test_what_somebody_else_writes_is_not_and_is_said(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    mounted.mount()
    mounted.reload()
    mounted.mount(generation=2, key=ANOTHER if how == "another key's MAC" else KEY)
    if how == "another text":
        (mounted.folder / "v1.json").write_text(text(3))
    elif how == "no MAC":
        (mounted.folder / "v1.json.mac").unlink()
    elif how == "a MAC that is no text":
        (mounted.folder / "v1.json.mac").write_text("ä")
    assert not mounted.reload()
    assert (mounted.generation, mounted.reasons) == (1, []), "they may be mounted one after the other"
    now = module.time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: now + 151)
    assert not mounted.reload()
    ((reason, message),) = mounted.reasons
    assert (mounted.generation, reason) == (1, "ConfigurationForged")
    assert "v1.json was not written by the operator: " in message
    assert "Delete the ConfigMap" in message
    mounted.mount(generation=2)
    assert mounted.reload()
    assert (mounted.generation, mounted.reasons) == (2, [])


def test_a_start_with_a_forged_configuration_goes_by_the_kept_one(mounted: Mounted) -> None:
    mounted.mount()
    mounted.reload()
    (mounted.folder / "v1.json").write_text(text(7))
    mounted.start()
    assert mounted.reload()
    assert mounted.generation == 1
    assert [reason for reason, _ in mounted.reasons] == ["ConfigurationForged"]


def test_a_kept_configuration_that_somebody_else_wrote_is_not_believed(mounted: Mounted) -> None:
    mounted.mount()
    mounted.reload()
    kept: Any = json.loads((mounted.folder / "kept" / "configuration.json").read_text())
    (mounted.folder / "kept" / "configuration.json").write_text(json.dumps({**kept, "generation": 7}))
    (mounted.folder / "v1.json").write_text("no configuration")
    mounted.start()
    assert not mounted.reload()
    assert mounted.generation is None


def test_a_rotated_key_counts_for_what_is_kept_too(mounted: Mounted) -> None:
    mounted.mount()
    mounted.reload()
    mounted.rotate(ANOTHER)
    assert not mounted.reload()
    mounted.mount(ANOTHER)
    mounted.reload()
    assert (mounted.generation, mounted.reasons) == (1, [])
    (mounted.folder / "v1.json").unlink()
    mounted.start()
    assert mounted.reload()
    assert mounted.generation == 1


def test_what_was_in_force_before_is_not_put_back(mounted: Mounted) -> None:
    mounted.mount(generation=5)
    mounted.reload()
    mounted.mount(generation=6)
    assert mounted.reload()
    mounted.mount(generation=5)
    assert not mounted.reload()
    assert mounted.generation == 6
    mounted.start()
    assert mounted.reload(), "the kept one"
    assert (mounted.generation, [reason for reason, _ in mounted.reasons]) == (6, ["ConfigurationForged"])
    mounted.mount(generation=7)
    assert mounted.reload()
    assert (mounted.generation, mounted.reasons) == (7, [])


def test_one_file_is_not_taken_for_another(mounted: Mounted) -> None:
    for name, content in configuration_data(KEY, **{"accepted.json": text(9)}).items():
        (mounted.folder / name.replace("accepted", "v1")).write_text(content)
    assert not mounted.reload()
    assert mounted.generation is None


def test_without_a_key_files_are_believed_as_on_one_machine(tmp_path: Path) -> None:
    mounted = Mounted(tmp_path, None)
    (tmp_path / "v1.json").write_text(text())
    assert mounted.reload()
    assert not (tmp_path / "kept" / "configuration.json.mac").exists()
