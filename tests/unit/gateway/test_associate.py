"""The A-ASSOCIATE codec against pynetdicom's, and against bytes that nobody meant."""

from hypothesis import given
from hypothesis import strategies as st
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

from dicomroute_gateway.dimse.associate import decode_associate_request, encode_associate_accept
from dicomroute_gateway.dimse.command import CommandError, decode_command, encode_response
from dicomroute_gateway.dimse.negotiation import ContextResult, negotiate
from dicomroute_gateway.dimse.stream import ProtocolViolation

CT, ECHO = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.1"
SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70"]


def request(calling: str = "CT1", called: str = "GATE", maximum: int = 16382, window: bool = False) -> bytes:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = UID("1.2.840.10008.3.1.1.1")
    primitive.calling_ae_title, primitive.called_ae_title = calling, called
    contexts = []
    for number, abstract in ((1, CT), (3, ECHO)):
        context = PresentationContext()
        context.context_id, context.abstract_syntax = number, UID(abstract)
        context.transfer_syntax = [UID(one) for one in SYNTAXES]
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


def test_the_answer_is_read_as_it_was_meant() -> None:
    decoded = decode_associate_request(request(window=True))
    encoded = encode_associate_accept(decoded, negotiate(decoded.contexts), 131072)
    pdu = A_ASSOCIATE_AC()
    pdu.decode(encoded)
    primitive = pdu.to_primitive()
    results = primitive.presentation_context_definition_results_list
    assert [(one.context_id, one.result, one.transfer_syntax[0]) for one in results] == [
        (1, ContextResult.ACCEPTANCE, SYNTAXES[2]),
        (3, ContextResult.ACCEPTANCE, SYNTAXES[1]),
    ]
    assert pdu.user_information.maximum_length == 131072
    window = next(
        item for item in primitive.user_information if isinstance(item, AsynchronousOperationsWindowNegotiation)
    )
    assert (window.maximum_number_operations_invoked, window.maximum_number_operations_performed) == (1, 1)


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
    encode_associate_accept(decoded, negotiate(decoded.contexts), 16384)


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


@given(st.binary(max_size=200))
def test_any_bytes_are_no_more_than_a_bad_command_set(data: bytes) -> None:
    for candidate in (data, command_set() + data, command_set()[: len(data)]):
        try:
            command = decode_command(candidate)
        except CommandError:
            continue
        decode_command(encode_response(command, status=0xA700, comment="c" * 80))  # type: ignore[arg-type]
