"""Writes docs/performance.md and its chart from a result; no figure in them comes from anywhere else."""

from pathlib import Path
from typing import Any

import chart
import report

CHARTED = ("many-512k", "one-512k", "many-40k", "stock-3k", "one-64m")
NOTES = {
    "dicomroute": "the gateway as `dicomroute run` starts it, with two rules, deliveries held",
    "pynetdicom": "[pynetdicom_scp.py](../tests/bench/peers/pynetdicom_scp.py): file and folder synced",
    "orthanc": "[orthanc.json](../tests/bench/peers/orthanc.json), TCP_NODELAY: each file synced, its index not always",
    "orthanc-unsafe": "the same without a sync: what is acknowledged may be lost with the power",
    "storescp-nodelay": "[storescp-nodelay](../tests/bench/peers/storescp-nodelay): a process an association, no sync",
    "storescp-default": "[storescp-default](../tests/bench/peers/storescp-default): Nagle's algorithm on, no sync",
}


def write_documents(result: dict[str, Any], folder: Path) -> list[Path]:
    """Write both files and return them."""
    folder.mkdir(parents=True, exist_ok=True)
    page, picture = folder / "performance.md", folder / "performance-receive.svg"
    picture.write_text(_chart(result))
    page.write_text(_page(result, picture.name))
    return [page, picture]


def _page(result: dict[str, Any], picture: str) -> str:
    parts = [
        "# Performance",
        f"Written by `make bench`; do not edit. Command: `{result['command']} --write-docs`.",
        "Every system keeps its state on the same volume and is sent the same instances by the same client over "
        "loopback, in interleaved rounds, each figure from a fresh start. Figures are of instances that the system "
        "has afterwards: one that has fewer than it acknowledged is a failure, not a figure. CPU is of the system's "
        "processes for an instance, the client's beside it. *Times* says how many times as fast this gateway was, "
        "round by round. What is not durable is shown, and not compared with in budgets.",
        f"![instances a second]({picture})",
        "## Machine",
        "\n".join(f"- {line}" for line in report.machine_lines(result)),
        "## Systems",
        _markdown(
            report.Table(
                "",
                ("system", "version", "how it is set"),
                [[one["title"], one["version"], NOTES[name]] for name, one in result["systems"].items()],
            ),
            figures=False,
        ),
        "## Receiving",
    ]
    for table in report.tables(result):
        parts += [f"### {table.title[:1].upper()}{table.title[1:]}", _markdown(table)]
    if result["failures"]:
        parts += ["## Failures", "\n".join(_failure(one) for one in result["failures"])]
    return "\n\n".join(parts) + "\n"


def _markdown(table: report.Table, *, figures: bool = True) -> str:
    rule = ["---", *("---:" if figures else "---" for _ in table.heads[1:])]
    lines = [table.heads, rule, *table.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _failure(one: dict[str, Any]) -> str:
    return f"- round {one['round']}, {one['scenario']}, {one['system']}: {one['failure'].splitlines()[0]}"


def _chart(result: dict[str, Any]) -> str:
    groups = []
    for scenario in CHARTED:
        bars = []
        for system, facts in result["systems"].items():
            rates = report.values(result, scenario, system, "rate")
            if rates:
                least, median, greatest = report.spread(rates)
                kind = "own" if system == report.OWN else "other" if facts["is_durable"] else "unsafe"
                bars.append(chart.Bar(facts["title"], least, median, greatest, kind))
        if bars:
            groups.append(chart.Group(result["scenarios"][scenario], bars))
    note = "Instances a second: median, and a line from the least to the greatest. Pale: acknowledges what is not safe."
    return chart.svg("Receiving by C-STORE", note, groups)
