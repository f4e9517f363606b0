"""What following studies costs: memory of 10,000 open ones, and processor time of receiving beside a route without.

    python tests/bench/open_studies.py [--rounds 15] [--instances 400] [--studies 10000]

Two gateways run beside each other, one with `spec.studies`, and are sent the same by turns: instances of 512 KB for the
time, then an instance of 3 KB for each of so many studies, which stay open, for the memory and for what looking at them
costs while nothing comes. It prints JSON, and exits 1 when the processor time is more than 3 % above, with 95 %
confidence, or the memory more than 32 MiB.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import instances
import machine
import measure
import report
from manifests import route, target
from running import Running
from template import Template

MOST_RATIO, MOST_BYTES = 1.03, 32 << 20
IDLE_SECONDS = 20


class Route:
    """A gateway that keeps what it receives; `spec` is what its route has besides."""

    def __init__(self, folder: Path, spec: Mapping[str, object]) -> None:
        listener = {"name": "dicom", "port": 11112, "aeTitles": ["BENCH"], "sources": {"policy": "Any"}}
        rules = [{"name": "everything", "destinations": [{"kind": "CloudTarget", "name": "archive"}]}]
        spool = {"size": "1Ti", "highWatermarkPercent": 99}
        manifest = route(listeners=[listener], rules=rules, gateway={"spool": spool}, mode="HoldDeliveries", **spec)
        self._folder = folder / "senders"
        self._running = Running(folder, [manifest, target(url="https://127.0.0.1:9/dicom-web")], log_level="warning")
        self.roots = [self._running.gateway_pid]
        self._turns = 0

    @property
    def port(self) -> int:
        return int(self._running.addresses[self._running.route]["dicom"].rpartition(":")[2])

    def count(self) -> int:
        return int(self._running.counts()["receivedTotal"])

    def receive(self, template: Template, count: int, *, a_study_each: bool = False) -> float:
        """Send instances by four associations; return the processor time of each, in milliseconds."""
        self._turns += 1
        sample = measure.stream(
            self,
            self._folder,
            template,
            4,
            1e9,
            count,
            first=1 + 4 * self._turns,
            already=self.count(),
            a_study_each=a_study_each,
        )
        return float(sample["server_cpu_ms"])

    @property
    def open_studies(self) -> int:
        return int((self._running.status()["studies"] or {"open": 0})["open"])

    @property
    def memory(self) -> int:
        return machine.pss_bytes(self.roots)

    def idle_percent(self) -> float:
        """Return what it computes while nothing comes, in percent of one processor."""
        before = machine.cpu_seconds(self.roots)
        time.sleep(IDLE_SECONDS)
        return 100 * (machine.cpu_seconds(self.roots) - before) / IDLE_SECONDS

    def stop(self) -> None:
        assert self._running.stop() == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--instances", type=int, default=400, help="instances a figure of time")
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--state", type=Path, default=Path("/var/tmp/dicomroute-bench"), help="folder on the volume")
    options = parser.parse_args()
    options.state.mkdir(parents=True, exist_ok=True)
    spent: dict[str, list[float]] = {"without": [], "with": []}
    with tempfile.TemporaryDirectory(dir=options.state) as name:
        folder, studies = Path(name), {"idleSeconds": 86_400, "maxOpenSeconds": 86_400}
        routes = {
            "without": Route(folder / "without", {}),
            "with": Route(folder / "with", {"studies": studies}),
        }
        large, small = instances.ct(512), instances.small()
        for one in routes.values():
            one.receive(large, 80)
        for number in range(options.rounds):
            for word in list(routes) if number % 2 else reversed(routes):
                spent[word].append(routes[word].receive(large, options.instances))
        before = {word: one.memory for word, one in routes.items()}
        for one in routes.values():
            one.receive(small, options.studies, a_study_each=True)
        time.sleep(5)  # the feed reads behind
        grown = {word: one.memory - before[word] for word, one in routes.items()}
        idle = {word: round(one.idle_percent(), 2) for word, one in routes.items()}
        is_open = routes["with"].open_studies
        for one in routes.values():
            one.stop()
    mean, lowest, highest = report.interval([w / wo for wo, w in zip(*spent.values(), strict=True)])
    more = grown["with"] - grown["without"]
    print(
        json.dumps(
            {
                "rounds": options.rounds,
                "instances": options.instances,
                "millisecondsAnInstance": spent,
                "medians": {word: round(statistics.median(one), 3) for word, one in spent.items()},
                "ratio": {"mean": round(mean, 3), "from": round(lowest, 3), "to": round(highest, 3)},
                "openStudies": is_open,
                "mebibytesMore": round(more / (1 << 20), 1),
                "percentOfAProcessorWhileIdle": idle,
                "machine": machine.facts(options.state),
            },
            indent=1,
        )
    )
    assert is_open >= options.studies, "studies were completed"
    return int(lowest > MOST_RATIO or more > MOST_BYTES)


if __name__ == "__main__":
    sys.exit(main())
