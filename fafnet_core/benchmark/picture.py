"""Rows as a picture: bars by network, a colour a runtime, a panel a size and number of threads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fafnet_core.benchmark.rows import NETWORK, Row
from fafnet_core.evaluation.confusion_picture import require_matplotlib
from fafnet_core.files import written_beside
from fafnet_core.input_size import size_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

T = TypeVar("T")

_DOTS_PER_INCH = 110
_PANEL = 3.1  # inches; three of them are as wide as a README
_BAR = 0.17  # inches
_INK = "#303030"
_COLOURS = ("#34506E", "#D9772B", "#7FA650", "#8C6BB1", "#C8A93E", "#4FA3A5", "#A05060")


def draw(rows: Sequence[Row], title: str, path: Path) -> None:
    """Draw the rows that time networks, and write a PNG.

    Raises:
        ValueError: no such row, or matplotlib is not installed.
        OSError: the file cannot be written.
    """
    shown = [row for row in rows if row.what == NETWORK]
    if not shown:
        raise ValueError("no network was measured: there is nothing to draw")
    figures = require_matplotlib()
    sizes, threads = _distinct([r.size for r in shown]), _distinct([r.threads for r in shown])
    networks, kinds = _distinct([r.network for r in shown]), _distinct([_kind(r) for r in shown])
    colours = {kind: _COLOURS[i % len(_COLOURS)] for i, kind in enumerate(kinds)}
    height = 0.65 + _BAR * len(networks) * (len(kinds) + 1)
    figure = figures.Figure(
        figsize=(max(_PANEL * len(sizes), 6.0), 0.7 + height * len(threads)),
        dpi=_DOTS_PER_INCH,
        layout="constrained",
    )
    grid = figure.subplots(len(threads), len(sizes), squeeze=False, sharey=True)
    for line, count in zip(grid, threads, strict=True):
        for axes, size in zip(line, sizes, strict=True):
            panel = [row for row in shown if (row.threads, row.size) == (count, size)]
            _draw_panel(axes, panel, networks, colours)
            axes.set_title(f"{size_text(size)}, {_threads(count)}", fontsize=9, color=_INK)
    for axes in grid[-1]:
        axes.set_xlabel("ms a frame (median)", fontsize=8, color=_INK)
    figure.suptitle(title, fontsize=9, color=_INK)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    with written_beside(path) as beside:
        figure.savefig(beside, format="png")


def _draw_panel(
    axes: Axes, rows: Sequence[Row], networks: list[str], colours: dict[str, str]
) -> None:
    thickness = 1 / (len(colours) + 1)
    for place, (kind, colour) in enumerate(colours.items()):
        bars = {row.network: row.ms for row in rows if _kind(row) == kind}
        middle = (place - (len(colours) - 1) / 2) * thickness
        places = [networks.index(name) + middle for name in bars]
        drawn = axes.barh(places, list(bars.values()), thickness, color=colour, label=kind)
        axes.bar_label(drawn, fmt="%.0f", fontsize=7, padding=2, color=_INK)
    axes.set_yticks(range(len(networks)), networks, fontsize=8)
    axes.set_ylim(len(networks) - 0.5, -0.5)
    axes.tick_params(labelsize=8, labelcolor=_INK, length=0)
    axes.margins(x=0.14)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _kind(row: Row) -> str:
    return f"{row.runtime} {row.precision}" if row.runtime else row.what


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _distinct(values: list[T]) -> list[T]:
    return list(dict.fromkeys(values))
