"""A stock pynetdicom SCU: it sends the files of a folder, in one association, as its documentation shows.

    python pynetdicom_scu.py PORT FOLDER SECONDS

It says `{"ready": …}` when its association stands, sends from the next line of standard input on until `SECONDS` are
over, and says what came of it. In its favour: the longest PDUs that the peer takes.
"""

import json
import resource
import sys
import time
from pathlib import Path

from pydicom import dcmread
from pynetdicom import AE


def main() -> None:
    port, files, seconds = int(sys.argv[1]), sorted(Path(sys.argv[2]).iterdir()), float(sys.argv[3])
    first = dcmread(files[0], stop_before_pixels=True)
    ae = AE(ae_title="BENCHSENDER")
    ae.add_requested_context(first.SOPClassUID, first.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", port)
    if not association.is_established:
        sys.exit("no association")
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.readline()
    acknowledged, cpu, began = 0, cpu_seconds(), time.monotonic()
    for file in files:
        status = association.send_c_store(file)
        if status.Status != 0x0000:
            sys.exit(f"status {status.Status:04X} for {file}")
        acknowledged += 1
        if time.monotonic() - began >= seconds:
            break
    facts = {"acknowledged": acknowledged, "began": began, "cpu_seconds": cpu_seconds() - cpu}
    print(json.dumps(facts), flush=True)
    sys.stdin.readline()
    association.release()


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
