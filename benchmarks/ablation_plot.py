"""The plot of the ablation: scores above, their differences paired by seed below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ablation_table import Interval, Table, Values
from measuring import axes_of

COLOURS = {"no-fam": "#8C8A86", "zero-flow": "#34506E", "all-fams": "#D9772B"}
_OTHER = "#A9B8A0"
_ZERO = "#55534F"
_SIZE = (11, 8.4)

Measures = Mapping[str, str]
"""A title for each measure."""


def plot_against_errors(
    table: Table, measures: Measures, pairs: Sequence[tuple[str, str]], path: Path
) -> None:
    """Draw scores of three arms, and the differences of pairs, against the registration's error."""
    x = np.array(table.errors)
    with axes_of(path, 2, 2, _SIZE) as grid:
        for (axis, below), (measure, title) in zip(grid.T, measures.items(), strict=True):
            for arm in (arm for arm in COLOURS if arm in table.arms):
                runs = table.scores(arm, measure, table.seeds(arm))
                axis.plot(x, runs.T, color=COLOURS[arm], alpha=0.15, linewidth=0.8)
                axis.plot(x, runs.mean(axis=0), "o-", color=COLOURS[arm], label=arm, linewidth=2)
            axis.set_title(title)
            axis.set_ylabel("%")
            axis.legend(frameon=False)
            _plot_gains(below, table, x, measure, pairs)
        for axis in grid.flat:
            axis.axvspan(8, x.max(), color="#F2EFE8", zorder=0)
            axis.set_xlabel("error of the registration, px at 640 width\n(shaded: beyond training)")


def _plot_gains(
    axis: Any, table: Table, x: Values, measure: str, pairs: Sequence[tuple[str, str]]
) -> None:
    axis.axhline(0, color=_ZERO, linewidth=0.8)
    for nudge, (arm, other) in enumerate(pairs):
        intervals = [Interval.of(c) for c in table.difference(arm, other, measure).T]
        means = np.array([interval.mean for interval in intervals])
        half = np.array([interval.high - interval.mean for interval in intervals])
        axis.errorbar(
            x + 0.15 * (nudge - 1), means, half, fmt="o-", capsize=3, label=f"{arm} - {other}"
        )
    axis.set_title("paired difference, 95 % interval")
    axis.set_ylabel("points")
    if not pairs:
        return
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.35 * (high - low))  # room for the legend above the bars
    axis.legend(frameon=False, loc="upper center", ncols=1)


def plot_arms(table: Table, measures: Measures, others: Sequence[str], path: Path) -> None:
    """Draw the scores of all arms in the only test, and their gains over some of the arms."""
    arms = table.arms[::-1]  # the first one on top
    places = np.arange(len(arms), dtype=np.float64)
    with axes_of(path, 2, 2, _SIZE) as grid:
        for (axis, below), (measure, title) in zip(grid.T, measures.items(), strict=True):
            for place, arm in zip(places, arms, strict=True):
                runs = table.scores(arm, measure, table.seeds(arm))[:, 0]
                axis.barh(place, runs.mean(), color=COLOURS.get(arm, _OTHER), height=0.6)
                axis.plot(runs, np.full(runs.size, place), "o", color="black", markersize=3)
            axis.set_title(title)
            axis.set_xlabel("% (dots: seeds)")
            below.axvline(0, color=_ZERO, linewidth=0.8)
            for nudge, other in enumerate(others):
                _plot_gains_over(below, table, measure, other, places + 0.12 - 0.24 * nudge)
            below.set_title("paired difference, 95 % interval")
            below.set_xlabel("points")
            if below.get_legend_handles_labels()[1]:
                below.legend(frameon=False)
        for axis in grid.flat:
            axis.set_yticks(places, arms)


def _plot_gains_over(axis: Any, table: Table, measure: str, other: str, y: Values) -> None:
    """Draw the gains of the arms, from below, over another one, with intervals."""
    rows = [
        (place, Interval.of(table.difference(arm, other, measure)[:, 0]))
        for place, arm in zip(y, table.arms[::-1], strict=True)
        if arm != other and table.seeds(arm, other)
    ]
    if not rows:
        return
    axis.errorbar(
        [interval.mean for _, interval in rows],
        [place for place, _ in rows],
        xerr=[interval.high - interval.mean for _, interval in rows],
        fmt="o",
        color=COLOURS[other],
        capsize=3,
        label=f"minus {other}",
    )
