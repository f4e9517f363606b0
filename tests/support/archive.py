"""An archive that takes everything by STOW-RS and keeps the bytes, whatever they are (PS3.18 10.5).

It reads the File Meta Information alone: the data sets that it is given are not made to be read.
"""

from collections.abc import Iterator

from peer import Instance
from stow_server import StowServer, uid_element

_PREAMBLE = bytes(128) + b"DICM"


class Archive(StowServer):
    """Keeps the data sets of all instances, by SOP Instance UID in the order in which they came."""

    def __init__(self) -> None:
        self.data_sets: dict[str, list[bytes]] = {}
        self.strange: list[bytes] = []
        """The first bytes of files that do not begin with a preamble of zeros (CVE-2019-11687)."""
        super().__init__()

    def has(self, instance: Instance) -> bool:
        """Return whether this instance came, byte for byte."""
        with self._lock:
            return instance.data_set in self.data_sets.get(instance.sop_instance_uid, ())

    def take(self, file: bytes) -> Iterator[tuple[str, object]]:
        """Keep the data set of a file, under the SOP Instance UID of its File Meta Information."""
        uid, data_set = uid_and_data_set(file)
        with self._lock:
            self.data_sets.setdefault(uid, []).append(data_set)
            if not file.startswith(_PREAMBLE):
                self.strange.append(file[:132])
        yield uid_element("00081155", uid)


def uid_and_data_set(file: bytes) -> tuple[str, bytes]:
    """Return what the File Meta Information says is in a DICOM file, and the data set behind it (PS3.10 7.1)."""
    end = 144 + int.from_bytes(file[140:144], "little")
    meta, uid = file[144:end], ""
    while meta:
        # (0002,0001) OB has a length of four bytes, the others here are UI with two (PS3.10 7.1).
        head, length = (12, meta[8]) if meta[4:6] == b"OB" else (8, int.from_bytes(meta[6:8], "little"))
        if meta[2:4] == b"\3\0":
            uid = meta[head : head + length].rstrip(b"\0").decode()
        meta = meta[head + length :]
    return uid, file[end:]
