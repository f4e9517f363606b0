"""What this version costs beside an earlier one: processor time of an instance that is received and delivered.

    python tests/bench/versions.py --before COMMIT [--rounds 15] [--instances 400] [--pixels 512]

Both versions run in this environment, the earlier one from a worktree of its commit, and are sent the same instances
by the same client, to the same sink. Each figure is from a fresh start, and rounds go by turns: the one first, then
the other. It prints JSON, and exits 1 when this version costs more than it may (`--most`) with 95 % confidence.
`407bb58^` is the release before the gateway's rooms were moved.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import instances
import machine
import measure
import report
from destinations import Destination, StowSink
from manifests import Json, route
from running import Running

ROOT = Path(__file__).parents[2]
PACKAGES = ("client", "operator", "gateway", "cli", "console")
MOVES = "407bb58^"


class Version:
    """A gateway of one version, as `dicomroute run` starts it; its manifest has what every version takes."""

    def __init__(self, root: Path, folder: Path, destination: Destination) -> None:
        self._destination = destination
        listener: Json = {"name": "dicom", "port": 11112, "aeTitles": ["BENCH"], "sources": {"policy": "Any"}}
        spec = {
            "listeners": [listener],
            "rules": [{"name": "everything", "destinations": [destination.reference]}],
            "gateway": {"spool": {"size": "1Ti", "highWatermarkPercent": 99}},
        }
        with _packages_of(root):
            self._running = Running(folder, [route(**spec), *destination.manifests], log_level="warning")
        self.roots = [self._running.gateway_pid]
        used = Path(f"/proc/{self.roots[0]}/environ").read_bytes()
        assert f"{root}/gateway/src".encode() in used, "it does not run the version that was asked for"

    @property
    def port(self) -> int:
        return int(self._running.addresses[self._running.route]["dicom"].rpartition(":")[2])

    def count(self) -> int:
        """How many instances have arrived where they go: it has received as many."""
        return self._destination.arrived().instances

    def stop(self) -> None:
        code = self._running.stop()
        assert code == 0, f"dicomroute run ended with {code}"


@contextmanager
def _packages_of(root: Path) -> Iterator[None]:
    """Let processes that are started take our packages from a checkout."""
    os.environ["PYTHONPATH"] = os.pathsep.join(str(root / one / "src") for one in PACKAGES)
    try:
        yield
    finally:
        del os.environ["PYTHONPATH"]


@contextmanager
def checkout(commit: str, folder: Path) -> Iterator[Path]:
    """A worktree of a commit, for as long as this context is open."""
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", folder, commit], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", folder], check=True)


def cost(root: Path, folder: Path, options: argparse.Namespace) -> float:
    """Return the processor time of the gateway for an instance, in milliseconds."""
    machine.touch_memory()
    sink = StowSink(folder / "sink")
    try:
        server = Version(root, folder / "run", sink)
        try:
            sample = measure.stream(
                server,
                folder / "senders",
                instances.ct(options.pixels),
                options.associations,
                1e9,
                options.instances,
                warm_up=10,
                destination=sink,
            )
        finally:
            server.stop()
    finally:
        sink.close()
    return float(sample["server_cpu_ms"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", default=MOVES, help=f"the earlier version (default {MOVES})")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--instances", type=int, default=400, help="instances a figure")
    parser.add_argument("--associations", type=int, default=4)
    parser.add_argument("--pixels", type=int, default=512, help="rows and columns of 16 bits")
    parser.add_argument("--most", type=float, default=1.03, help="what it may cost, times the earlier one")
    parser.add_argument("--state", type=Path, default=Path("/var/tmp/dicomroute-bench"), help="folder on the volume")
    options = parser.parse_args()
    options.state.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[float]] = {"before": [], "now": []}
    with tempfile.TemporaryDirectory(dir=options.state) as name:
        folder = Path(name)
        with checkout(options.before, folder / "earlier") as earlier:
            versions = {"before": earlier, "now": ROOT}
            for number in range(options.rounds):
                for one in list(versions) if number % 2 else reversed(versions):
                    found[one].append(cost(versions[one], folder / f"{one}-{number}", options))
                print({name: figures[-1] for name, figures in found.items()}, file=sys.stderr, flush=True)
    mean, lowest, highest = report.interval([now / was for was, now in zip(*found.values(), strict=True)])
    print(
        json.dumps(
            {
                "before": options.before,
                "rounds": options.rounds,
                "instances": options.instances,
                "dataSetBytes": instances.ct(options.pixels).length,
                "millisecondsAnInstance": found,
                "medians": {one: round(statistics.median(figures), 3) for one, figures in found.items()},
                "ratio": {"mean": round(mean, 3), "from": round(lowest, 3), "to": round(highest, 3)},
                "machine": machine.facts(options.state),
            },
            indent=1,
        )
    )
    return int(lowest > options.most)


if __name__ == "__main__":
    sys.exit(main())
