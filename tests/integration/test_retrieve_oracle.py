"""Retrievals over 66 studies in twelve character sets, held against what is computed from the files.

The expectations share no code with the gateway: the files are read by pydicom, and every key that an identifier names
has to be that of the file.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from archive_server import ArchiveServer, Play
from corpus import data_set_bytes
from find_oracle import CT, ROOT, SC, make_files, read
from gateways import LoneGateway
from manifests import changed
from orthanc import Orthanc
from pydicom.dataset import Dataset
from retrieving import EXPLICIT, Answers, Client, Receiver, cloud_route, identifier, moving_route
from running import dcmsend

STORAGE = {CT: [EXPLICIT], SC: [EXPLICIT]}
UNIQUE = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def study(number: int) -> str:
    return f"{ROOT}.2.{number}"


def series(number: int, index: int = 0) -> str:
    return f"{ROOT}.3.{number}.{index}"


def image(number: int, index: int = 0, instance: int = 0) -> str:
    return f"{ROOT}.1.{number}.{index}.{instance}"


@dataclass(frozen=True)
class Retrieval:
    """A retrieval: its level, and values of unique keys by keyword; several stand in a list."""

    level: str
    keys: Mapping[str, Any]
    model: str = "S"

    def __str__(self) -> str:
        return f"{self.model}-{self.level}-" + "-".join(f"{k}={str(v)[-24:]}" for k, v in self.keys.items())

    @property
    def identifier(self) -> Dataset:
        return identifier(self.level, **self.keys)

    def names(self, file: Dataset) -> bool:
        return all(
            str(file.get(key)) in ([value] if isinstance(value, str) else value) for key, value in self.keys.items()
        )


def _of(level: str, *values: Any, model: str = "S") -> Retrieval:
    """Return a retrieval that names every level from the top of its model down to its own."""
    keywords = UNIQUE if model == "P" else UNIQUE[1:]
    return Retrieval(level, {key: value for key, value in zip(keywords, values, strict=False) if value}, model)


RETRIEVALS: Sequence[Retrieval] = (
    *(_of("STUDY", study(number)) for number in (0, 2, 3, 6, 8, 11, 12, 13)),
    _of("STUDY", [study(1), study(2), study(4)]),
    _of("STUDY", [study(number) for number in range(66)]),
    _of("STUDY", [study(5), "1.2.3"]),
    _of("STUDY", "1.2.3"),
    _of("PATIENT", "ID_001", model="P"),
    _of("PATIENT", "ID%000", model="P"),
    _of("PATIENT", "ID%024", model="P"),
    _of("PATIENT", "nobody", model="P"),
    _of("STUDY", "ID_001", study(1), model="P"),
    _of("STUDY", "ID_001", study(2), model="P"),
    _of("SERIES", "ID%002", study(2), series(2, 1), model="P"),
    _of("SERIES", study(2), series(2)),
    _of("SERIES", study(2), [series(2), series(2, 1)]),
    _of("SERIES", study(2), series(7, 1)),
    _of("IMAGE", study(2), series(2), image(2, 0, 1)),
    _of("IMAGE", study(2), series(2), [image(2, 0, 0), image(2, 0, 2)]),
    _of("IMAGE", study(2), series(2), image(2, 1, 0)),
    _of("IMAGE", [study(2), study(5)], [series(2), series(5)], [image(2, 0, 1), image(5, 0, 0)]),
    _of("IMAGE", [study(2), study(5)], [series(2), series(5)], [image(2, 0, 1), "1.2.3.4"]),
    _of("IMAGE", "ID_005", study(5), series(5), image(5, 0, 2), model="P"),
    # The node may leave out the levels above (relational: Always).
    _of("SERIES", "", [series(4), series(9, 1)]),
    _of("IMAGE", "", "", [image(4, 0, 0), image(9, 1, 0), image(20, 0, 0)]),
)


@dataclass
class Files:
    """The files and what pydicom reads of them."""

    paths: list[Path]
    heads: list[Dataset]
    data_sets: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.data_sets = {
            str(head.SOPInstanceUID): data_set_bytes(path.read_bytes())
            for path, head in zip(self.paths, self.heads, strict=True)
        }


def differences(retrieval: Retrieval, answers: Answers, received: Sequence[bytes], files: Files) -> list[str]:
    """Return what is wrong with the answer to a retrieval, and with what came."""
    wanted = {str(head.SOPInstanceUID) for head in files.heads if retrieval.names(head)}
    found = []
    if sorted(received) != sorted(files.data_sets[uid] for uid in wanted):
        found.append(f"{len(received)} data sets came, and {len(wanted)} are right")
    if answers.final != (0x0000, (None, len(wanted), 0, 0)):
        found.append(f"it ended with {answers.final}, and {len(wanted)} are to be completed: {answers.comment}")
    # pynetdicom's own reactor takes a Pending that comes before its generator is asked: then there is none.
    if answers.failed or not set(answers.statuses[:-1]) <= {0xFF00}:
        found.append(f"{answers.statuses}, failed {answers.failed}")
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    paths = make_files(tmp_path_factory.mktemp("studies"))
    return Files(paths, read(paths))


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    one = Receiver(STORAGE)
    yield one
    one.close()


@pytest.fixture(scope="module", params=["spool", "strict", "AWS", "orthanc"])
def gateway(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, files: Files, receiver: Receiver
) -> Iterator[LoneGateway]:
    """Start a gateway over what has the files: its spool, a strict origin server, one that gives single instances alone
    and searches by hierarchy alone, as AWS does, Debian's Orthanc.
    """
    folder = tmp_path_factory.mktemp("gateway")
    server, orthanc = None, None
    match request.param:
        case "spool":
            documents = moving_route(port=receiver.port)
        case "strict" | "AWS":
            provider = "AWS" if request.param == "AWS" else "Generic"
            server = ArchiveServer(Play(provider=provider))
            server.keep(*(path.read_bytes() for path in files.paths))
            documents = cloud_route(server.url, port=receiver.port, provider=provider)
        case _:
            orthanc = Orthanc(folder / "orthanc", further={"DefaultEncoding": "Utf8"})
            for path in files.paths:
                orthanc.post("/instances", path.read_bytes())
            documents = cloud_route(orthanc.url, port=receiver.port, provider="Orthanc")
    documents[0] = changed(documents[0], "spec.relational", "Always")
    one = LoneGateway(folder, documents)
    if request.param == "spool":
        assert dcmsend(one.port, files.paths) == 0
    yield one
    one.kill()
    if server is not None:
        server.close()
    if orthanc is not None:
        orthanc.stop()


@pytest.mark.parametrize("retrieval", RETRIEVALS, ids=str)
def test_what_is_named_comes_whole_and_nothing_else(
    gateway: LoneGateway, receiver: Receiver, files: Files, retrieval: Retrieval, request: pytest.FixtureRequest
) -> None:
    receiver.received.clear()
    client = Client(gateway.port, storage=STORAGE)
    moved = client.move(retrieval.identifier, model=retrieval.model)
    got = client.get(retrieval.identifier, model=retrieval.model)
    client.release()
    is_within_a_study = bool({"PatientID", "StudyInstanceUID"} & retrieval.keys.keys())
    if request.node.callspec.params["gateway"] == "AWS" and not is_within_a_study:
        # It lists instances within a study alone: the list cannot be read, and that is what is said.
        assert (moved.final, got.final) == ((0xA701, (None, 0, 0, 0)), (0xA701, (None, 0, 0, 0)))
        assert moved.comment == got.comment == "CloudTarget/cloud: NotRelational"
        assert (receiver.received, client.received) == ([], [])
        return
    assert differences(retrieval, moved, [data for _, data in receiver.received], files) == []
    assert differences(retrieval, got, [data for _, data in client.received], files) == []


def test_they_are_enough_of_them(files: Files) -> None:
    assert len(RETRIEVALS) >= 25
    assert {one.level for one in RETRIEVALS} == {"PATIENT", "STUDY", "SERIES", "IMAGE"}
    assert len({str(head.StudyInstanceUID) for head in files.heads}) >= 60


def test_the_runner_sees_what_is_wrong(files: Files) -> None:
    retrieval = RETRIEVALS[1]
    uids = [str(head.SOPInstanceUID) for head in files.heads if retrieval.names(head)]
    right = [files.data_sets[uid] for uid in uids]
    count = len(right)
    assert count > 1

    def ended(status: int = 0, completed: int = count, failed: tuple[str, ...] = ()) -> Answers:
        counts = (None, completed, len(failed), 0)
        return Answers([0xFF00, status], [(count, 0, 0, 0), counts], [0.0, 1.0, 2.0], "", list(failed))

    broken: list[tuple[Answers, Sequence[bytes]]] = [
        (ended(), right[1:]),
        (ended(), [*right, right[0]]),
        (ended(), [*right[1:], right[0][:-1] + b"\xff"]),
        (ended(completed=count - 1), right),
        (ended(0xB000, failed=(uids[0],)), right),
        (ended(0xA702), right),
    ]
    assert differences(retrieval, ended(), right, files) == []
    check: Callable[[tuple[Answers, Sequence[bytes]]], list[str]] = lambda one: differences(retrieval, *one, files)  # noqa: E731
    assert all(map(check, broken))
