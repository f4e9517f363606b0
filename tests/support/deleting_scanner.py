"""A scanner that deletes what is committed to, with a network address of its own; as a command, the scanner itself.

    python deleting_scanner.py HOST PORT CALLED CALLING ADDRESS REPORT_PORT FILE...

It stores every file, asks for storage commitment to all of them, releases, and deletes the files that a report on its
own port names as committed (PS3.4 annex J). It prints a line of JSON for each thing that happens, and ends once it has
no file, or its standard input is closed.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modality import ADDRESS, MODALITIES_NETWORK

PUSH_MODEL, PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
CONNECT_SECONDS = 15


class DeletingScanner:
    """A scanner in the modalities' network."""

    def __init__(self, endpoint: tuple[str, int], report_port: int, files: Sequence[Path]) -> None:
        host, port = endpoint
        command = [
            "nsenter", f"--net={MODALITIES_NETWORK}", sys.executable, __file__, host, str(port), "CTGATE", "CT1",
            ADDRESS, str(report_port), *map(str, files),
        ]  # fmt: skip
        self._popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._events: list[dict[str, Any]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Return what has happened of a kind: `stored`, `asked`, `reported`, `deleted`."""
        return [one for one in list(self._events) if one["event"] == kind]

    def close(self) -> None:
        """End it; files that are not committed to stay."""
        assert self._popen.stdin
        self._popen.stdin.close()
        self._popen.wait(30)

    def _read(self) -> None:
        assert self._popen.stdout
        for line in self._popen.stdout:
            self._events.append(json.loads(line))


def main() -> int:
    import pydicom
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence as DicomSequence
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
    from pynetdicom import AE, evt

    host, port, called, calling, address, report_port = sys.argv[1:7]
    data_sets = {Path(name): pydicom.dcmread(name) for name in sys.argv[7:]}
    files = {str(one.SOPInstanceUID): file for file, one in data_sets.items()}
    syntaxes = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
    is_over = threading.Event()

    def take(event: Any) -> tuple[int, None]:
        information = event.event_information
        committed = [str(one.ReferencedSOPInstanceUID) for one in information.get("ReferencedSOPSequence") or ()]
        failed = {
            str(one.ReferencedSOPInstanceUID): int(one.FailureReason)
            for one in information.get("FailedSOPSequence") or ()
        }
        say("reported", transaction=str(information.TransactionUID), committed=committed, failed=failed)
        for uid in committed:
            files.pop(uid).unlink()
            say("deleted", uid=uid)
        if not files:
            is_over.set()
        return 0, None

    listening = AE(ae_title=calling)
    listening.add_supported_context(PUSH_MODEL, syntaxes, scu_role=False, scp_role=True)
    server = listening.start_server(
        (address, int(report_port)), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, take)]
    )
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 15
    entity.add_requested_context(PUSH_MODEL, syntaxes)
    for sop_class, syntax in {(one.SOPClassUID, one.file_meta.TransferSyntaxUID) for one in data_sets.values()}:
        entity.add_requested_context(sop_class, syntax)
    ends = time.monotonic() + CONNECT_SECONDS
    while not (
        association := entity.associate(host, int(port), ae_title=called, bind_address=(address, 0))
    ).is_established:
        if time.monotonic() >= ends:
            say("refused")
            return 1
        time.sleep(0.2)
    for one in data_sets.values():
        say("stored", uid=str(one.SOPInstanceUID), status=association.send_c_store(one).Status)
    information = Dataset()
    information.TransactionUID = generate_uid()
    items = []
    for one in data_sets.values():
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
        items.append(item)
    information.ReferencedSOPSequence = DicomSequence(items)
    status, _ = association.send_n_action(information, 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    say("asked", transaction=str(information.TransactionUID), status=status.Status)
    association.release()
    threading.Thread(target=lambda: (sys.stdin.read(), is_over.set()), daemon=True).start()
    is_over.wait()
    time.sleep(1)  # the answer to the last report goes out
    server.shutdown()
    sys.stdout.flush()
    os._exit(0)  # a thread may read standard input still


def say(event: str, **facts: Any) -> None:
    print(json.dumps({"event": event, "time": time.time(), **facts}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
