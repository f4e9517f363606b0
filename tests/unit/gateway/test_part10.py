"""The head of a file, read back by pydicom."""

import io

import pydicom
from hypothesis import given
from uids import UIDS

from dicomroute_gateway.identity import IMPLEMENTATION_CLASS_UID
from dicomroute_gateway.spool.part10 import file_head

KEYWORDS = {
    "FileMetaInformationGroupLength",
    "FileMetaInformationVersion",
    "MediaStorageSOPClassUID",
    "MediaStorageSOPInstanceUID",
    "TransferSyntaxUID",
    "ImplementationClassUID",
}


@given(UIDS, UIDS, UIDS)
def test_the_head_of_a_file_says_what_it_was_made_of(sop_class: str, sop_instance: str, syntax: str) -> None:
    head = file_head(sop_class, sop_instance, syntax)
    stream = io.BytesIO(head + b"\x08\x00\x05\x00CS\x00\x00")
    preamble = pydicom.filereader.read_preamble(stream, force=False)
    meta = pydicom.filereader._read_file_meta_info(stream)
    assert preamble == bytes(128)
    assert stream.tell() == len(head), "the data set begins behind it"
    assert {element.keyword for element in meta} == KEYWORDS
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (sop_class, sop_instance)
    assert (meta.TransferSyntaxUID, meta.ImplementationClassUID) == (syntax, IMPLEMENTATION_CLASS_UID)
    assert meta.FileMetaInformationGroupLength == len(head) - 144
    assert len(head) % 2 == 0
