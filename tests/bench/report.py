"""Makes tables of a result: pure, for the terminal and for the document alike."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from budgets import budgets

OWN = "dicomroute"
MIB = 1 << 20
_T_95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)
"""Two-sided 95 % quantiles of Student's t, by degrees of freedom from 1 on; beyond them the last serves."""


@dataclass(frozen=True, slots=True)
class Table:
    """A title, the heads of columns, and rows of text; the first column is of words, the others of figures."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def values(result: dict[str, Any], scenario: str, system: str, key: str) -> list[Any]:
    """Return a figure of every round."""
    return [run[key] for run in result["runs"] if (run["scenario"], run["system"]) == (scenario, system) and key in run]


def ratios(result: dict[str, Any], scenario: str, peer: str) -> list[float]:
    """Return how many times as fast this gateway was, round by round, where both have a figure."""
    by_round: dict[int, dict[str, float]] = {}
    for run in result["runs"]:
        if run["scenario"] == scenario and "rate" in run:
            by_round.setdefault(run["round"], {})[run["system"]] = run["rate"]
    return [one[OWN] / one[peer] for one in by_round.values() if OWN in one and peer in one]


def receiving(result: dict[str, Any]) -> list[Table]:
    """Return a table for each scenario of receiving, then those of memory, restart and syncs."""
    others = (*result["delivering"], *result["retrieving"])
    made = [_rates(result, name) for name in result["scenarios"] if name not in others]
    made += [_passing(result), _memory(result), _restart(result), _syncs(result)]
    return [table for table in made if table.rows]


def delivering(result: dict[str, Any]) -> list[Table]:
    """Return a table for each scenario of delivering."""
    made = [_deliveries(result, name) for name in result["delivering"]]
    return [table for table in made if table.rows]


def retrieving(result: dict[str, Any]) -> list[Table]:
    """Return a table for each scenario of queries and retrievals."""
    made = [_moves(result, name) for name in result["retrieving"] if name.startswith("move-")]
    made += [_matches(result), _beside(result)]
    return [table for table in made if table.rows]


def budget_table(result: dict[str, Any]) -> Table:
    """Return what was promised, as far as there are figures."""
    rows = [[one.what, one.must, one.reach, one.measured, one.verdict] for one in budgets(result)]
    return Table("budgets", ("what", "must", "reach", "measured", ""), rows)


def skipped(result: dict[str, Any]) -> list[str]:
    """Return what this gateway was not measured in, a sentence each."""
    return [f"not measured: {OWN} in {scenario}: {why}" for scenario, why in result["skipped"].items()]


def machine_lines(result: dict[str, Any]) -> list[str]:
    """Return what was measured on, a fact a line."""
    facts = result["machine"]
    volume = facts["volume"]
    syncs = "; ".join(
        f"{int(size) >> 10} KB " + ", ".join(f"{one[size]:.2f}" for one in facts["fdatasync_ms"]) + " ms"
        for size in ("4096", "524288")
    )
    return [
        f"{facts['cores']} cores of {facts['processor']}, {facts['memory_bytes'] / (1 << 30):.0f} GiB, Linux "
        f"{facts['kernel']}, Python {facts['python']}; client and system share them",
        f"volume: {volume['device']} ({volume['model']}, {volume['file_system']}, scheduler {volume['scheduler']}, "
        f"{volume['write_cache']}); append and fdatasync, median before each round: {syncs}",
        f"load average before: {facts['load_average_before']:.2f}",
        *([f"taken by the host: {facts['stolen']:.1%} of the processors' time"] if "stolen" in facts else []),
        f"interleaved rounds: {result['rounds']}; seconds a figure: {result['seconds']:g}; "
        f"{result['minutes']} minutes, begun {result['began']}",
    ]


def text(result: dict[str, Any]) -> str:
    """Return everything for a terminal."""
    parts = ["\n".join(machine_lines(result))]
    tables = [*receiving(result), *delivering(result), *retrieving(result), budget_table(result)]
    parts += [f"{table.title}\n{_aligned(table)}" for table in tables if table.rows]
    parts += skipped(result)
    parts += [
        f"FAILED in round {one['round']}: {one['scenario']} {one['system']}: {one['failure']}"
        for one in result["failures"]
    ]
    return "\n\n".join(parts)


def one_line(sample: dict[str, Any]) -> str:
    """Return a sample for the progress of a run."""
    return "  ".join(f"{key}={value}" for key, value in sample.items())


def _rates(result: dict[str, Any], scenario: str) -> Table:
    rows = []
    for system, facts in result["systems"].items():
        rates = values(result, scenario, system, "rate")
        if not rates or scenario == "one-2g":
            continue
        slowest, median, fastest = spread(rates)
        rows.append(
            [
                facts["title"] + ("" if facts["is_durable"] else " (not durable)"),
                _number(slowest),
                _number(median),
                _number(fastest),
                _number(statistics.median(values(result, scenario, system, "megabytes_per_second"))),
                _median(values(result, scenario, system, "p50_ms")),
                _median(values(result, scenario, system, "p99_ms")),
                _microseconds(values(result, scenario, system, "server_cpu_ms")),
                _microseconds(values(result, scenario, system, "client_cpu_ms")),
                _ratio(ratios(result, scenario, system)) if system != OWN else "",
            ]
        )
    heads = (
        "instances/s", "min", "median", "max", "MB/s", "p50 ms", "p99 ms", "server CPU µs", "client CPU µs",
        "times (95 %)",
    )  # fmt: skip
    return Table(result["scenarios"][scenario], heads, rows)


def _deliveries(result: dict[str, Any], scenario: str) -> Table:
    rows = []
    for system, facts in result["systems"].items():
        rates = values(result, scenario, system, "rate")
        if rates:
            slowest, median, fastest = spread(rates)
            rows.append(
                [
                    facts["title"],
                    _number(slowest),
                    _number(median),
                    _number(fastest),
                    _number(statistics.median(values(result, scenario, system, "megabytes_per_second"))),
                    *(
                        show(values(result, scenario, system, key))
                        for key, show in (
                            ("received_rate", _median),
                            ("p99_ms", _median),
                            ("server_cpu_ms", _microseconds),
                            ("client_cpu_ms", _microseconds),
                            ("destination_cpu_ms", _microseconds),
                            ("instances_a_request", _median),
                        )
                    ),
                    _ratio(ratios(result, scenario, system)) if system != OWN else "",
                ]
            )
    heads = (
        "instances/s", "min", "median", "max", "MB/s", "received/s", "p99 ms of a C-STORE", "server CPU µs",
        "client CPU µs", "destination CPU µs", "a request", "times (95 %)",
    )  # fmt: skip
    return Table(result["scenarios"][scenario], heads, rows)


def _moves(result: dict[str, Any], scenario: str) -> Table:
    rows = []
    for system, facts in result["systems"].items():
        rates = values(result, scenario, system, "rate")
        if rates:
            rows.append(
                [
                    facts["title"],
                    *map(_number, spread(rates)),
                    _number(statistics.median(values(result, scenario, system, "megabytes_per_second"))),
                    _microseconds(values(result, scenario, system, "server_cpu_ms")),
                    _microseconds(values(result, scenario, system, "destination_cpu_ms")),
                    *_mebibytes(values(result, scenario, system, "increase_bytes")),
                    _ratio(ratios(result, scenario, system)) if system != OWN else "",
                ]
            )
    heads = (
        "instances/s", "min", "median", "max", "MB/s", "server CPU µs", "destination CPU µs", "MiB more", "max",
        "times (95 %)",
    )  # fmt: skip
    return Table(result["scenarios"].get(scenario, ""), heads, rows)


def _matches(result: dict[str, Any]) -> Table:
    scenario, rows = "find-5000", []
    for system, facts in result["systems"].items():
        if values(result, scenario, system, "matches"):
            rows.append(
                [
                    facts["title"],
                    *(
                        _median(values(result, scenario, system, key))
                        for key in ("first_ms", "seconds", "server_cpu_ms")
                    ),
                    *_mebibytes(values(result, scenario, system, "increase_bytes")),
                ]
            )
    heads = ("medians", "first answer ms", "all answers s", "server CPU ms an answer", "MiB more", "max")
    return Table(result["scenarios"].get(scenario, ""), heads, rows)


def _beside(result: dict[str, Any]) -> Table:
    scenario, names = (
        "receive-beside-moves",
        {
            "plain_rate": "received alone",
            "rate": "received beside the retrievals",
            "retrieved_rate": "retrieved in that time",
            "unbounded_rate": "received beside four C-MOVEs of 200, each again and again as fast as they go",
            "unbounded_retrieved_rate": "retrieved in that time",
        },
    )
    rows = [
        [name, *map(_number, spread(found))]
        for key, name in names.items()
        if (found := values(result, scenario, OWN, key))
    ]
    return Table(result["scenarios"].get(scenario, ""), ("instances/s", "min", "median", "max"), rows)


def _passing(result: dict[str, Any]) -> Table:
    rows = [
        [
            facts["title"],
            _number(statistics.median(values(result, "one-2g", system, "megabytes_per_second"))),
            _median(values(result, "one-2g", system, "seconds")),
            *_mebibytes(values(result, "one-2g", system, "idle_bytes")),
            *_mebibytes(values(result, "one-2g", system, "increase_bytes")),
        ]
        for system, facts in result["systems"].items()
        if values(result, "one-2g", system, "increase_bytes")
    ]
    heads = ("memory, MiB of PSS", "MB/s", "seconds", "idle", "max", "increase", "max")
    return Table(result["scenarios"].get("one-2g", ""), heads, rows)


def _memory(result: dict[str, Any]) -> Table:
    names = {"idle_bytes": "idle", "associations_bytes": "1000 idle associations add"}
    rows = [
        [name, *(f"{value / MIB:.1f}" for value in spread(found))]
        for key, name in names.items()
        if (found := values(result, "memory", OWN, key))
    ]
    return Table("memory of all processes of the gateway", ("MiB of PSS", "min", "median", "max"), rows)


def _restart(result: dict[str, Any]) -> Table:
    names = {"empty": "with an empty spool", "stopped": "after SIGTERM", "killed": "after kill -9"}
    names["open"] = "the same, and commitment to all of them not decided"
    rows = []
    for key, name in names.items():
        found = values(result, "restart", OWN, key)
        if found:
            figures = [
                figure for part in ("seconds", "gateway_seconds") for figure in spread([one[part] for one in found])
            ]
            settled = [one["settled_bytes"] for one in found if "settled_bytes" in one]
            memory = f"{statistics.median(settled) / MIB:.1f}" if settled else ""
            shares = [one["idle_cpu_share"] for one in found if "idle_cpu_share" in one]
            idle = f"{100 * statistics.median(shares):.0f}" if shares else ""
            rows.append([name, *(f"{figure:.2f}" for figure in figures), memory, idle])
    heads = (
        "until a new C-STORE succeeds", "from `dicomroute run`: min s", "median", "max",
        "from the gateway's start: min s", "median", "max", "MiB of PSS afterwards", "% of a processor afterwards",
    )  # fmt: skip
    return Table(result["scenarios"].get("restart", ""), heads, rows)


def _syncs(result: dict[str, Any]) -> Table:
    rows = []
    for run in result["runs"]:
        if run["scenario"] == "syncs":
            counts = run["syncs"]
            rows.append([result["systems"][run["system"]]["title"], *(_calls(counts[key]) for key in ("1", "8"))])
    return Table("syncs an acknowledged instance, CT of 512 KB", ("strace", "1 association", "8 associations"), rows)


def _calls(counts: dict[str, float]) -> str:
    return ", ".join(f"{count:.2f} {call}" for call, count in sorted(counts.items())) or "none"


def spread(found: Sequence[float]) -> tuple[float, float, float]:
    return min(found), statistics.median(found), max(found)


def interval(ratios: Sequence[float]) -> tuple[float, float, float]:
    """Return the geometric mean of ratios, and between what it lies with 95 % confidence (Student's t, logarithms)."""
    logarithms = [math.log(one) for one in ratios]
    mean, count = statistics.fmean(logarithms), len(ratios)
    half = 0.0
    if count > 1:
        half = _T_95[min(count - 1, len(_T_95)) - 1] * statistics.stdev(logarithms) / math.sqrt(count)
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def _ratio(found: Sequence[float]) -> str:
    if not found:
        return ""
    mean, lowest, highest = interval(found)
    return f"{mean:.2f} ({lowest:.2f}-{highest:.2f})" if len(found) > 1 else f"{mean:.2f}"


def _median(found: Sequence[float]) -> str:
    return f"{statistics.median(found):.2f}" if found else ""


def _microseconds(found: Sequence[float]) -> str:
    return f"{1000 * statistics.median(found):,.0f}" if found else ""


def _mebibytes(found: Sequence[float]) -> tuple[str, str]:
    return f"{statistics.median(found) / MIB:.1f}", f"{max(found) / MIB:.1f}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _aligned(table: Table) -> str:
    lines = [list(table.heads), *map(list, table.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.heads))]
    return "\n".join(_line(line, widths) for line in lines)


def _line(line: Iterable[str], widths: Sequence[int]) -> str:
    first, *others = zip(line, widths, strict=True)
    return f"  {first[0]:{first[1]}}" + "".join(f"  {cell:>{width}}" for cell, width in others)
