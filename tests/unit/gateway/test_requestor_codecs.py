"""What a requestor sends is read as it was meant, by our acceptor and by pynetdicom; answers are read or refused."""

import io
import struct
from itertools import pairwise
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pdus import CT, EXPLICIT, IMPLICIT, command_set, us
from pynetdicom.pdu import A_ASSOCIATE_RQ
from reading import joined, read
from uids import UIDS

from dicomroute_gateway.dimse.associate import decode_associate_request, encode_associate_accept
from dicomroute_gateway.dimse.command import CommandError, Status, decode_command, encode_response
from dicomroute_gateway.dimse.failures import AssociationRejected, ContextRefusal, SourceFailed
from dicomroute_gateway.dimse.messages import decode_response, encode_echo_request, encode_store_request
from dicomroute_gateway.dimse.negotiation import ContextResult, NegotiatedContext, ProposedContext
from dicomroute_gateway.dimse.propose import (
    VERIFYING,
    Syntaxes,
    decode_associate_accept,
    decode_associate_reject,
    encode_associate_request,
    group_contexts,
)
from dicomroute_gateway.dimse.source import FileSource
from dicomroute_gateway.dimse.stream import ProtocolViolation, encode_command
from dicomroute_gateway.dimse.transmit import MOST_SENT_PDU_BYTES, data_pdus, fragment_room

TITLES = st.text(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"), min_size=1, max_size=16)
PAIRS = st.tuples(UIDS, UIDS).map(lambda pair: Syntaxes(*pair))


def blocks_of(data: bytes, lengths: list[int]) -> list[memoryview]:
    """Return data in blocks of these even lengths, again and again."""
    ends = [0]
    while ends[-1] < len(data):
        ends.append(min(len(data), ends[-1] + lengths[len(ends) % len(lengths)]))
    return [memoryview(data)[start:end] for start, end in pairwise(ends)]


EVEN = st.integers(1, 400).map(lambda number: 2 * number)


@given(
    st.integers(1, 255),
    st.binary(max_size=3000),
    st.integers(8, 1000),
    st.lists(EVEN, min_size=1, max_size=4),
)
def test_a_data_set_in_blocks_of_any_length_is_read_by_our_acceptor_as_it_was(
    context: int, data: bytes, maximum: int, lengths: list[int]
) -> None:
    pdus = data_pdus(context, len(data), blocks_of(data, lengths), fragment_room(maximum))
    sent = b"".join(bytes(piece) for pieces in pdus for piece in pieces)
    assert joined(read([sent]).pdvs) == [(context, False, data)]
    while sent:
        (length,) = struct.unpack_from(">xxI", sent)
        (fragment,) = struct.unpack_from(">I", sent, 6)
        rest = sent[6 + length :]
        assert length <= maximum
        assert not rest or fragment % 2 == 0, "a fragment of an odd number of bytes that is not the last (PS3.8 E.1)"
        sent = rest


@given(st.integers(1, 255), st.binary(max_size=200), st.integers(8, 60), UIDS, UIDS, st.integers(0, 0xFFFF))
def test_a_store_request_is_read_by_our_acceptor_as_it_was_meant(
    context: int, data: bytes, maximum: int, sop_class: str, uid: str, message_id: int
) -> None:
    command = encode_command(context, encode_store_request(message_id, sop_class, uid), maximum)
    pdus = data_pdus(context, len(data), [memoryview(data)], fragment_room(maximum))
    messages = joined(read([command, *(bytes(piece) for pieces in pdus for piece in pieces)]).pdvs)
    (_, is_command, encoded), data_set = messages
    decoded = decode_command(encoded)
    assert is_command
    assert data_set == (context, False, data)
    assert (decoded.field, decoded.message_id, decoded.has_data_set) == (0x0001, message_id, True)
    assert (decoded.affected_sop_class_uid, decoded.affected_sop_instance_uid) == (sop_class, uid)


def test_requests_are_command_sets_as_pydicom_reads_them() -> None:
    def elements(encoded: bytes) -> pydicom.Dataset:
        return pydicom.filereader.read_dataset(io.BytesIO(encoded), is_implicit_VR=True, is_little_endian=True)

    store, echo = elements(encode_store_request(7, CT, "1.2.3")), elements(encode_echo_request(8))
    assert (store.CommandField, store.MessageID, store.Priority, store.CommandDataSetType) == (0x0001, 7, 0, 1)
    assert (store.AffectedSOPClassUID, store.AffectedSOPInstanceUID) == (CT, "1.2.3")
    assert (echo.CommandField, echo.MessageID, echo.CommandDataSetType) == (0x0030, 8, 0x0101)
    for encoded in (encode_store_request(7, CT, "1.2.3"), encode_echo_request(8)):
        read_back = elements(encoded)
        assert read_back.CommandGroupLength == len(encoded) - 12
        assert list(read_back.keys()) == sorted(read_back.keys())


def test_a_peer_without_limit_gets_pdus_of_a_limited_length() -> None:
    assert fragment_room(0) == fragment_room(2**32 - 1) == MOST_SENT_PDU_BYTES - 6
    assert fragment_room(16382) == 16376
    assert fragment_room(16383) == 16376


@pytest.mark.parametrize("blocks, length", [([b"1234"], 6), ([b"1234", b"56"], 4), ([b"123", b"4"], 4), ([], 2)])
def test_a_source_that_has_not_what_it_announced_fails(blocks: list[bytes], length: int) -> None:
    with pytest.raises(SourceFailed):
        list(data_pdus(1, length, map(memoryview, blocks), 100))


@given(st.binary(min_size=10, max_size=500), st.integers(1, 300))
@settings(max_examples=30)
def test_a_file_gives_out_what_lies_between_offset_and_length(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, block: int
) -> None:
    file = tmp_path_factory.mktemp("spool") / "file"
    file.write_bytes(data)
    source = FileSource(file, 3, len(data) - 5)
    assert b"".join(map(bytes, source.blocks(memoryview(bytearray(block))))) == data[3:-2]


def test_a_file_that_is_too_short_or_not_there_is_our_own_failure(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(bytes(10))
    for name, why in (("short", "ends 5 bytes early"), ("none", "cannot be opened"), (".", "cannot be read")):
        with pytest.raises(SourceFailed, match=why) as failure:
            list(FileSource(tmp_path / name, 0, 15).blocks(memoryview(bytearray(100))))
        assert failure.value.reason == "SpoolUnreadable"


@given(st.lists(PAIRS, max_size=300))
@settings(max_examples=25)
def test_every_pair_is_proposed_once_and_in_a_context_of_its_own(wanted: list[Syntaxes]) -> None:
    groups = group_contexts(wanted + wanted[:50])
    proposed = [Syntaxes(one.abstract_syntax, one.transfer_syntaxes[0]) for group in groups for one in group]
    assert proposed == list(dict.fromkeys(wanted))
    for group in groups:
        identifiers = [one.context_id for one in group]
        assert identifiers == list(range(1, 2 * len(group), 2))
        assert len(group) <= 128
        assert max(identifiers) <= 255
    assert len(groups) == -(-len(set(wanted)) // 128)


@given(TITLES, TITLES, st.lists(PAIRS, min_size=1, max_size=20))
@settings(max_examples=40)
def test_a_request_is_read_by_our_acceptor_and_by_pynetdicom_as_it_was_meant(
    calling: str, called: str, wanted: list[Syntaxes]
) -> None:
    (contexts,) = group_contexts(wanted)
    encoded = encode_associate_request(calling, called, contexts, 16384)
    ours, theirs = decode_associate_request(encoded[6:]), A_ASSOCIATE_RQ()
    theirs.decode(encoded)
    assert (ours.calling_ae_title, ours.called_ae_title, ours.max_pdu_bytes) == (calling, called, 16384)
    assert ours.contexts == contexts
    assert not ours.proposes_window
    primitive = theirs.to_primitive()
    assert (primitive.calling_ae_title, primitive.called_ae_title) == (calling, called)
    assert [
        Syntaxes(one.abstract_syntax, one.transfer_syntax[0]) for one in primitive.presentation_context_definition_list
    ] == list(dict.fromkeys(wanted))
    assert primitive.maximum_length_received == 16384
    assert theirs.user_information.implementation_version_name == "DICOMROUTE"


CONTEXTS = (
    ProposedContext(1, CT, (EXPLICIT,)),
    ProposedContext(3, CT, (IMPLICIT,)),
    ProposedContext(5, *VERIFYING[:1], (VERIFYING[1],)),
)


def accept(*negotiated: NegotiatedContext, maximum: int = 16384) -> bytes:
    request = decode_associate_request(encode_associate_request("A", "B", CONTEXTS, 16384)[6:])
    return encode_associate_accept(request, negotiated, maximum)[6:]


def test_each_context_is_usable_or_has_a_reason_why_not() -> None:
    body = accept(
        NegotiatedContext(1, CT, EXPLICIT, ContextResult.ACCEPTANCE),
        NegotiatedContext(3, CT, EXPLICIT, ContextResult.ACCEPTANCE),
    )
    accepted = decode_associate_accept(body, CONTEXTS)
    assert accepted.contexts == {
        Syntaxes(CT, EXPLICIT): 1,
        Syntaxes(CT, IMPLICIT): ContextRefusal.OTHER_TRANSFER_SYNTAX,
        VERIFYING: ContextRefusal.NOT_ANSWERED,
    }
    assert accepted.implementation_version_name == "DICOMROUTE"


@pytest.mark.parametrize(
    "result, refusal",
    [
        (1, ContextRefusal.USER_REJECTION),
        (2, ContextRefusal.NO_REASON),
        (3, ContextRefusal.ABSTRACT_SYNTAX_NOT_SUPPORTED),
        (4, ContextRefusal.TRANSFER_SYNTAXES_NOT_SUPPORTED),
        (9, ContextRefusal.NO_REASON),
    ],
)
def test_the_result_of_a_refused_context_says_why(result: int, refusal: ContextRefusal) -> None:
    body = accept(NegotiatedContext(1, CT, "", result))  # type: ignore[arg-type]
    assert decode_associate_accept(body, CONTEXTS).contexts[Syntaxes(CT, EXPLICIT)] is refusal


def item(kind: int, value: bytes, length: int | None = None) -> bytes:
    return struct.pack(">BxH", kind, len(value) if length is None else length) + value


@pytest.mark.parametrize(
    "user_information",
    [
        item(0x52, b"1.2." + b"3" * 80),
        item(0x52, b"not a UID \xff"),
        item(0x52, b""),
        item(0x55, b"\xff" * 40),
        item(0x51, b"\0\0\x40"),
        item(0x54, b"\0\xff1.2"),
        item(0x59, b"\0"),
        item(0x52, b"1.2", length=500),
        b"\x52\0",
        b"",
    ],
)
def test_what_an_acceptor_says_of_itself_keeps_no_peer_out(user_information: bytes) -> None:
    contexts = item(0x21, bytes((1, 0, 0, 0)) + item(0x40, EXPLICIT.encode()))
    strange = item(0x21, b"\1") + item(0x21, bytes((3, 0, 0, 0)) + item(0x40, b"1" * 90))
    body = bytes((0, 1, 0, 0)) + bytes(64) + contexts + strange + item(0x50, user_information)
    accepted = decode_associate_accept(body, CONTEXTS)
    assert accepted.contexts[Syntaxes(CT, EXPLICIT)] == 1
    assert accepted.contexts[Syntaxes(CT, IMPLICIT)] is ContextRefusal.OTHER_TRANSFER_SYNTAX
    assert accepted.max_pdu_bytes == 16384


@given(st.data())
def test_changed_answers_are_read_or_refused_but_nothing_else(data: st.DataObject) -> None:
    whole = bytearray(accept(*(NegotiatedContext(n, CT, EXPLICIT, ContextResult.ACCEPTANCE) for n in (1, 3, 5))))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        accepted = decode_associate_accept(bytes(whole[: data.draw(st.integers(0, len(whole)))]), CONTEXTS)
    except ProtocolViolation:
        return
    assert fragment_room(accepted.max_pdu_bytes) >= 2


@given(st.binary(max_size=200))
def test_any_bytes_are_no_more_than_a_violation(data: bytes) -> None:
    for decode in (lambda: decode_associate_accept(data, CONTEXTS), lambda: decode_associate_reject(data)):
        try:
            decode()
        except ProtocolViolation:
            pass
    try:
        decode_response(data)
    except CommandError:
        pass


def test_a_rejection_says_what_to_do() -> None:
    rejected = decode_associate_reject(bytes((0, 1, 1, 3)))
    assert isinstance(rejected, AssociationRejected)
    assert (rejected.reason, rejected.is_transient) == ("CallingAETitleNotRecognized", False)
    assert "add the calling AE title there" in str(rejected)


@given(UIDS, st.integers(0, 0xFFFF), st.sampled_from(Status), st.text(st.characters(codec="ascii"), max_size=64))
def test_responses_of_our_acceptor_are_read_as_they_were_meant(
    uid: str, message_id: int, status: Status, comment: str
) -> None:
    request = decode_command(encode_store_request(message_id, CT, uid))
    response = decode_response(encode_response(request, status, comment))
    assert (response.field, response.message_id, response.status) == (0x8001, message_id, status)
    assert response.error_comment == comment.rstrip("\0 ")
    assert not response.has_data_set


def test_a_response_names_the_elements_it_offends_at() -> None:
    encoded = command_set(
        {
            0x0100: us(0x8001),
            0x0120: us(3),
            0x0800: us(0x0101),
            0x0900: us(0xC001),
            0x0901: struct.pack("<HHHH", 0x0010, 0x0020, 0x0008, 0x0018),
            0x0902: b"no such thing ",
        }
    )
    response = decode_response(encoded)
    assert response.offending_elements == (0x00100020, 0x00080018)
    assert response.error_comment == "no such thing"


@pytest.mark.parametrize("missing", [0x0100, 0x0900])
def test_a_response_without_a_mandatory_element_is_refused(missing: int) -> None:
    elements = {0x0100: us(0x8001), 0x0120: us(3), 0x0900: us(0)}
    del elements[missing]
    with pytest.raises(CommandError):
        decode_response(command_set(elements))


@pytest.mark.parametrize("elements", [{}, {0x0120: b"\3"}, {0x0800: b""}, {0x0901: b"\1\2\3"}, {0x0002: b"\xff"}])
def test_what_nobody_needs_of_a_response_is_taken_as_it_is(elements: dict[int, bytes]) -> None:
    response = decode_response(command_set(dict(sorted({0x0100: us(0x8001), 0x0900: us(0), **elements}.items()))))
    assert (response.status, response.message_id, response.has_data_set) == (0, None, False)
