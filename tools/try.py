"""The main job on this machine, without a cluster and without root: a scanner, a route, two archives (`make try`).

Runs examples/try, sends it a study that is made up, and shows what the command line says of it.
"""

import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import CTImageStorage, MRImageStorage

ROOT = Path(__file__).parents[1]
DICOMROUTE = Path(sys.executable).with_name("dicomroute")
MANIFESTS = "examples/try"
SECONDS = 60.0


class Archive:
    """A receiver of C-STORE that keeps what it gets in memory."""

    def __init__(self, ae_title: str, port: int) -> None:
        self.kept: list[Dataset] = []
        entity = AE(ae_title)
        entity.supported_contexts = AllStoragePresentationContexts
        try:
            handlers = [(evt.EVT_C_STORE, self._keep)]
            self._server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
        except OSError as error:
            raise SystemExit(
                f"make try: port {port} of 127.0.0.1 is taken: end what listens there ({error})"
            ) from error

    def _keep(self, event: evt.Event) -> int:
        self.kept.append(event.dataset)
        return 0x0000

    def close(self) -> None:
        """Stop receiving."""
        self._server.shutdown()


def main() -> int:
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="dicomroute-try-")))
        pacs, research = Archive("PACS", 11121), Archive("RESEARCH", 11122)
        ends.callback(pacs.close)
        ends.callback(research.close)
        study = list(made_up(folder))
        say("What the route would do with a CT image, before anything is sent")
        show("explain", "-f", MANIFESTS, "--route", "try", "--calling", "CT1", study[0])
        say("The route, on this machine")
        admin = ends.enter_context(running(folder / "state"))
        say("A scanner sends a study of five images")
        sent = send(study)
        began = time.monotonic()
        while (len(pacs.kept), len(research.kept)) != (5, 4) and time.monotonic() - began < SECONDS:
            time.sleep(0.05)
        say("Where it went")
        print(f"PACS      {len(pacs.kept)} images, patient IDs {patients(pacs)}")
        print(f"RESEARCH  {len(research.kept)} images, patient IDs {patients(research)}")
        say("What the gateway says of it")
        token = folder / "state" / "default" / "try" / "admin-token"
        show("ledger", "--study", sent, "--admin", admin, "--token-file", token)
        if (len(pacs.kept), len(research.kept)) != (5, 4):
            print("make try: not everything has arrived; the log above says why", file=sys.stderr)
            return 1
    print(
        "\nYours next: change examples/try/route.yaml, `dicomroute validate -f examples/try`, and run make try again."
    )
    print("With your own scanner and archive: `dicomroute run -f MANIFESTS`. On a cluster: README.md.")
    return 0


def made_up(folder: Path) -> Iterator[Path]:
    """Yield the files of a study that nobody has: four CT images, and one of another modality."""
    study, series = generate_uid(), generate_uid()
    for number, name in enumerate(["CT_small.dcm"] * 4 + ["MR_small.dcm"]):
        one = dcmread(str(get_testdata_file(name)))
        one.StudyInstanceUID, one.SeriesInstanceUID = study, series if one.Modality == "CT" else generate_uid()
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        one.PatientName, one.PatientID = "Example^Erika", "4711"
        one.save_as(folder / f"{number}.dcm")
        yield folder / f"{number}.dcm"


@contextmanager
def running(state: Path) -> Iterator[str]:
    """Run the route; yield the address of its admin API."""
    command = [str(DICOMROUTE), "run", "-f", MANIFESTS, "--state", str(state), "--admin-port", "11123"]
    print(f"$ {shlex.join(['dicomroute', *command[1:]])} &")
    log = state.with_suffix(".log")
    with (
        log.open("w") as written,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=written, text=True) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"make try: the route did not start:\n{log.read_text()}")
        print(line.strip())
        try:
            yield str(json.loads(line)["routes"]["default/try"]["admin"])
        finally:
            process.terminate()
            process.wait(SECONDS)


def send(files: Sequence[Path]) -> str:
    """Store files as the scanner CT1; return the UID of their study."""
    scanner = AE("CT1")
    for one in (CTImageStorage, MRImageStorage):
        scanner.add_requested_context(one)
    association = scanner.associate("127.0.0.1", 11120, ae_title="CTGATE")
    if not association.is_established:
        raise SystemExit("make try: the gateway does not accept the association")
    for file in files:
        began = time.monotonic()
        status = association.send_c_store(dcmread(file)).Status
        print(f"C-STORE {file.name}: {status:04X}H after {(time.monotonic() - began) * 1000:.1f} ms")
    association.release()
    return str(dcmread(files[0]).StudyInstanceUID)


def patients(archive: Archive) -> str:
    return ", ".join(sorted({str(one.PatientID) for one in archive.kept}))


def say(what: str) -> None:
    print(f"\n\033[1m{what}\033[0m", flush=True)


def show(*words: object) -> None:
    """Run a command of the command line, and print both."""
    command = [str(word) for word in words]
    print(f"$ {shlex.join(['dicomroute', *command])}", flush=True)
    subprocess.run([DICOMROUTE, *command], cwd=ROOT, check=False)


if __name__ == "__main__":
    sys.exit(main())
