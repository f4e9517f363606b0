"""Lets DICOM clients that share no code with this project send public files, and says what became of each.

`make test-clients` writes docs/reference/clients.md. It fails when a client was told that an instance is stored and the
archive has not the data set that the client sent.
"""

import json
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import pydicom  # noqa: E402
from archive import Archive, uid_and_data_set  # noqa: E402
from manifests import changed  # noqa: E402
from orthanc import Orthanc, debian_13  # noqa: E402
from pynetdicom import AE, build_context  # noqa: E402
from routes import local_node, local_route, to  # noqa: E402
from running import Running  # noqa: E402

warnings.simplefilter("ignore")  # of files that are made to be read with difficulty
PAGE = ROOT / "docs" / "reference" / "clients.md"
_SECONDS = 30

Send = Callable[[Path], str]
"""Sends a file and returns what the client says of it: STORED, or why it is not."""
STORED = "stored"
UNSAID = "nothing of the status"


@dataclass(frozen=True)
class Outcome:
    """What became of a file: what its client said, and what the archive has of it."""

    said: str
    arrived: str


def files() -> list[Path]:
    """Return the public files that have what makes an instance (PS3.10 7.1): pydicom's, and its character sets."""
    found: dict[str, Path] = {}
    data = Path(pydicom.__file__).parent / "data"
    for path in sorted([*data.glob("test_files/**/*.dcm"), *data.glob("charset_files/*.dcm")]):
        try:
            head = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID", "SOPClassUID"])
        except Exception:
            continue
        is_whole = path.read_bytes()[128:132] == b"DICM" and head.file_meta.get("TransferSyntaxUID")
        if is_whole and head.get("SOPInstanceUID") and head.get("SOPClassUID"):
            found.setdefault(path.name, path)
    return list(found.values())


def run(*words: str | Path) -> tuple[int, str]:
    try:
        done = subprocess.run(
            list(map(str, words)), check=False, capture_output=True, text=True, timeout=_SECONDS, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return -1, "time-out"
    return done.returncode, done.stdout + done.stderr


def reason_of(output: str) -> str:
    """Return the line of a client's output that says why."""
    plain = re.sub(r"\x1b\[[0-9;]*m|\d{4}-\d\d-\d\dT[\d:.]+Z?( --)?", "", output)
    plain = re.sub(r"`[^`]*`|(, file: )?/\S+", "", plain)  # names are in a column of their own
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    words = ("error", "fail", "reject", "refused", "no acceptable", "e:")
    bad = [line for line in lines if any(word in line.lower() for word in words)]
    return re.sub(r"\s+", " ", (bad or lines or ["no word"])[0])[:100].strip(" :")


@contextmanager
def clients(port: int, folder: Path, tools: Path) -> Iterator[dict[str, Send]]:
    """Yield what sends, by the name of the client."""
    orthanc = Orthanc(folder / "orthanc", installed=debian_13())
    put(
        orthanc, "/modalities/gateway", json.dumps({"AET": "CTGATE", "Host": "127.0.0.1", "Port": port}).encode(), "PUT"
    )

    def dcmsend(file: Path) -> str:
        _, output = run("dcmsend", "-v", "-aet", "CT1", "-aec", "CTGATE", "127.0.0.1", str(port), file)
        return STORED if "with status SUCCESS" in output else reason_of(output)

    def storescu(file: Path) -> str:
        code, output = run("storescu", "-aet", "CT1", "-aec", "CTGATE", "127.0.0.1", str(port), file)
        return STORED if code == 0 else reason_of(output)

    def gdcm(file: Path) -> str:
        # It ends with an exception when the association is released, whoever the peer is, and says no status.
        run("gdcmscu", "--store", "--aetitle", "CT1", "--call", "CTGATE", "127.0.0.1", str(port), file)
        return UNSAID

    def dicom_rs(file: Path) -> str:
        called = f"CTGATE@127.0.0.1:{port}"
        program = tools / "rust/bin/dicom-storescu"
        code, output = run(program, "--calling-ae-title", "CT1", called, "--fail-first", file)
        return STORED if code == 0 else reason_of(output)

    def dcmjs(file: Path) -> str:
        _, output = run("node", tools / "send.mjs", str(port), "CT1", "CTGATE", file)
        found = re.search(r"STATUS ([0-9a-f]{4})", output)
        return reason_of(output) if found is None else STORED if found[1] == "0000" else f"status {found[1].upper()}"

    def pynet(file: Path) -> str:
        entity = AE(ae_title="CT1")
        data_set = pydicom.dcmread(file)
        entity.requested_contexts = [build_context(data_set.SOPClassUID, data_set.file_meta.TransferSyntaxUID)]
        association = entity.associate("127.0.0.1", port, ae_title="CTGATE")
        try:
            status = association.send_c_store(file)
        except (ValueError, RuntimeError, AttributeError) as error:
            return str(error)[:100]
        finally:
            association.release()
        return STORED if status.get("Status") == 0 else f"status {status.get('Status', -1):04X}"

    def by_orthanc(file: Path) -> str:
        try:
            uploaded = json.loads(put(orthanc, "/instances", file.read_bytes(), "POST"))
            put(orthanc, "/modalities/gateway/store", json.dumps(uploaded["ID"]).encode(), "POST")
        except urllib.error.HTTPError as error:
            return reason_of(json.loads(error.read() or b"{}").get("Details") or f"HTTP {error.code}")
        return STORED

    try:
        yield {
            "DCMTK dcmsend": dcmsend,
            "DCMTK storescu, with its defaults": storescu,
            "GDCM gdcmscu": gdcm,
            "dicom-rs storescu": dicom_rs,
            "dcmjs-dimse": dcmjs,
            "pynetdicom": pynet,
            "Orthanc": by_orthanc,
        }
    finally:
        orthanc.stop()


def put(orthanc: Orthanc, path: str, data: bytes, method: str) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{orthanc.port}{path}", data, method=method)
    with urllib.request.urlopen(request, timeout=_SECONDS) as response:
        return bytes(response.read())


def judged(archive: Archive, running: Running, before: int, said: str, file: Path) -> Outcome:
    """Return what became of a file, once what the gateway accepted of it is delivered."""
    counts = running.counts()
    arrived = counts["receivedTotal"] - before
    if not arrived:
        return Outcome(said, "nothing")
    running.process.wait_until(lambda: running.counts()["owed"] == 0, f"{file.name} is not delivered", 30)
    _, own = uid_and_data_set(file.read_bytes())
    if any(data_set == own for several in archive.data_sets.values() for data_set in several):
        return Outcome(said, "byte for byte as in the file")
    return Outcome(said, "as the client encoded it")


def main() -> int:
    tools = Path(
        subprocess.run([ROOT / "tests/clients/build"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    )
    found = files()
    outcomes: dict[str, dict[str, Outcome]] = {}
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive()
        route = changed(local_route(), "spec.listeners.0.sources", {"policy": "Any"})
        running = Running(Path(folder) / "gateway", (local_node(), to(archive.url), route))
        with clients(running.port, Path(folder), tools) as several:
            for client, send in several.items():
                for file in found:
                    archive.data_sets.clear()
                    before = running.counts()["receivedTotal"]
                    outcome = judged(archive, running, before, send(file), file)
                    outcomes.setdefault(client, {})[file.name] = outcome
                    if outcome.said == STORED and not archive.data_sets:
                        faults.append(f"{client}: {file.name} is said to be stored, and is not there")
                print(client, Counter((o.said[:60], o.arrived) for o in outcomes[client].values()).most_common(12))
        running.stop()
        archive.close()
    PAGE.write_text(page(outcomes, len(found)))
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def page(outcomes: dict[str, dict[str, Outcome]], count: int) -> str:
    """Return the table of the documentation."""
    lines = [
        "<!-- Written by make test-clients. -->",
        "# Clients",
        "",
        f"What independent clients sent of {count} public files (of pydicom {pydicom.__version__}), each by an",
        "association of its own, and what the archive behind the gateway has of it. What a client was told to be",
        "stored is in the archive, always.",
        "",
        "| client | stored byte for byte | stored as the client encoded it | not stored |",
        "|---|---|---|---|",
    ]
    details = []
    for client, sent in outcomes.items():
        whole = sum(o.arrived.startswith("byte") for o in sent.values())
        encoded = sum(o.arrived.startswith("as") for o in sent.values())
        others = {name: o for name, o in sent.items() if o.arrived == "nothing"}
        lines.append(f"| {client} | {whole} | {encoded} | {len(others)} |")
        for said, number in Counter(o.said for o in others.values()).most_common():
            names = [name for name, o in others.items() if o.said == said]
            such_as = ", ".join(names[:4]) + (" …" if number > 4 else "")
            details.append(f"| {client} | {number} | {said.replace('|', ' ')} | {such_as} |")
    lines += [
        "",
        "What was not stored, in the words of the client:",
        "",
        "| client | files | it says | such as |",
        "|---|---|---|---|",
    ]
    return "\n".join([*lines, *details]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
