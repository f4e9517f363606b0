"""What de-identifying costs: `make bench-deid`.

    python tests/bench/deidentify.py [--rounds 3] [--only engine rules beside passing] [--state DIR]

engine: a CT of 512 KB, beside dicognito, dicom-anonymizer and deid, each in a process of its own, by turns.
rules: from a C-STORE to an archive that has it, with 0 and with 50 rules in the profile.
beside: receiving while a backlog is de-identified and delivered, while it is delivered as it came, and while it waits.
passing: what one multi-frame image of 2 GB adds to the memory of all processes.

Prints JSON, with a verdict on each budget; ends with 1 where one is missed.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import instances
import machine
import measure
from destinations import StowSink
from manifests import Json
from servers import Gateway

BENCH, ROOT = Path(__file__).parent, Path(__file__).parents[2]
OTHERS: Final = ("dicognito", "dicom-anonymizer", "deid")
CALLS: Final = {"dicomroute": 200, "dicognito": 40, "dicom-anonymizer": 40, "deid": 10}
PROFILE: Final[Json] = {"edition": "2026c"}
PASSED: Final[Json] = {"name": "frames", "sopClassUIDs": [instances.MULTI_FRAME], "action": "Pass"}
MOST: Final = 100_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each rate is measured")
    parser.add_argument("--backlog", type=int, default=1500, help="instances that wait, of 512 KB each")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--others", type=Path, default=ROOT / ".venv-bench/bin/python", help="their interpreter")
    parser.add_argument("--state", type=Path, default=Path("/var/tmp/dicomroute-bench"))
    options = parser.parse_args()
    options.state.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="deid-", dir=options.state) as folder:
        for name in options.only:
            found[name] = PARTS[name](Path(folder) / name, options)
            print(name, json.dumps(found[name]["verdict"]), file=sys.stderr, flush=True)
    print(json.dumps({"machine": machine.facts(options.state), "rounds": options.rounds, **found}, indent=1))
    return 0 if all(one["verdict"]["met"] for one in found.values()) else 1


def engine(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    (file,) = instances.files(folder, instances.ct(512), 1)
    rounds: dict[str, list[float]] = {name: [] for name in ("dicomroute", *OTHERS)}
    versions = {}
    for _ in range(options.rounds):
        for name, times in rounds.items():
            python = sys.executable if name == "dicomroute" else str(options.others)
            command = [python, str(BENCH / "peers/deidentifiers.py"), name, str(file), str(CALLS[name])]
            said = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            )
            times.append(said["ms"])
            versions[name] = said["version"]
    ms = {name: round(statistics.median(times), 2) for name, times in rounds.items()}
    ratio = min(ms[name] for name in OTHERS) / ms["dicomroute"]
    verdict = _verdict("times as fast as the fastest of the others", ratio, 3.0, is_most=False)
    return {"verdict": verdict, "cpu_ms": ms, "versions": versions, "rounds": rounds}


def rules(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The rules are of the costly kind: each attribute is looked up among patterns that do not fit it."""
    fifty = [
        {
            "name": f"r{number}",
            "tags": [f"7{number:03d}xxxx" if number % 2 == 0 else f"0018F{number:03d}"],
            "action": "Keep",
        }
        for number in range(0, 100, 2)
    ]
    profiles = {"none": PROFILE, "fifty": {**PROFILE, "rules": fifty}}
    samples: dict[str, list[measure.Sample]] = {name: [] for name in profiles}
    for number in range(options.rounds):
        for name in (list(profiles), list(reversed(profiles)))[number % 2]:
            own = folder / f"{name}-{number}"
            samples[name].append(_end_to_end(own, profiles[name], options.seconds))
    cost = {name: statistics.median(one["server_cpu_ms"] for one in found) for name, found in samples.items()}
    more = 100 * (cost["fifty"] / cost["none"] - 1)
    verdict = _verdict("percent more processor time an instance, end to end", more, 5.0)
    rates = {name: statistics.median(one["rate"] for one in found) for name, found in samples.items()}
    return {"verdict": verdict, "cpu_ms": cost, "rate": rates}


def _end_to_end(folder: Path, profile: Json, seconds: float) -> measure.Sample:
    sink = StowSink(folder / "sink")
    server = Gateway(folder / "server", sink, profile)
    try:
        ct = instances.ct(512)
        return measure.stream(server, folder, ct, 8, seconds, MOST, destination=sink, least_bytes=ct.pixel_bytes)
    finally:
        server.stop()
        sink.close()


def beside(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Two gateways by turns, as their backlogs are: one de-identifies what it delivers, the other does not."""
    rates: dict[str, list[float]] = {"waiting": [], "as it came": [], "de-identified": []}
    for number in range(options.rounds):
        for name, profile in (("as it came", None), ("de-identified", PROFILE)):
            own = folder / f"{name.replace(' ', '-')}-{number}"
            sink = StowSink(own / "sink")
            server = Gateway(own / "server", sink, profile, mode="HoldDeliveries")
            try:
                ct = instances.ct(512)
                filled = measure.stream(server, own, ct, 8, 1e9, options.backlog, warm_up=0)["instances"]
                waiting = measure.stream(server, own, ct, 8, options.seconds, MOST, first=11, already=filled)
                server.turn("Running")
                sample = measure.stream(
                    server, own, ct, 8, options.seconds, MOST, first=21, already=filled + waiting["instances"] + 8
                )
                assert server.owed(), "the backlog did not last: give a greater one as --backlog"
                rates["waiting"].append(waiting["rate"])
                rates[name].append(sample["rate"])
            finally:
                server.turn("HoldDeliveries")
                server.stop()
                sink.close()
    rate = {name: statistics.median(found) for name, found in rates.items()}
    less = 100 * (1 - rate["de-identified"] / rate["waiting"])
    beside_plain = 100 * (1 - rate["de-identified"] / rate["as it came"])
    verdict = _verdict("percent less than while the backlog waits", less, 15.0)
    return {"verdict": verdict, "rate": rate, "less_than_as_it_came_percent": round(beside_plain, 1), "rates": rates}


def passing(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    sink = StowSink(folder / "sink")
    server = Gateway(folder / "server", sink, {**PROFILE, "objects": [PASSED]})
    try:
        time.sleep(1)
        idle, template = machine.pss_bytes(server.roots), instances.multi_frame(4096)
        with machine.MemoryPeak(server.roots) as peak:
            sample = measure.stream(
                server, folder, template, 1, 1.0, 1, warm_up=0, destination=sink, least_bytes=template.pixel_bytes
            )
    finally:
        server.stop()
        sink.close()
    more = max(0, peak.most_bytes - idle) / (1 << 20)
    verdict = _verdict("MiB more memory while 2 GB pass", more, 128.0)
    return {"verdict": verdict, "idle_mib": round(idle / (1 << 20), 1), "seconds": sample["seconds"]}


def _verdict(what: str, value: float, bound: float, *, is_most: bool = True) -> dict[str, Any]:
    met = value <= bound if is_most else value >= bound
    return {
        "what": what,
        "value": round(value, 2),
        "bound": f"{'at most' if is_most else 'at least'} {bound:g}",
        "met": met,
    }


PARTS: Final[dict[str, Callable[[Path, argparse.Namespace], dict[str, Any]]]] = {
    "engine": engine,
    "rules": rules,
    "beside": beside,
    "passing": passing,
}

if __name__ == "__main__":
    sys.exit(main())
