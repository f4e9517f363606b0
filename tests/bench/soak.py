"""Whether memory, descriptors and spool stay flat under load: `make soak MINUTES=30`.

Senders store and a sink takes what is delivered, through one gateway; a line every ten seconds. The last quarter is
compared with the second: it fails when memory has grown by more than 16 MiB, or descriptors, threads or the spool by
more than what is under way at any time.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from gateways import LoneGateway
from persistent import Sender
from routes import local_node, local_route, to
from sink import Sink

EVERY_SECONDS = 10
MOST_GROWTH = {"memory_mib": 16, "descriptors": 16, "threads": 4, "spool_mib": 64}


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 30
    sink = Sink()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        gateway = LoneGateway(Path(folder), [local_node(), to(sink.url, onDuplicate="Accept"), local_route()])
        senders = [Sender(gateway.port, number) for number in range(4)]
        samples = []
        try:
            for _ in range(max(4, int(minutes * 60 / EVERY_SECONDS))):
                time.sleep(EVERY_SECONDS)
                samples.append(sample(gateway))
                print("  ".join(f"{name} {value:g}" for name, value in samples[-1].items()), flush=True)
            for sender in senders:
                sender.stop()
            gateway.wait_for(owed=0)
            acknowledged = {one for sender in senders for one in sender.acknowledged}
            arrived = {(uid, digest) for uid, digests in sink.stored.items() for digest in digests}
            print(f"{len(acknowledged)} instances acknowledged, {len(acknowledged - arrived)} of them missing")
        finally:
            gateway.kill()
            sink.close()
    grown = growth(samples)
    print("growth in the second half: " + ", ".join(f"{name} {value:+g}" for name, value in grown.items()))
    sys.exit(acknowledged - arrived != set() or any(grown[name] > most for name, most in MOST_GROWTH.items()))


def sample(gateway: LoneGateway) -> dict[str, float]:
    """Return how the process and its spool stand."""
    process = Path(f"/proc/{gateway.process.pid}")
    rollup = (process / "smaps_rollup").read_text().splitlines()
    status = gateway.status()
    return {
        "memory_mib": round(next(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) / 1024, 1),
        "descriptors": len(list((process / "fd").iterdir())),
        "threads": len(list((process / "task").iterdir())),
        "spool_mib": round(status["spool"]["usedBytes"] / 2**20, 1),
        "delivered": status["instances"]["deliveredTotal"],
    }


def growth(samples: list[dict[str, float]]) -> dict[str, float]:
    """Return by how much the last quarter's median exceeds that of the second quarter."""
    quarter = len(samples) // 4
    return {
        name: round(
            statistics.median(one[name] for one in samples[-quarter:])
            - statistics.median(one[name] for one in samples[quarter : 2 * quarter]),
            1,
        )
        for name in MOST_GROWTH
    }


if __name__ == "__main__":
    main()
