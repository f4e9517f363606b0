"""What answers mean, how long to wait, what is held, and what a request's body is."""

import asyncio
import json
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.deliver.backoff import SOON_ATTEMPTS, full_jitter, soon
from dicomroute_gateway.deliver.cloud.replies.decision import outcomes as outcomes_of
from dicomroute_gateway.deliver.cloud.replies.reasons import Reading
from dicomroute_gateway.deliver.cloud.replies.result import HTTPAnswer, parse_result
from dicomroute_gateway.deliver.holding import held
from dicomroute_gateway.deliver.outcome import AttemptOutcome, Verdict
from dicomroute_gateway.dicomweb.multipart import MultipartBody
from dicomroute_gateway.dicomweb.retry_after import retry_after_seconds
from dicomroute_gateway.spool.content import StoredFile, Unreadable

ROOT = Path(__file__).parents[3]


def outcomes(answer: HTTPAnswer, sent: list[str]) -> list[AttemptOutcome]:
    return outcomes_of(answer, sent, Reading())


def result(stored: list[str], failed: dict[str, Any] | None = None, nameless: list[int] | None = None) -> bytes:
    def item(uid: str, **more: Any) -> dict[str, Any]:
        return {"00081155": {"vr": "UI", "Value": [uid]}, **more}

    items = [item(uid, **{"00081197": {"vr": "US", "Value": [reason]}}) for uid, reason in (failed or {}).items()]
    items += [{"00081197": {"vr": "US", "Value": [reason]}} for reason in nameless or []]
    return json.dumps(
        {"00081199": {"vr": "SQ", "Value": [item(uid) for uid in stored]}, "00081198": {"vr": "SQ", "Value": items}}
    ).encode()


def verdicts(
    status: int, body: bytes = b"", sent: list[str] | None = None, media: str = "application/dicom+json"
) -> list[Any]:
    return [one.verdict for one in outcomes(HTTPAnswer(status, media, body), sent or ["1.1"])]


V = Verdict


@pytest.mark.parametrize("status", [200, 202, 400, 409])
def test_the_list_of_the_body_counts_whatever_the_status(status: int) -> None:
    body = result(["1.1"], {"1.2": 0xA900, "1.3": 0xA700})
    assert verdicts(status, body, ["1.1", "1.2", "1.3", "1.4"]) == [V.DELIVERED, V.REFUSED, V.RETRY, V.RETRY]


@pytest.mark.parametrize(
    "reason, verdict",
    [
        (0xA700, V.RETRY),
        (0xA7FF, V.RETRY),
        (0xA900, V.REFUSED),
        (0xC000, V.REFUSED),
        (0xC122, V.REFUSED),
        (0x0122, V.REFUSED),
        (0x0110, V.DOUBTFUL),
        (0, V.DOUBTFUL),
        (45070, V.DUPLICATE),
        (45071, V.RETRY),
        (273, V.DUPLICATE),
    ],
)
def test_failure_reasons(reason: int, verdict: Verdict) -> None:
    assert verdicts(409, result([], {"1.1": reason})) == [verdict]


@pytest.mark.parametrize(
    "status, alone, in_batch",
    [
        (200, V.RETRY, V.RETRY),
        (202, V.RETRY, V.RETRY),
        (204, V.RETRY, V.RETRY),
        (302, V.PAUSE, V.PAUSE),
        (400, V.DOUBTFUL, V.ALONE),
        (401, V.PAUSE, V.PAUSE),
        (403, V.PAUSE, V.PAUSE),
        (404, V.PAUSE, V.PAUSE),
        (406, V.PAUSE, V.PAUSE),
        (409, V.DOUBTFUL, V.ALONE),
        (413, V.REFUSED, V.ALONE),
        (415, V.PAUSE, V.PAUSE),
        (424, V.PAUSE, V.PAUSE),
        (429, V.RETRY, V.RETRY),
        (500, V.RETRY, V.RETRY),
        (503, V.RETRY, V.RETRY),
    ],
)
def test_answers_that_name_no_instance(status: int, alone: Verdict, in_batch: Verdict) -> None:
    for body, media in (
        (b"", ""),
        (b"<html>", "text/html"),
        (b"{}", "application/dicom+json"),
        (b"{", "application/json"),
    ):
        assert verdicts(status, body, media=media) == [alone]
        assert verdicts(status, body, ["1.1", "1.2"], media=media) == [in_batch, in_batch]


def test_a_failure_without_a_name_is_that_of_an_instance_sent_alone() -> None:
    body = result([], nameless=[0xC000])
    assert verdicts(400, body) == [V.REFUSED]
    assert verdicts(400, body, ["1.1", "1.2"]) == [V.ALONE, V.ALONE]
    assert verdicts(202, result(["1.1"], nameless=[0xC000]), ["1.1", "1.2"]) == [V.DELIVERED, V.ALONE]


def test_an_instance_that_is_stored_and_failed_is_failed() -> None:
    assert verdicts(200, result(["1.1"], {"1.1": 0xA900})) == [V.REFUSED]


@pytest.mark.parametrize("reason", ["272", "0110", "A700"])
def test_reasons_that_old_servers_send_as_text(reason: str) -> None:
    expected = {"272": V.DOUBTFUL, "0110": V.DOUBTFUL, "A700": V.RETRY}
    assert verdicts(200, result([], {"1.1": reason})) == [expected[reason]]


XML = """<?xml version="1.0"?><NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">
<DicomAttribute tag="00081199" vr="SQ"><Item number="1">
<DicomAttribute tag="00081155" vr="UI"><Value number="1">1.1</Value></DicomAttribute></Item></DicomAttribute>
<DicomAttribute tag="00081198" vr="SQ"><Item number="1">
<DicomAttribute tag="00081155" vr="UI"><Value number="1">1.2</Value></DicomAttribute>
<DicomAttribute tag="00081197" vr="US"><Value number="1">43264</Value></DicomAttribute></Item></DicomAttribute>
</NativeDicomModel>"""


def test_results_in_xml_and_with_parameters_of_the_media_type() -> None:
    assert verdicts(202, XML.encode(), ["1.1", "1.2"], "application/dicom+xml; charset=utf-8") == [
        V.DELIVERED,
        V.REFUSED,
    ]
    assert verdicts(200, result(["1.1"]), media="Application/DICOM+JSON; charset=utf-8") == [V.DELIVERED]


def test_a_document_type_is_not_read() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]>' + XML.partition("?>")[2]
    assert verdicts(200, bomb.encode(), media="application/xml") == [V.RETRY]


@pytest.mark.parametrize("encoding", ["no-such-encoding", "utf-7", "undefined", "shift_jis", "UTF-32", ""])
def test_an_encoding_that_no_parser_has_is_no_result(encoding: str) -> None:
    body = XML.replace('<?xml version="1.0"?>', f'<?xml version="1.0" encoding="{encoding}"?>').encode()
    assert verdicts(200, body, media="application/dicom+xml") == [V.RETRY]


@pytest.mark.parametrize("media", ["", " ", "; charset=utf-8"])
def test_an_answer_without_a_media_type_is_looked_at(media: str) -> None:
    assert verdicts(400, result([], {"1.1": 0xA900}), ["1.1"], media) == [V.REFUSED]
    assert verdicts(200, b"\xef\xbb\xbf \r\n" + result(["1.1"]), ["1.1"], media) == [V.DELIVERED]
    assert verdicts(202, XML.encode(), ["1.1", "1.2"], media) == [V.DELIVERED, V.REFUSED]
    assert verdicts(200, b"<html>", ["1.1"], media) == [V.RETRY]


@pytest.mark.parametrize("reason", [-1, 1 << 16, 10**300, "1" * 4000, "1" * 5000, 1.5, True, [], {}])
def test_a_reason_that_is_none_says_nothing(reason: Any) -> None:
    document = {"00081198": {"Value": [{"00081155": {"Value": ["1.1"]}, "00081197": {"Value": [reason]}}]}}
    found = parse_result(HTTPAnswer(409, "application/dicom+json", json.dumps(document).encode()))
    assert found is not None
    assert found.failed == {"1.1": 0}


@given(st.binary(max_size=300), st.integers(100, 599))
def test_any_answer_has_an_outcome_and_none_delivers_without_a_name(body: bytes, status: int) -> None:
    for media in ("application/dicom+json", "application/dicom+xml", "text/html"):
        assert Verdict.DELIVERED not in verdicts(status, body, ["1.1", "1.2"], media)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["00081198", "00081199", "00081155", "00081197", "Value"]), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_has_an_outcome(document: Any) -> None:
    assert len(verdicts(200, json.dumps(document).encode(), ["1.1", "1.2"])) == 2


def test_deeply_nested_json_has_an_outcome() -> None:
    assert verdicts(200, b"[" * 100_000) == [V.RETRY]


def test_an_outcome_says_what_a_person_is_shown() -> None:
    (outcome,) = outcomes(HTTPAnswer(503, "", b""), ["1.1"])
    assert outcome == AttemptOutcome(Verdict.RETRY, "Busy", 503, may_have_arrived=True)


@given(st.integers(1, 1000), st.floats(0, 1, exclude_max=True))
def test_backoff_grows_to_its_bound_and_never_beyond(failures: int, random: float) -> None:
    seconds = full_jitter(failures, 1, 300, random)
    assert 0.1 <= seconds <= 300
    assert seconds <= max(0.1, 2.0 ** min(failures - 1, 20))


def test_where_others_pass_the_first_retry_is_at_once_and_none_waits_longer_than_a_second() -> None:
    waits = [soon(attempts) for attempts in range(SOON_ATTEMPTS + 1)]
    assert waits[:3] == [0, 0, 0.02]
    assert waits == sorted(waits)
    assert waits[-1] == 1


@pytest.mark.parametrize(
    "value, seconds",
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        ("Thu, 01 Jan 1970 00:16:50 GMT", 10.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("soon", None),
        ("9" * 400, 3600.0),
        ("²", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("Thu, 01 Jan 1970 00:16:50 +99999999999999999999", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, now=1000.0) == seconds


def test_what_the_configuration_holds() -> None:
    golden = json.loads((ROOT / "tests/golden/full/configuration.json").read_text())
    configuration = Configuration.model_validate(golden)
    assert held("CloudTarget/archive", configuration, 0.0) == "RouteHeld"
    running = Configuration.model_validate({**golden, "mode": "Running"})
    assert held("CloudTarget/archive", running, 0.0) == ""
    assert held("CloudTarget/research", running, 0.0) == "NotDeidentified"
    assert held("CloudTarget/removed", running, 0.0) == "NoSuchDestination"


async def collect(body: MultipartBody) -> bytes:
    return b"".join([block async for block in body.blocks()])


def test_a_body_has_the_length_it_says_and_the_files_it_was_given(tmp_path: Path) -> None:
    contents = [b"one", bytes(range(256)) * 9000, b""]
    parts = []
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
        parts.append(StoredFile(tmp_path / str(number), len(content)))
    body = MultipartBody(parts)
    sent = asyncio.run(collect(body))
    assert len(sent) == body.content_length
    assert asyncio.run(collect(body)) == sent, "every attempt sends the same"
    message = BytesParser().parsebytes(f"Content-Type: {body.content_type}\r\n\r\n".encode() + sent)
    assert message.get_param("type") == "application/dicom"
    payloads = message.get_payload()
    assert len(payloads) == 3
    assert {part.get_content_type() for part in payloads} == {"application/dicom"}
    assert sent.count(contents[1]) == 1


def test_a_file_that_is_too_short_is_not_sent_as_if_it_were_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    with pytest.raises(Unreadable):
        asyncio.run(collect(MultipartBody([StoredFile(tmp_path / "a", 4)])))
