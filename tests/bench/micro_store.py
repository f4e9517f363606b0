"""Instances a second to a stock storescp, from our requestor and from a stock pynetdicom SCU, in interleaved rounds.

    python tests/bench/micro_store.py [--rounds 3] [--seconds 1]

storescp runs as it comes (`peers/storescp-default`, Nagle's algorithm on), one for each sender, files in a temporary
folder; each round is one association.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pynetdicom import AE

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from instances import ct, small
from ports import free_port
from processes import Process
from systems import PEERS
from template import INSTANCE_UID, Template, uid

from dicomroute_gateway.dimse.failures import RequestorFailure
from dicomroute_gateway.dimse.propose import VERIFYING, group_contexts
from dicomroute_gateway.dimse.requestor import Called, Requestor, StoreInstance, Timeouts
from dicomroute_gateway.dimse.source import FileSource
from dicomroute_gateway.spool.part10 import file_head, head_length

FILES = 20


def write(folder: Path, template: Template) -> list[Path]:
    """Write instances of a template as the spool does."""
    files = []
    for number in range(FILES):
        name = uid(1, number)
        data = template.head.replace(INSTANCE_UID, name) + bytes(template.pixel_bytes)
        files.append(folder / f"{name.decode()}.dcm")
        files[-1].write_bytes(file_head(template.sop_class_uid, name.decode(), template.transfer_syntax_uid) + data)
    return files


def ours(port: int, kept: Path, files: list[Path], template: Template, seconds: float) -> float:
    instances = [instance_of(file, template) for file in files]
    contexts = group_contexts(one.syntaxes for one in instances)[0]
    association = Requestor.open(Called("127.0.0.1", port, "STORESCP", "CTGATE"), contexts, Timeouts())
    rate = measure(lambda number: association.store(instances[number]).status, kept, seconds)
    association.release()
    return rate


def pynetdicom(port: int, kept: Path, files: list[Path], template: Template, seconds: float) -> float:
    entity = AE(ae_title="CTGATE")
    entity.add_requested_context(template.sop_class_uid, template.transfer_syntax_uid)
    association = entity.associate("127.0.0.1", port, ae_title="STORESCP")
    rate = measure(lambda number: int(association.send_c_store(files[number]).Status), kept, seconds)
    association.release()
    return rate


def instance_of(file: Path, template: Template) -> StoreInstance:
    syntax = template.transfer_syntax_uid
    offset = head_length(template.sop_class_uid, file.stem, syntax)
    source = FileSource(file, offset, file.stat().st_size - offset)
    return StoreInstance(template.sop_class_uid, file.stem, syntax, source)


def measure(store: Callable[[int], int], kept: Path, seconds: float) -> float:
    """Return instances a second; between passes over the files, which do not count, what the peer keeps is removed.

    A file written over another of its name would be flushed when it is closed, which no new instance is.
    """
    count, spent = 0, 0.0
    while spent < seconds:
        began = time.perf_counter()
        for number in range(FILES):
            status = store(number)
            assert status == 0, f"status {status:04X}"
        spent += time.perf_counter() - began
        count += FILES
        for file in kept.iterdir():
            file.unlink()
    return count / spent


def listens(port: int) -> bool:
    called = Called("127.0.0.1", port, "STORESCP", "CTGATE")
    try:
        return Requestor.open(called, group_contexts([VERIFYING])[0], Timeouts()).release()
    except RequestorFailure:
        return False


SENDERS = {"dicomroute": ours, "pynetdicom": pynetdicom}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        processes = []
        ports = {sender: free_port() for sender in SENDERS}
        for sender, port in ports.items():
            (folder / sender).mkdir()
            command = [PEERS / "storescp-default", str(port), folder / sender]
            processes.append(Process(command, folder / f"{sender}.log"))
            processes[-1].wait_until(lambda port=port: listens(port), "storescp does not answer")
        for what, template in (("3 KB", small()), ("512 KB", ct(512))):
            (folder / what).mkdir()
            files = write(folder / what, template)
            rates: dict[str, list[float]] = {sender: [] for sender in SENDERS}
            for _ in range(options.rounds):
                for sender, send in SENDERS.items():
                    rates[sender].append(send(ports[sender], folder / sender, files, template, options.seconds))
            medians = {sender: statistics.median(values) for sender, values in rates.items()}
            print(
                f"{what} ({template.length} bytes): "
                + ", ".join(f"{sender} {median:.1f}/s" for sender, median in medians.items())
                + f", {medians['dicomroute'] / medians['pynetdicom']:.1f} times"
                + f" (rounds: {', '.join(f'{a / b:.1f}' for a, b in zip(*rates.values(), strict=True))})"
            )
        for process in processes:
            process.stop()


if __name__ == "__main__":
    main()
