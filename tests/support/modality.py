"""A simulated modality with a network address of its own; as a command, the process that sends.

    python modality.py HOST PORT CALLED CALLING ADDRESS SECONDS PAUSE FILE...

It sends every file until it is acknowledged with success, in as many associations as that takes, and prints a line of
JSON for each answer and each association that did not come about. For its first connection it has some seconds,
whatever SECONDS says: a pod is ready before the nodes send the Service's callers there (measured: up to half a second).
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MODALITIES_NETWORK = "/run/netns/dicomroute-modalities"
ADDRESS, STRANGER = "192.0.2.130", "192.0.2.131"
CONNECT_SECONDS = 15


class Sending:
    """A modality that is sending."""

    def __init__(self, popen: "subprocess.Popen[str]") -> None:
        self._popen = popen

    def answers(self) -> list[dict[str, Any]]:
        """Wait until it is done, and return what it was answered."""
        output, errors = self._popen.communicate(timeout=600)
        assert self._popen.returncode in (0, 1), errors
        return [json.loads(line) for line in output.splitlines()]

    def acknowledged(self) -> set[str]:
        """Wait until it is done, and return the SOP Instance UIDs that were acknowledged."""
        return {one["uid"] for one in self.answers() if one.get("status") == 0}

    @property
    def is_running(self) -> bool:
        return self._popen.poll() is None


def start_sending(
    endpoint: tuple[str, int],
    files: Sequence[Path],
    *,
    called: str = "CTGATE",
    calling: str = "CT1",
    address: str = ADDRESS,
    seconds: float = 0,
    pause: float = 0,
) -> Sending:
    """Start to send; what is not acknowledged is sent again for so many seconds, with a pause after each instance."""
    host, port = endpoint
    command = [
        "nsenter", f"--net={MODALITIES_NETWORK}", sys.executable, __file__, host, str(port), called, calling, address,
        str(seconds), str(pause), *map(str, files),
    ]  # fmt: skip
    return Sending(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))


def send(endpoint: tuple[str, int], files: Sequence[Path], **options: Any) -> list[dict[str, Any]]:
    """Send files and return what was answered."""
    return start_sending(endpoint, files, **options).answers()


def main() -> int:
    import pydicom
    from pynetdicom import AE, evt

    host, port, called, calling, address, seconds, pause = sys.argv[1:8]
    datasets = {Path(name): pydicom.dcmread(name) for name in sys.argv[8:]}
    waiting = list(datasets)
    deadline = time.monotonic() + float(seconds)
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 15
    ae.connection_timeout = 5
    contexts = {(one.SOPClassUID, one.file_meta.TransferSyntaxUID) for one in datasets.values()}
    for sop_class, syntax in contexts:
        ae.add_requested_context(sop_class, syntax)
    connected: list[evt.Event] = []
    connect_deadline = time.monotonic() + CONNECT_SECONDS
    handlers = [(evt.EVT_CONN_OPEN, connected.append)]
    while waiting:
        association = ae.associate(host, int(port), ae_title=called, bind_address=(address, 0), evt_handlers=handlers)
        if not connected and time.monotonic() < connect_deadline:
            time.sleep(0.1)
            continue
        if not association.is_established:
            say(refused="rejected" if association.is_rejected else "not reached")
        while waiting and association.is_established:
            dataset = datasets[waiting[0]]
            try:
                answer = association.send_c_store(dataset)
            except (RuntimeError, ValueError) as error:
                say(uid=str(dataset.SOPInstanceUID), error=str(error))
                break
            status = answer.Status if answer else None
            say(uid=str(dataset.SOPInstanceUID), status=status)
            if status == 0:
                waiting.pop(0)
            elif status is None or float(seconds) == 0:
                break
            time.sleep(float(pause))
        if association.is_established:
            association.release()
        if waiting and time.monotonic() >= deadline:
            return 1
        if waiting:
            time.sleep(0.3)
    return 0


def say(**facts: Any) -> None:
    print(json.dumps({"time": time.time(), **facts}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
