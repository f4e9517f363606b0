"""How fast this gateway receives what it keeps, and delivers it, beside others: `make bench`.

Every system is a real process, started afresh for each figure with its state on the same volume, and sent the same
instances by the same client, in interleaved rounds. A system that has fewer instances than it acknowledged fails, and
so does one whose destination has fewer.
"""

import argparse
import json
import os
import resource
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import instances
import machine
import measure
import report
from destinations import Destination
from documents import write_documents
from scenarios import RETRIEVING, SCENARIOS, SENDING, Scenario, Setting, restart
from sender import SendError
from servers import Server
from syncs import Tracing, is_possible
from systems import OWN, SYSTEMS

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dicomroute/bench"
LEAST_FREE_BYTES = 12 << 30
MOST_FILES_A_SECOND = 1000


def main() -> int:
    options = arguments()
    if options.from_file:
        result = {"delivering": [], "retrieving": [], "skipped": {}, **json.loads(options.from_file.read_text())}
    else:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(1))
        options.state.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="bench-", dir=options.state) as folder:
            result = Bench(Path(folder), options).run()
        output = options.output or CACHE / f"bench-{time.strftime('%Y%m%d-%H%M%S')}.json"
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(result, indent=1) + "\n")
        say(f"written: {output}")
    print(report.text(result))
    if options.write_docs:
        for file in write_documents(result, options.docs):
            say(f"written: {file}")
    return 1 if result["failures"] else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of one second: five minutes, for a first look")
    parser.add_argument("--rounds", type=int, help="interleaved rounds (default 3)")
    parser.add_argument("--seconds", type=float, help="how long each figure is measured (default 3)")
    parser.add_argument("--scenarios", nargs="+", choices=[*SCENARIOS, "syncs"], help="these alone (default: all)")
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), help="these alone, in every scenario")
    parser.add_argument("--restart", type=int, metavar="N", help="measure a restart with N spooled instances too")
    parser.add_argument(
        "--state", type=Path, default=Path("/var/tmp/dicomroute-bench"), help="folder on the volume under test"
    )
    parser.add_argument("--output", type=Path, help="the result as JSON (default: in the user's cache directory)")
    parser.add_argument("--write-docs", action="store_true", help="write docs/performance.md and its chart")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where to write them")
    parser.add_argument(
        "--from", dest="from_file", type=Path, metavar="JSON", help="show an earlier result; measure nothing"
    )
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (1.0 if options.quick else 3.0)
    return options


class Bench:
    """One run of the benchmark."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self._folder = folder
        self._options = options
        self._runs: list[dict[str, Any]] = []
        self._failures: list[dict[str, Any]] = []
        self._skipped: dict[str, str] = {}
        self._files: list[Path] = []
        self._left = folder / "left"
        self._left.mkdir()

    def run(self) -> dict[str, Any]:
        if shutil.disk_usage(self._folder).free < LEAST_FREE_BYTES:
            sys.exit(f"{self._folder} has less than {LEAST_FREE_BYTES >> 30} GB free: give another folder as --state")
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a thousand associations are a thousand descriptors
        facts, volumes = machine.facts(self._folder), []
        began, stolen = time.time(), machine.stolen_seconds()
        scenarios = self._scenarios()
        if any(one.name == "stock-3k" for one in scenarios):
            count = measure.PROBE + int(MOST_FILES_A_SECOND * self._options.seconds)
            self._files = instances.small_files(self._folder / "files", count)
        for number in range(1, self._options.rounds + 1):
            volumes.append(machine.sync_latencies(self._folder))
            for scenario in scenarios:
                for system in self._systems(scenario):
                    self._measure(number, scenario, system)
        if not self._options.scenarios or "syncs" in self._options.scenarios:
            for name in self._options.systems or SYSTEMS:
                if SYSTEMS[name].is_durable and name not in SENDING:
                    self._count_syncs(name)
        stolen = (machine.stolen_seconds() - stolen) / (time.time() - began) / facts["cores"]
        names = [name for name in SYSTEMS if any(run["system"] == name for run in self._runs)]
        return {
            "version": 4,
            "began": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(began)),
            "minutes": round((time.time() - began) / 60, 1),
            "command": shlex.join(["tests/bench/bench.py", *_shown_arguments(sys.argv[1:])]),
            "rounds": self._options.rounds,
            "seconds": self._options.seconds,
            "machine": {**facts, "fdatasync_ms": volumes, "stolen": round(stolen, 4)},
            "scenarios": {one.name: one.title for one in scenarios},
            "delivering": [one.name for one in scenarios if one.start_destination],
            "retrieving": [one.name for one in scenarios if one.name in RETRIEVING],
            "systems": {
                name: {
                    "title": SYSTEMS[name].title,
                    "version": SYSTEMS[name].version(),
                    "is_durable": SYSTEMS[name].is_durable,
                }
                for name in names
            },
            "runs": self._runs,
            "failures": self._failures,
            "skipped": self._skipped,
        }

    def _scenarios(self) -> list[Scenario]:
        chosen = [SCENARIOS[name] for name in self._options.scenarios or SCENARIOS if name in SCENARIOS]
        if self._options.restart:
            chosen.append(restart(self._options.restart))
        return chosen

    def _systems(self, scenario: Scenario) -> Sequence[str]:
        asked = self._options.systems
        if not asked:
            return scenario.systems
        # What only this gateway is measured by default, others are when they are asked for by name.
        return [name for name in asked if name in scenario.systems or scenario.name == "one-2g"]

    def _measure(self, number: int, scenario: Scenario, name: str) -> None:
        if name == OWN and (lack := scenario.own_lack()):
            if scenario.name not in self._skipped:
                say(f"round {number}  {scenario.name:19} {name:17} skipped: {lack}")
            self._skipped[scenario.name] = lack
            return
        self._with_server(
            number,
            scenario.name,
            name,
            lambda server, folder, destination: scenario.run(
                server, Setting(folder, self._options.seconds, self._files, destination)
            ),
            scenario.start_destination,
        )

    def _count_syncs(self, name: str) -> None:
        if not is_possible():
            say("syncs are not counted: strace is not installed")
            return

        def count(server: Any, folder: Path, _: object) -> measure.Sample:
            counted = {}
            for associations in (1, 8):
                before = server.count()
                with Tracing(server.roots, self._folder / "trace") as tracing:
                    template = instances.ct(512)
                    measure.stream(
                        server, folder, template, associations, 1.0, 400, first=1 + associations, already=before
                    )
                received = server.count() - before
                counted[str(associations)] = {call: round(n / received, 3) for call, n in tracing.counts().items()}
            return {"syncs": counted}

        self._with_server(1, "syncs", name, count)

    def _with_server(
        self,
        number: int,
        scenario: str,
        name: str,
        work: Callable[[Server, Path, Destination | None], measure.Sample],
        start_destination: Callable[[Path], Destination] | None = None,
    ) -> None:
        """Start a system, with what it delivers to, measure it, end it, and leave the volume quiet for the next."""
        own = self._folder / name
        run = {"round": number, "scenario": scenario, "system": name}
        destination = None
        try:
            machine.touch_memory()
            if start_destination:
                destination = start_destination(own / "destination")
            server = SYSTEMS[name].start(own / "server", destination)
            try:
                sample = work(server, own, destination)
            finally:
                server.stop()
                if destination:
                    destination.close()
        except (AssertionError, OSError, measure.Lost, SendError) as error:
            self._failures.append({**run, "failure": f"{type(error).__name__}: {error}"[-2000:]})
            say(f"round {number}  {scenario:19} {name:17} FAILED: {error}")
        else:
            self._runs.append({**run, **sample})
            say(f"round {number}  {scenario:19} {name:17} {report.one_line(sample)}")
        finally:
            machine.kill(machine.tree([os.getpid()])[1:])  # what did not come up, or was not ended when it failed
            self._empty(own)
            os.sync()

    def _empty(self, folder: Path) -> None:
        """Free the room of what a system left, whose files go at the end of the run.

        To make a file, ext4 looks at every inode of its group that was freed within the last minutes
        (fs/ialloc.c, recently_deleted): with thousands of them that costs the next system half a millisecond a file.
        """
        if folder.exists():
            for file in folder.rglob("*"):
                if file.is_file() and not file.is_symlink():
                    os.truncate(file, 0)
            folder.rename(self._left / str(len(list(self._left.iterdir()))))


def _shown_arguments(words: Sequence[str]) -> list[str]:
    """Return the arguments that another needs to measure the same; folders are this machine's own."""
    shown, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in ("--state", "--output", "--docs"):
            skip = True
        elif word != "--write-docs":
            shown.append(word)
    return shown


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
