"""A stock pynetdicom SCP that keeps what it acknowledges: raw bytes, file and folder synced before the answer.

    python pynetdicom_scp.py PORT FOLDER

Other than pynetdicom's defaults, each in its favour: 50 associations in place of 10, a maximum PDU of 131072 bytes in
place of 16382, and the data set is written as it came, never decoded.
"""

import os
import sys
from pathlib import Path

from pynetdicom import AE, AllStoragePresentationContexts, evt


def main() -> None:
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    names = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    def store(event: evt.Event) -> int:
        path = folder / f"{event.request.AffectedSOPInstanceUID}.dcm"
        with path.open("wb") as file:
            file.write(event.encoded_dataset())
            file.flush()
            os.fsync(file.fileno())
        os.fsync(names)
        return 0x0000

    ae = AE(ae_title="BENCH")
    ae.maximum_associations = 50
    ae.maximum_pdu_size = 131072
    ae.supported_contexts = AllStoragePresentationContexts
    ae.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_C_STORE, store)])


if __name__ == "__main__":
    main()
