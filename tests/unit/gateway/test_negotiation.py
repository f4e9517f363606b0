"""Which syntax is accepted of those in one context, and which abstract syntaxes are."""

from typing import Final

import pytest
from negotiating import negotiated

from dicomroute_gateway.dimse.associate import decode_associate_request
from dicomroute_gateway.dimse.negotiation import (
    VERIFICATION,
    ContextResult,
    ProposedContext,
    choose_transfer_syntax,
    is_storage_class,
)
from dicomroute_gateway.dimse.propose import encode_associate_request

CT: Final = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED, BIG_ENDIAN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
JPEG_BASELINE, JPEG_LOSSLESS = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70"
JPEG_2000_LOSSLESS, JPEG_2000 = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"
UNKNOWN = "1.2.3.4"


@pytest.mark.parametrize(
    "proposed, accepted",
    [
        ([IMPLICIT], IMPLICIT),
        ([IMPLICIT, EXPLICIT], EXPLICIT),
        ([BIG_ENDIAN, DEFLATED, IMPLICIT], IMPLICIT),
        ([BIG_ENDIAN, DEFLATED], DEFLATED),
        ([BIG_ENDIAN], BIG_ENDIAN),
        ([EXPLICIT, JPEG_LOSSLESS, JPEG_2000_LOSSLESS], EXPLICIT),
        ([IMPLICIT, EXPLICIT, JPEG_2000_LOSSLESS], EXPLICIT),
        ([IMPLICIT, JPEG_2000_LOSSLESS], IMPLICIT),
        ([JPEG_2000_LOSSLESS, JPEG_LOSSLESS, EXPLICIT], JPEG_2000_LOSSLESS),
        ([JPEG_LOSSLESS, IMPLICIT], JPEG_LOSSLESS),
        ([JPEG_BASELINE, JPEG_LOSSLESS, IMPLICIT], IMPLICIT),
        ([JPEG_BASELINE, JPEG_2000_LOSSLESS, JPEG_LOSSLESS], JPEG_2000_LOSSLESS),
        ([JPEG_BASELINE, EXPLICIT], EXPLICIT),
        ([JPEG_BASELINE, BIG_ENDIAN], BIG_ENDIAN),
        ([JPEG_2000, JPEG_BASELINE], JPEG_2000),
        ([JPEG_BASELINE], JPEG_BASELINE),
        ([UNKNOWN, IMPLICIT], IMPLICIT),
        ([UNKNOWN], None),
        ([], None),
    ],
)
def test_the_accepted_transfer_syntax(proposed: list[str], accepted: str | None) -> None:
    assert choose_transfer_syntax(proposed) == accepted


@pytest.mark.parametrize(
    "uid, stored",
    [
        (CT, True),
        ("1.2.840.10008.5.1.4.1.1.66.7", True),  # Label Map Segmentation Storage, of 2024
        ("1.2.840.10008.5.1.4.1.1.6", True),  # Ultrasound Image Storage, retired
        ("1.2.840.10008.5.1.4.1.1.9.1.1", True),  # 12-lead ECG Waveform Storage
        ("1.2.840.113619.4.27", True),  # private
        ("1.2.840.10008.1.3.10", False),  # Media Storage Directory
        ("1.2.840.10008.1.20.1", False),  # Storage Commitment Push Model
        ("1.2.840.10008.5.1.4.1.2.2.1", False),  # Study Root Query/Retrieve - FIND
        (VERIFICATION, False),
        ("", False),
    ],
)
def test_what_counts_as_a_storage_class(uid: str, stored: bool) -> None:
    assert is_storage_class(uid) is stored


def test_unsupported_contexts_are_refused_singly() -> None:
    proposed = (
        ProposedContext(1, CT, (EXPLICIT,)),
        ProposedContext(3, "1.2.840.10008.5.1.4.1.2.2.1", (IMPLICIT,)),
        ProposedContext(5, CT, (UNKNOWN,)),
        ProposedContext(7, VERIFICATION, (IMPLICIT,)),
    )
    whole = decode_associate_request(encode_associate_request("A", "B", proposed, 16384)[6:])
    answer = negotiated(whole)
    assert sorted(answer.accepted) == [1, 7]
    assert [(one.context_id, one.result) for one in answer.contexts] == [
        (1, ContextResult.ACCEPTANCE),
        (3, ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED),
        (5, ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED),
        (7, ContextResult.ACCEPTANCE),
    ]
