"""Stores files exactly as they are: DCMTK's senders write some of them anew."""

from collections.abc import Iterable
from pathlib import Path

import pydicom
from corpus import data_set_bytes
from pdus import context, uid_value
from peer import Answered, Peer


def send(port: int, files: Iterable[Path]) -> None:
    """Store files exactly as they are."""
    for file in files:
        one = pydicom.dcmread(file)
        syntax = one.file_meta.TransferSyntaxUID
        peer = Peer(port).associated(context(1, one.SOPClassUID, syntax))
        asked = {0x0002: uid_value(one.SOPClassUID)}
        assert peer.store(data_set_bytes(file.read_bytes()), one.SOPInstanceUID, asked) == Answered(0)
        peer.release()
