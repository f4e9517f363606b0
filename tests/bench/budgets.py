"""What this gateway has to reach, and whether it did: pure."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

OWN = "dicomroute"
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Budget:
    """One row of what was promised."""

    what: str
    must: str
    reach: str
    measured: str
    verdict: str


def budgets(result: dict[str, Any]) -> list[Budget]:
    """Return those budgets for which there are figures."""
    find = _finder(result)
    rows = [
        _times(find, "many-512k", "pynetdicom", 3, 5),
        _times(find, "many-512k", "orthanc", 1.5, 2),
        _times(find, "many-512k", "orthanc-newer", 1.5, 2),
        _times(find, "one-512k", "pynetdicom", 2, 3),
        _cost(find, "many-512k", "floor", 2.5, 2),
        _below("p99 of a C-STORE, 1 association, 512 KB", find("one-512k", OWN, "p99_ms"), 20, "ms"),
        _less(find),
        _below("p99 of a C-STORE beside 1000 handshakes", find("crowded-512k-tls", OWN, "p99_ms"), 50, "ms"),
        _below("memory of 1000 handshakes", _scaled(find("crowded-512k-tls", OWN, "increase_bytes")), 150, "MiB"),
        _share("many-512k-tls", find("many-512k-tls", OWN, "rate"), find("many-512k-tls", OWN, "plain_rate"), 0.6),
        _times(find, "stock-3k", "pynetdicom", 20, None),
        _times(find, "stock-3k", "storescp-default", 20, None),
        _below("memory, idle", _scaled(find("memory", OWN, "idle_bytes")), 200, "MiB"),
        _below("memory of 1000 idle associations", _scaled(find("memory", OWN, "associations_bytes")), 150, "MiB"),
        _below("memory while 2 GB pass", _scaled(find("one-2g", OWN, "increase_bytes")), 64, "MiB"),
        *(
            _below(f"restart after {how}, from `dicomroute run`", _within(find("restart", OWN, key), "seconds"), 3, "s")
            for key, how in (("stopped", "SIGTERM"), ("killed", "kill -9"))
        ),
        _below(
            "restart with commitment to all not decided, from `dicomroute run`",
            _within(find("restart", OWN, "open"), "seconds"),
            3,
            "s",
        ),
        *(_times(find, "move-512k", peer, 3, 5) for peer in ("orthanc", "orthanc-newer")),
        _share(
            "receive-beside-moves",
            find("receive-beside-moves", OWN, "rate"),
            find("receive-beside-moves", OWN, "plain_rate"),
            0.8,
        ),
        _below("memory while 2 GB are moved", _scaled(find("move-2g", OWN, "increase_bytes")), 64, "MiB"),
        _times(find, "forward-512k", "orthanc-dicomweb", 2, 3),
        _times(find, "forward-512k", "orthanc-dicomweb-newer", 2, 3),
        *(
            _least(f"{scenario}: by STOW to a target that answers after 100 ms", find(scenario, OWN, "rate"), 500)
            for scenario in ("forward-3k-slow", "backlog-3k-slow")
        ),
        *(
            _times(find, scenario, "pynetdicom-scu", 10, 20)
            for scenario in ("cstore-forward-512k", "cstore-forward-3k")
        ),
        _share(
            "cstore-forward-512k-tls",
            find("cstore-forward-512k-tls", OWN, "rate"),
            find("cstore-forward-512k", OWN, "rate"),
            0.6,
        ),
    ]
    return [row for row in rows if row]


Find = Callable[[str, str, str], dict[int, Any]]


def _finder(result: dict[str, Any]) -> Find:
    def find(scenario: str, system: str, key: str) -> dict[int, float]:
        """Return a figure by round."""
        return {
            run["round"]: run[key]
            for run in result["runs"]
            if (run["scenario"], run["system"]) == (scenario, system) and key in run
        }

    return find


def _times(find: Find, scenario: str, peer: str, must: float, reach: float | None) -> Budget | None:
    own, other = find(scenario, OWN, "rate"), find(scenario, peer, "rate")
    found = [own[number] / other[number] for number in own if number in other]
    if not found:
        return None
    median = statistics.median(found)
    verdict = "missed" if median < must else "reached" if reach and median >= reach else "met"
    return Budget(f"{scenario}: times {peer}", f"{must:g}", f"{reach:g}" if reach else "", f"{median:.2f}", verdict)


def _cost(find: Find, scenario: str, floor: str, must: float, reach: float) -> Budget | None:
    """Return how many times the processor time of the floor an instance takes."""
    own, least = find(scenario, OWN, "server_cpu_ms"), find(scenario, floor, "server_cpu_ms")
    found = [own[number] / least[number] for number in own if number in least]
    if not found:
        return None
    median = statistics.median(found)
    verdict = "missed" if median > must else "reached" if median <= reach else "met"
    what = f"{scenario}: processor time of an instance, times the floor's"
    return Budget(what, f"< {must:g}", f"{reach:g}", f"{median:.2f}", verdict)


def _less(find: Find) -> Budget | None:
    plain, services = (find("one-512k-services", OWN, key) for key in ("plain_rate", "rate"))
    found = {number: 100 * (1 - services[number] / plain[number]) for number in plain}
    return _below("less with the other services proposed", found, 10, "%")


def _share(scenario: str, special: dict[int, float], plain: dict[int, float], least: float) -> Budget | None:
    found = [special[number] / plain[number] for number in special if number in plain]
    if not found:
        return None
    median = statistics.median(found)
    verdict = "met" if median >= least else "missed"
    return Budget(f"{scenario}: times the same without", f"{least:g}", "", f"{median:.2f}", verdict)


def _below(what: str, found: dict[int, float], most: float, unit: str) -> Budget | None:
    if not found:
        return None
    median = statistics.median(found.values())
    return Budget(what, f"< {most:g} {unit}", "", f"{median:.1f} {unit}", "met" if median < most else "missed")


def _least(what: str, found: dict[int, float], least: float) -> Budget | None:
    if not found:
        return None
    median = statistics.median(found.values())
    return Budget(what, f"{least:g} /s", "", f"{median:.1f} /s", "met" if median >= least else "missed")


def _scaled(found: dict[int, float]) -> dict[int, float]:
    return {number: value / _MIB for number, value in found.items()}


def _within(found: dict[int, dict[str, float]], key: str) -> dict[int, float]:
    return {number: value[key] for number, value in found.items()}
