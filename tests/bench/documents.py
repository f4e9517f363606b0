"""Writes docs/performance.md and its charts from a result; no figure in them comes from anywhere else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import chart
import report

RECEIVING = ("many-512k", "one-512k", "many-40k", "stock-3k", "one-64m")
DELIVERING = ("forward-512k", "forward-512k-tls", "forward-512k-slow", "forward-3k-slow", "cstore-forward-512k")
NOTES = {
    "dicomroute": "the gateway as `dicomroute run` starts it, with two rules; deliveries held unless they are measured",
    "floor": "[floor](../tests/bench/peers/floor/main.go): hashes, writes, syncs, and answers; a yardstick, no product",
    "pynetdicom": "[pynetdicom_scp.py](../tests/bench/peers/pynetdicom_scp.py): file and folder synced",
    "orthanc": "[orthanc.json](../tests/bench/peers/orthanc.json), TCP_NODELAY: each file synced, its index not always",
    "orthanc-newer": "the same, of Debian 13",
    "orthanc-unsafe": "the same without a sync: what is acknowledged may be lost with the power",
    "storescp-nodelay": "[storescp-nodelay](../tests/bench/peers/storescp-nodelay): a process an association, no sync",
    "storescp-default": "[storescp-default](../tests/bench/peers/storescp-default): Nagle's algorithm on, no sync",
    "orthanc-dicomweb": "the same, [orthanc-dicomweb.json](../tests/bench/peers/orthanc-dicomweb.json) added, told "
    "what to send by [orthanc_router.py](../tests/bench/peers/orthanc_router.py)",
    "orthanc-dicomweb-newer": "the same, both of Debian 13",
    "pynetdicom-scu": "[pynetdicom_scu.py](../tests/bench/peers/pynetdicom_scu.py): sends files, and receives nothing",
}


ON_DELIVERING = (
    "Instances a second from the first C-STORE until the destination has all of them, whole. It is the same for all "
    "systems: [stow_sink.py](../tests/bench/stow_sink.py), which keeps UIDs alone, or storescp as it comes. CPU is of "
    "an instance received and delivered; the destination's is shown beside it. pynetdicom's SCU has its instances as "
    "files and receives none, while this gateway receives, keeps and delivers in the same time."
)


ON_RETRIEVING = (
    "What is spooled is asked for by pynetdicom's client, and moved to storescp with TCP_NODELAY, the same for all "
    "systems, from the C-MOVE until storescp has all of it. Orthanc has TCP_NODELAY too. What a query finds, and what "
    "is moved, is counted: fewer is a failure."
)


def write_documents(result: dict[str, Any], folder: Path) -> list[Path]:
    """Write the page and its charts, and return them."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "performance.md"
    pictures = {
        folder / "performance-receive.svg": _chart(result, "Receiving by C-STORE", RECEIVING),
        folder / "performance-deliver.svg": _chart(result, "From C-STORE to the destination", DELIVERING),
    }
    for picture, text in pictures.items():
        picture.write_text(text)
    page.write_text(_page(result, [one.name for one in pictures]))
    return [page, *pictures]


def _page(result: dict[str, Any], pictures: Sequence[str]) -> str:
    parts = [
        "# Performance",
        f"Written by `make bench`; do not edit. Command: `{result['command']} --write-docs`.",
        "Every system keeps its state on the same volume and is sent the same instances by the same client over "
        "loopback, in interleaved rounds, each figure from a fresh start. What a system leaves is emptied, and removed "
        "at the end of the run: to make a file, ext4 looks at each inode that was freed within minutes. Figures are of "
        "instances that the system has afterwards: one that has fewer than it acknowledged is a failure, not a figure. "
        "Memory is touched before each figure, so that the host of a virtual machine has provided it. CPU is the "
        "processor time of the system's processes for an instance, with the client's beside it. *Times* says how many "
        "times as fast this gateway was: the geometric mean of the rounds and its 95 % confidence interval. Systems "
        "that are not durable are shown, but not compared with in budgets.",
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
    ]
    for title, text, picture, tables in (
        ("Receiving", "", pictures[0], report.receiving(result)),
        ("Delivering", ON_DELIVERING, pictures[1], report.delivering(result)),
        ("Queries and retrievals", ON_RETRIEVING, "", report.retrieving(result)),
    ):
        if tables:
            shown = [f"![instances a second]({picture})"] if picture else []
            parts += [f"## {title}", *([text] if text else []), *shown]
        for table in tables:
            parts += [f"### {table.title[:1].upper()}{table.title[1:]}", _markdown(table)]
    parts += [f"{line[:1].upper()}{line[1:]}." for line in report.skipped(result)]
    budgets = report.budget_table(result)
    if budgets.rows:
        parts += ["## Budgets", _markdown(budgets)]
    if result["failures"]:
        parts += ["## Failures", "\n".join(_failure(one) for one in result["failures"])]
    return "\n\n".join(parts) + "\n"


def _markdown(table: report.Table, *, figures: bool = True) -> str:
    rule = ["---", *("---:" if figures else "---" for _ in table.heads[1:])]
    lines = [table.heads, rule, *table.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _failure(one: dict[str, Any]) -> str:
    return f"- round {one['round']}, {one['scenario']}, {one['system']}: {one['failure'].splitlines()[0]}"


def _chart(result: dict[str, Any], title: str, scenarios: Sequence[str]) -> str:
    groups = []
    for scenario in scenarios:
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
    return chart.svg(title, note, groups)
