"""What own code gains over the libraries it replaces: `make bench-micro` prints the medians of interleaved rounds."""

import io
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import prometheus_client
import pydicom
from blake3 import blake3
from pynetdicom.pdu import A_ASSOCIATE_RQ

from dicomroute_gateway.dimse.associate import decode_associate_request
from dicomroute_gateway.measures import STORE_SECONDS, Histogram, MeasuredAttempt, Measures
from dicomroute_gateway.rules.attributes import ATTRIBUTES
from dicomroute_gateway.rules.expression import compile_expression
from dicomroute_gateway.rules.head import scan
from dicomroute_gateway.spool.keys import key_of
from dicomroute_gateway.spool.sealed import SALT_BYTES, Sealer, sealed_length, unseal

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "gateway"))

from corpus import FILES, data_set_bytes
from test_associate import request

ROUNDS, CALLS = 7, 300
WANTED = [
    0x00080016,
    0x00080018,
    0x0020000D,
    0x0020000E,
    ATTRIBUTES["Modality"].tag,
    ATTRIBUTES["StudyDescription"].tag,
]


def main() -> None:
    data = data_set_bytes((FILES / "CT_small.dcm").read_bytes())
    pdu = request()
    rule = compile_expression('instance.Modality == "CT" && instance.StudyDescription.contains("RESEARCH")')
    values = {"Modality": "CT", "StudyDescription": "CHEST RESEARCH"}
    compare(
        "head of CT_small (258 elements)",
        ("scan", lambda: scan(lambda offset, length: data[offset : offset + length], "1.2.840.10008.1.2.1", WANTED)),
        (
            "pydicom",
            lambda: pydicom.dcmread(io.BytesIO(data), force=True, stop_before_pixels=True, specific_tags=WANTED),
        ),
    )
    compare(
        "A-ASSOCIATE-RQ with 2 contexts",
        ("decode", lambda: decode_associate_request(pdu)),
        ("pynetdicom", lambda: A_ASSOCIATE_RQ().decode(b"\x01\x00" + len(pdu).to_bytes(4, "big") + pdu)),
    )
    compare("a rule over two attributes", ("CEL", lambda: rule.evaluate(values, {})))
    key, instance = key_of(os.urandom(32)), os.urandom(512 << 10)
    pieces = [memoryview(instance)[start : start + (16 << 10)] for start in range(0, len(instance), 16 << 10)]

    def seal(pieces: Sequence[memoryview]) -> bytes:
        return b"".join(Sealer(key, 1, os.urandom(SALT_BYTES)).seal(pieces, is_last=True))

    file = seal(pieces)
    assert len(file) == sealed_length(len(instance))
    compare(
        "512 KB on the encrypted spool",
        ("encrypt", lambda: Sealer(key, 1, os.urandom(SALT_BYTES)).seal(pieces, is_last=True)),
        (
            "decrypt",
            lambda: unseal(lambda at, n: file[at : at + n], 1, len(instance), {key.id: key}).read_at(0, 1 << 20),
        ),
        ("BLAKE3, which every instance costs", lambda: blake3(instance).digest()),
    )
    compare("3 KB on the encrypted spool", ("encrypt", lambda: seal([pieces[0][:3000]])))
    own, theirs = Histogram(STORE_SECONDS), prometheus_client.Histogram("a", "b", registry=None, buckets=STORE_SECONDS)
    compare(
        "an observation of a histogram",
        ("own", lambda: own.observe(0.0123)),
        ("prometheus_client", lambda: theirs.observe(0.0123)),
    )
    measures = Measures()
    compare("all measures of an instance on its way in and out", ("own", lambda: measure_one(measures)))


def measure_one(measures: Measures) -> None:
    """What the gateway measures of one instance: reception, association, delivery."""
    begin = time.monotonic()
    measures.commit_seconds.observe(time.monotonic() - begin)
    listener = measures.listener("dicom")
    listener.instance_bytes.observe(524288)
    listener.answered(0, time.monotonic() - begin)
    measures.attempted("CloudTarget/a", 0.1, (MeasuredAttempt("Stored", True, 524288, 1.0),))


def compare(what: str, *candidates: tuple[str, Callable[[], object]]) -> None:
    rounds: dict[str, list[float]] = {name: [] for name, _ in candidates}
    for _ in range(ROUNDS):
        for name, call in candidates:
            begin = time.perf_counter()
            for _ in range(CALLS):
                call()
            rounds[name].append((time.perf_counter() - begin) / CALLS * 1e6)
    medians = {name: statistics.median(times) for name, times in rounds.items()}
    print(f"{what}: " + ", ".join(f"{name} {median:.1f} µs" for name, median in medians.items()))


if __name__ == "__main__":
    main()
