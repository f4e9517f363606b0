"""An archive of the tests that keeps the digest of every data set that it is given."""

import hashlib
import io
from collections.abc import Iterator

import pydicom
from corpus import data_set_bytes
from stow_server import StowServer, uid_element


class Sink(StowServer):
    """What arrived: the digests of the data sets by SOP Instance UID, in order of arrival."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self.stored: dict[str, list[str]] = {}
        super().__init__(port, host)

    def take(self, file: bytes) -> Iterator[tuple[str, object]]:
        """Keep the digest of a file's data set."""
        found = pydicom.dcmread(io.BytesIO(file), stop_before_pixels=True)
        with self._lock:
            self.stored.setdefault(found.SOPInstanceUID, []).append(digest(data_set_bytes(file)))
        yield uid_element("00081150", found.SOPClassUID)
        yield uid_element("00081155", found.SOPInstanceUID)


def digest(data_set: bytes) -> str:
    return hashlib.sha256(data_set).hexdigest()
