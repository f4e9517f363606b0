"""The A-ASSOCIATE codec against pynetdicom's, and against bytes that nobody meant."""

import io
import struct

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from negotiating import accepted
from pydicom.uid import UID
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import PresentationContext
from uids import UIDS

from dicomroute_gateway.dimse.associate import decode_associate_request
from dicomroute_gateway.dimse.command import CommandError, Status, decode_command, encode_response
from dicomroute_gateway.dimse.negotiation import ContextResult
from dicomroute_gateway.dimse.stream import ProtocolViolation

CT, ECHO = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.1"
SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70"]


Proposal = tuple[int, str, list[str]]
PROPOSED: list[Proposal] = [(1, CT, SYNTAXES), (3, ECHO, SYNTAXES)]


def request(
    calling: str = "CT1",
    called: str = "GATE",
    maximum: int = 16382,
    window: bool = False,
    proposed: list[Proposal] = PROPOSED,
) -> bytes:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = UID("1.2.840.10008.3.1.1.1")
    primitive.calling_ae_title, primitive.called_ae_title = calling, called
    contexts = []
    for number, abstract, syntaxes in proposed:
        context = PresentationContext()
        context.context_id, context.abstract_syntax = number, UID(abstract)
        context.transfer_syntax = [UID(one) for one in syntaxes]
        contexts.append(context)
    primitive.presentation_context_definition_list = contexts
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = maximum
    implementation.implementation_class_uid = UID("1.2.3")
    primitive.user_information = [length, implementation]
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = UID(CT), True, False
    primitive.user_information.append(role)
    if window:
        operations = AsynchronousOperationsWindowNegotiation()
        operations.maximum_number_operations_invoked = 5
        operations.maximum_number_operations_performed = 5
        primitive.user_information.append(operations)
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())[6:]


TITLES = st.text(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"), min_size=1, max_size=16)


@given(calling=TITLES, called=TITLES, maximum=st.integers(4096, 2**32 - 1))
def test_a_request_is_read_as_it_was_meant(calling: str, called: str, maximum: int) -> None:
    decoded = decode_associate_request(request(calling, called, maximum))
    assert (decoded.calling_ae_title, decoded.called_ae_title, decoded.max_pdu_bytes) == (calling, called, maximum)
    assert [(c.context_id, c.abstract_syntax, list(c.transfer_syntaxes)) for c in decoded.contexts] == [
        (1, CT, SYNTAXES),
        (3, ECHO, SYNTAXES),
    ]
    assert decoded.roles == ((CT, True, False),)


PRINTABLE = st.characters(min_codepoint=0x20)
PROPOSALS = st.lists(
    st.tuples(st.integers(0, 127).map(lambda number: 2 * number + 1), UIDS, st.lists(UIDS, min_size=1, max_size=4)),
    min_size=1,
    max_size=8,
    unique_by=lambda one: one[0],
)


@given(PROPOSALS)
@settings(max_examples=40)
def test_contexts_are_read_as_they_were_proposed_and_each_is_answered(proposed: list[Proposal]) -> None:
    decoded = decode_associate_request(request(proposed=proposed))
    assert [(c.context_id, c.abstract_syntax, list(c.transfer_syntaxes)) for c in decoded.contexts] == proposed
    pdu = A_ASSOCIATE_AC()
    pdu.decode(accepted(decoded, 131072))
    results = pdu.to_primitive().presentation_context_definition_results_list
    assert [one.context_id for one in results] == [identifier for identifier, _, _ in proposed]
    for result, (_, _, syntaxes) in zip(results, proposed, strict=True):
        assert result.transfer_syntax[0] in syntaxes or result.result != ContextResult.ACCEPTANCE


def test_the_answer_is_read_as_it_was_meant() -> None:
    decoded = decode_associate_request(request(window=True))
    encoded = accepted(decoded, 131072)
    pdu = A_ASSOCIATE_AC()
    pdu.decode(encoded)
    primitive = pdu.to_primitive()
    results = primitive.presentation_context_definition_results_list
    assert [(one.context_id, one.result, one.transfer_syntax[0]) for one in results] == [
        (1, ContextResult.ACCEPTANCE, SYNTAXES[1]),
        (3, ContextResult.ACCEPTANCE, SYNTAXES[1]),
    ]
    assert pdu.user_information.maximum_length == 131072
    window = next(
        item for item in primitive.user_information if isinstance(item, AsynchronousOperationsWindowNegotiation)
    )
    assert (window.maximum_number_operations_invoked, window.maximum_number_operations_performed) == (1, 1)
    roles = [item for item in primitive.user_information if isinstance(item, SCP_SCU_RoleSelectionNegotiation)]
    assert [(one.sop_class_uid, one.scu_role, one.scp_role) for one in roles] == [(CT, True, False)]


@pytest.mark.parametrize("kind", [0x30, 0x40])
def test_a_uid_that_is_none_is_refused_in_a_short_answer_whatever_its_length(kind: int) -> None:
    uids = {0x30: CT.encode(), 0x40: SYNTAXES[1].encode()} | {kind: b"\xff" * 60_000}
    items = b"".join(struct.pack(">BxH", number, len(uid)) + uid for number, uid in uids.items())
    context = b"\1\0\0\0" + items
    body = request()[:68] + struct.pack(">BxH", 0x20, len(context)) + context
    answer = accepted(decode_associate_request(body), 16384)
    assert len(answer) < 1000


@given(st.data())
def test_changed_bytes_are_read_or_refused_but_nothing_else(data: st.DataObject) -> None:
    whole = bytearray(request())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        decoded = decode_associate_request(cut)
    except ProtocolViolation:
        return
    accepted(decoded, 16384)


@given(st.data())
def test_items_repeated_moved_or_with_other_lengths_are_read_or_refused(data: st.DataObject) -> None:
    whole = request()
    ends = sorted(data.draw(st.lists(st.integers(68, len(whole)), min_size=2, max_size=2)))
    piece = whole[ends[0] : ends[1]] * data.draw(st.integers(0, 3))
    at = data.draw(st.integers(68, len(whole)))
    changed = bytearray(whole[:at] + piece + whole[at:])
    for _ in range(data.draw(st.integers(0, 2))):
        position = data.draw(st.integers(68, len(changed) - 2))
        changed[position : position + 2] = data.draw(st.sampled_from([b"\0\0", b"\0\1", b"\xff\xff", b"\0\x10"]))
    try:
        decoded = decode_associate_request(bytes(changed))
    except ProtocolViolation:
        return
    accepted(decoded, 16384)


@given(st.binary(max_size=400))
def test_any_bytes_are_no_more_than_a_violation(data: bytes) -> None:
    try:
        decode_associate_request(data)
    except ProtocolViolation:
        pass


def command_set(**values: object) -> bytes:
    primitive = C_STORE()
    primitive.MessageID = 7
    primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID = CT, "1.2.3.4"
    primitive.Priority = 2
    for name, value in values.items():
        setattr(primitive, name, value)
    message = C_STORE_RQ()
    message.primitive_to_message(primitive)
    encoded = encode(message.command_set, True, True)
    assert encoded is not None
    return encoded


def test_a_command_set_is_read_as_it_was_meant() -> None:
    command = decode_command(command_set(MoveOriginatorApplicationEntityTitle="MOVER"))
    assert (command.field, command.message_id, command.affected_sop_class_uid) == (1, 7, CT)
    assert command.affected_sop_instance_uid == "1.2.3.4"
    assert command.move_originator_ae_title == "MOVER"
    assert command.is_request


@given(UIDS, UIDS, st.integers(0, 0xFFFF), st.sampled_from([0, 1, 2]))
def test_command_sets_are_read_as_they_were_meant(sop_class: str, uid: str, message_id: int, priority: int) -> None:
    encoded = command_set(
        AffectedSOPClassUID=sop_class, AffectedSOPInstanceUID=uid, MessageID=message_id, Priority=priority
    )
    command = decode_command(encoded)
    assert (command.affected_sop_class_uid, command.affected_sop_instance_uid) == (sop_class, uid)
    assert (command.field, command.message_id, command.is_request) == (1, message_id, True)


@given(UIDS, UIDS, st.integers(0, 0xFFFF), st.sampled_from(Status), st.text(PRINTABLE, max_size=100))
def test_responses_are_read_as_they_were_meant(
    sop_class: str, uid: str, message_id: int, status: Status, comment: str
) -> None:
    request_ = decode_command(
        command_set(AffectedSOPClassUID=sop_class, AffectedSOPInstanceUID=uid, MessageID=message_id)
    )
    encoded = encode_response(request_, status, comment)
    read = pydicom.filereader.read_dataset(io.BytesIO(encoded), is_implicit_VR=True, is_little_endian=True)
    assert (read.CommandField, read.MessageIDBeingRespondedTo, read.Status) == (0x8001, message_id, status)
    assert (read.AffectedSOPClassUID, read.AffectedSOPInstanceUID) == (sop_class, uid)
    assert read.CommandDataSetType == 0x0101
    assert read.CommandGroupLength == len(encoded) - 12
    assert list(read.keys()) == sorted(read.keys())
    assert len(read.get("ErrorComment", "")) <= 64
    assert len(encoded) % 2 == 0


@given(st.data())
def test_changed_command_sets_are_read_or_refused_but_nothing_else(data: st.DataObject) -> None:
    whole = bytearray(command_set(MoveOriginatorApplicationEntityTitle="MOVER"))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        command = decode_command(bytes(whole))
    except CommandError:
        return
    encode_response(command, Status.CANNOT_UNDERSTAND, "why")


@given(st.binary(max_size=200))
def test_any_bytes_are_no_more_than_a_bad_command_set(data: bytes) -> None:
    for candidate in (data, command_set() + data, command_set()[: len(data)]):
        try:
            command = decode_command(candidate)
        except CommandError:
            continue
        decode_command(encode_response(command, status=0xA700, comment="c" * 80))  # type: ignore[arg-type]
