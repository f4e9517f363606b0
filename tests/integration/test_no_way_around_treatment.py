"""Whatever manifests follow each other, right or broken: who is to get nothing untreated gets nothing untreated."""

import asyncio
import base64
import itertools
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from manifest_way import ManifestWay
from manifests import Json, changed, profile, target
from origin_server import OriginServer
from planted.encoding import EXPLICIT, data_set
from routes import local_node, local_route

from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.api.node import DicomNode
from dicomroute_operator.api.profile import DeidentificationProfile
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.target import CloudTarget
from dicomroute_operator.gather.route import gather_route

KEY = bytes(range(32))
NAME = b"Qzxmiller"
RESEARCH = {"kind": "CloudTarget", "name": "research"}
OPEN = {"kind": "CloudTarget", "name": "open"}
FLAWS = ("", "cel", "conflict", "document", "destination", "step", "runtime", "profile")
_FOLDERS = itertools.count(1)


@dataclass(frozen=True)
class Manifest:
    """What a person applies: the profile for research, what that accepts, and a mistake beside it."""

    treatment: str = ""
    strict: bool = False
    flaw: str = ""

    @property
    def treats(self) -> bool:
        return bool(self.treatment) or self.flaw == "runtime"

    def inputs(self, research: OriginServer, open_: OriginServer) -> RouteInputs:
        rules: list[Json] = [
            {"name": "open", "destinations": [OPEN]},
            {"name": "research", "when": "instance.PatientID != ''", "destinations": [RESEARCH]},
        ]
        if self.treatment:
            rules[1]["deidentify"] = {"name": self.treatment}
        if self.flaw == "cel":
            rules.append({"name": "mistake", "when": "instance.Modality ==", "destinations": [OPEN]})
        if self.flaw == "conflict":  # where research is treated, the operator does not accept this
            rules.append({"name": "all", "destinations": [RESEARCH]})
        if self.flaw == "runtime":  # it has no answer for any instance here
            other = {"deidentify": {"name": "one"}}
            rules.append({"name": "bound", "when": "int(instance.PatientID) > 3", "destinations": [RESEARCH], **other})
        names = () if self.flaw == "profile" else ("one", "two")
        profiles = [changed(profile(patientID={"prefix": f"{n.upper()}-"}), "metadata.name", n) for n in names]
        accepts = "DeidentifiedOnly" if self.strict else "Any"
        targets = [
            changed(target(url=research.url, accepts=accepts), "metadata.name", "research"),
            changed(target(url=open_.url), "metadata.name", "open"),
        ]
        return gather_route(
            DicomRoute.model_validate(local_route(rules=rules)),
            [DicomNode.model_validate(local_node())],
            [CloudTarget.model_validate(one) for one in targets],
            profiles=[DeidentificationProfile.model_validate(one) for one in profiles],
        )

    def break_text(self, configuration: Json) -> None:
        """Write what a gateway cannot use, as a newer operator might."""
        if self.flaw == "document":
            configuration["unheardOf"] = True
        for one in configuration["destinations"]:
            if self.flaw == "destination" and one["name"] == "research":
                one["unheardOf"] = True
        for rule in configuration["rules"]["rules"]:
            if self.flaw == "step" and rule.get("steps"):
                rule["steps"] = [{"step": "Scramble"}]


def instance(number: int) -> tuple[bytes, str]:
    uid = f"1.2.3.{number}"
    elements = [
        (0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.2"),
        (0x00080018, "UI", uid.encode()),
        (0x00100010, "PN", NAME + b"^Ann"),
        (0x00100020, "LO", b"PID1234"),
        (0x0020000D, "UI", b"1.2.3.40"),
        (0x0020000E, "UI", b"1.2.3.50"),
        (0x7FE00010, "OW", bytes(64)),
    ]
    return data_set(elements, EXPLICIT), uid


manifests = st.builds(Manifest, st.sampled_from(("", "one", "two")), st.booleans(), st.sampled_from(FLAWS))
steps = st.one_of(
    manifests,
    st.integers(1, 3),
    st.sampled_from(("deliver", "restart", "restart unmounted", "retry", "release")),
)


class Watched:
    """A gateway, and what research may have got at each moment."""

    def __init__(self, folder: Path) -> None:
        self.way = ManifestWay(folder)
        self.research, self.open = OriginServer(), OriginServer()
        self.newest = Manifest()
        self.promised: dict[str, bool] = {}
        self.seen: set[bytes] = set()

    def tell(self, manifest: Manifest) -> None:
        self.newest = manifest
        self.way.tell(manifest.inputs(self.research, self.open), manifest.break_text)

    def receive(self, number: int) -> None:
        data, uid = instance(number)
        known = self.promised.get(uid, False) and self.way.holds(uid)
        self.way.receive(data, uid)
        self.promised[uid] = known or (bool(self.newest.treatment) and not self.newest.flaw)

    async def deliver(self) -> None:
        await self.way.deliver([self.research, self.open])
        self.look()

    def look(self) -> None:
        for file in self.research.kept - self.seen:
            is_raw = NAME in file
            assert not (is_raw and self.newest.strict), f"a name at a strict target: {self.newest}"
            assert not (is_raw and self.newest.treats), f"a name at a treated target: {self.newest}"
            uid = next((one for one in self.promised if one.encode() in file), "")
            assert not (is_raw and self.promised[uid]), "what was promised a treatment came without one"
            if self.newest.treatment and self.newest.flaw != "runtime":
                assert f"{self.newest.treatment.upper()}-".encode() in file, f"an older treatment: {self.newest}"
        self.seen |= self.research.kept


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, min_size=3, max_size=12))
@example([1, Manifest("one", flaw="cel"), "deliver", "restart unmounted", "deliver"])
@example([1, Manifest("one", flaw="document"), "restart", "deliver", "retry", "deliver"])
@example([1, Manifest("one", flaw="step"), "deliver", "restart unmounted", "deliver"])
@example([1, Manifest(strict=True, flaw="destination"), "deliver"])
@example([1, Manifest("one", flaw="conflict"), "deliver", "release", "deliver"])
@example([Manifest("one"), 1, Manifest("two"), "deliver", Manifest(), 1, "deliver"])
@example([Manifest("", flaw="runtime"), 1, "deliver", "retry", "deliver"])
def test_nobody_gets_what_the_newest_manifest_would_have_treated(
    tmp_path_factory: pytest.TempPathFactory, sequence: list[Manifest | int | str]
) -> None:
    folder = tmp_path_factory.mktemp(f"way-{next(_FOLDERS)}")
    for name in ("research",):
        (folder / "secrets" / name).mkdir(parents=True)
        (folder / "secrets" / name / "key").write_bytes(base64.b64encode(KEY))
    asyncio.run(follow(Watched(folder), sequence))


async def follow(watched: Watched, sequence: list[Manifest | int | str]) -> None:
    way = watched.way
    watched.tell(Manifest())
    way.open()
    try:
        for step in sequence:
            match step:
                case Manifest():
                    watched.tell(step)
                    way.reload()
                case int():
                    watched.receive(step)
                case "deliver":
                    await watched.deliver()
                case "restart" | "restart unmounted":
                    await way.close()
                    if step != "restart":
                        way.unmount()
                    way.open()
                case _:
                    way.change(str(step))
            watched.look()
        await ends_well(watched)
    finally:
        await way.close()
        watched.research.close()
        watched.open.close()


async def ends_well(watched: Watched) -> None:
    """A right manifest lets all that waits go, treated as it says: to hold everything for ever would be easy."""
    watched.tell(Manifest("two"))
    watched.way.reload()
    await watched.deliver()
    watched.way.change("release")
    watched.way.change("retry")
    await watched.deliver()
    assert watched.way.states("CloudTarget/research") == {}
