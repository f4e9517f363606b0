"""A bar chart as SVG: for each group bars of their own scale, with a line from the least to the greatest figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LABELS, BARS = 860, 250, 440
BAR, GAP, TITLE, MARGIN = 18, 5, 34, 14
OWN, OTHER, UNSAFE = "#1f6f8b", "#8a98a3", "#c9d1d6"


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure with its least and greatest; `kind` is own, other or unsafe."""

    label: str
    least: float
    median: float
    greatest: float
    kind: str


@dataclass(frozen=True, slots=True)
class Group:
    """Bars that are compared with each other."""

    title: str
    bars: Sequence[Bar]


def svg(title: str, note: str, groups: Sequence[Group]) -> str:
    """Return the chart as an SVG document."""
    parts, y = [_text(MARGIN, 24, title, size=16, weight="bold"), _text(MARGIN, 42, note, color="#555")], 52
    for group in groups:
        parts.append(_text(MARGIN, y + 23, group.title, weight="bold"))
        y += TITLE
        top = max(bar.greatest for bar in group.bars)
        for bar in group.bars:
            parts += _bar(bar, y, top)
            y += BAR + GAP
    height = y + MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="sans-serif" role="img" aria-label="{escape(title, quote=True)}">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _bar(bar: Bar, y: int, top: float) -> list[str]:
    def at(value: float) -> float:
        return round(LABELS + BARS * value / top, 1)

    color = {"own": OWN, "other": OTHER, "unsafe": UNSAFE}[bar.kind]
    middle = y + BAR / 2
    return [
        _text(LABELS - 8, y + 13, bar.label, anchor="end"),
        f'<rect x="{LABELS}" y="{y}" width="{max(1.0, round(at(bar.median) - LABELS, 1))}" height="{BAR}" '
        f'fill="{color}"/>',
        f'<path d="M{at(bar.least)} {middle}H{at(bar.greatest)}" stroke="#333" stroke-width="1.5"/>',
        _text(round(at(bar.greatest) + 8), y + 13, _figure(bar.median)),
    ]


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _text(
    x: float, y: float, text: str, *, size: int = 12, weight: str = "normal", anchor: str = "start", color: str = "#222"
) -> str:
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="{color}">'
        f"{escape(text)}</text>"
    )
