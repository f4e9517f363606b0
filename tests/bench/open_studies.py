"""What following studies costs: memory of 10,000 open ones, and processor time of receiving beside a route without.

    python tests/bench/open_studies.py [--instances 400] [--rounds 3]

Prints JSON. Needs `tests/support` on its path. Rounds are made by turns, as others use the machine too.
"""

import argparse
import gc
import json
import os
import resource
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from gateways import LoneGateway
from origin_server import OriginServer
from pdus import data_set, element, uid_value
from peer import Answered, Peer, new_uid
from routes import local_node, local_route, targets
from spools import received

from dicomroute_gateway.spool.studies import StudyBook
from dicomroute_gateway.studies.completion import Activity

STUDIES, BYTES = 10_000, 512 << 10


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def memory() -> int:
    """Return how many bytes 10,000 open studies take, of three series each, when their instances are gone."""
    gc.collect()
    before, book, activities = resident_bytes(), StudyBook(), dict[str, Activity]()
    for number in range(STUDIES):
        study = f"1.2.826.0.1.3680043.8.498.{10**38 + number}"
        activities[study] = Activity(0.0, 0.0)
        for series in range(3):
            one = replace(
                received(number + 1), study_instance_uid=study, series_instance_uid=f"{study[:-6]}.{number}.{series}"
            )
            book.count(replace(one, modality="CT"), 1.0, 0)
    gc.collect()
    assert len(book.open) == len(activities) == STUDIES
    return resident_bytes() - before


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def receiving(gateway: LoneGateway, count: int) -> float:
    """Return the processor time of the gateway for an instance of 512 KB, in milliseconds."""
    peer = Peer(gateway.port, patience_seconds=60).associated()
    sent = []
    for number in range(count):
        uid = new_uid()
        study = element(0x0020000D, "UI", uid_value(f"1.2.3.{number // 50}"))
        sent.append((uid, data_set(uid, study, element(0x7FE00010, "OW", bytes(BYTES)))))
    before = processor_seconds(gateway.process.pid)
    for uid, data in sent:
        assert peer.store(data, uid) == Answered(0)
    spent = processor_seconds(gateway.process.pid) - before
    peer.release()
    return spent / count * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    open_bytes = memory()
    server = OriginServer()
    found: dict[str, list[float]] = {"without": [], "with": []}
    with tempfile.TemporaryDirectory() as folder:
        gateways = {
            name: LoneGateway(
                Path(folder) / name,
                [
                    local_node(),
                    *targets(archive=server.url),
                    local_route(mode="HoldDeliveries", **({"studies": {}} if name == "with" else {})),
                ],
            )
            for name in found
        }
        for one in gateways.values():
            receiving(one, 50)
        for _ in range(arguments.rounds):
            for name, one in gateways.items():
                found[name].append(round(receiving(one, arguments.instances), 3))
        for one in gateways.values():
            one.stop()
    ratio = median(found["with"]) / median(found["without"])
    print(
        json.dumps(
            {
                "openStudies": STUDIES,
                "mebibytes": round(open_bytes / (1 << 20), 1),
                "millisecondsAnInstance": found,
                "ratio": round(ratio, 3),
            }
        )
    )


if __name__ == "__main__":
    main()
