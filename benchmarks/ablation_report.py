"""The table and the plot of the ablation, from the results of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fafnet_core.files import written_beside
from fafnet_core.models.ablation import ABLATION

Values = NDArray[np.float64]

_CONTROL, _WHOLE, _NONE = "zero-flow", "all-fams", "no-fam"
_MEASURES = {"mean_iou": "mIoU", "boundary_iou": "mIoU within 5 px of class boundaries"}
_COLOURS = {"no-fam": "#8C8A86", "zero-flow": "#34506E", "all-fams": "#D9772B"}


@dataclass(frozen=True)
class Result:
    """What one run gave.

    Attributes:
        arm: of the ablation, with its `seed`.
        seed: see `arm`.
        parameters: of the network.
        seconds: of its training; of the last part of one that was resumed.
        scores: by error of the registration in pixels (a text, as JSON has it): fractions.
        flow: by FAM, `slope` and `correlation` of mean flow against true displacement.
    """

    arm: str
    seed: int
    parameters: int
    seconds: float
    scores: dict[str, dict[str, float]]
    flow: dict[str, dict[str, float]] | None


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval of Student's t; the interval is NaN for one value."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Values) -> Interval:
        """Return that of independent values (N,)."""
        mean = float(values.mean())
        if values.size < 2:
            return cls(mean, float("nan"), float("nan"))
        half = float(stats.t.ppf(0.975, values.size - 1) * stats.sem(values))
        return cls(mean, mean - half, mean + half)

    def text(self, digits: int) -> str:
        """Return the mean, and the interval where there is one."""
        mean = f"{self.mean:+.{digits}f}"
        if np.isnan(self.low):
            return mean
        return f"{mean} [{self.low:+.{digits}f}, {self.high:+.{digits}f}]"


@dataclass(frozen=True)
class FlowFit:
    """How mean flow follows the true displacement: frames and both axes in one straight line.

    Attributes:
        slope: 1 where it follows wholly, 0 not at all.
        correlation: of the two; 0 where the flow never changes.
    """

    slope: float
    correlation: float

    @classmethod
    def of(cls, true: Values, learned: Values) -> FlowFit:
        """Fit mean flows to displacements, both (frames, 2), each axis with an offset of its own.

        An offset says nothing of the displacement: bilinear sampling and strides have theirs.
        """
        x, y = true - true.mean(axis=0), learned - learned.mean(axis=0)
        product, spread = float((x * y).sum()), float((x * x).sum())
        norms = float(np.sqrt(spread * (y * y).sum()))
        return cls(product / spread, product / norms if norms else 0.0)


class Table:
    """Scores by arm, seed and error; a difference of two arms is over the seeds that both have.

    Args:
        results: of any runs.
    """

    def __init__(self, results: Sequence[Result]) -> None:
        self.arms = [arm for arm in ABLATION if any(r.arm == arm for r in results)]
        self.errors = sorted({float(px) for r in results for px in r.scores})
        self._by_run = {(r.arm, r.seed): r for r in results}

    def seeds(self, *arms: str) -> list[int]:
        """Seeds that every one of these arms has."""
        having = [{seed for arm, seed in self._by_run if arm == wanted} for wanted in arms]
        return sorted(set.intersection(*having)) if having else []

    def scores(self, arm: str, measure: str, seeds: Sequence[int]) -> Values:
        """Return percentages (seeds, errors)."""
        return 100 * np.array(
            [
                [self._by_run[arm, seed].scores[f"{px:g}"][measure] for px in self.errors]
                for seed in seeds
            ]
        )

    def difference(self, arm: str, other: str, measure: str) -> Values:
        """Return points that `arm` has over `other`, paired by seed, (seeds, errors)."""
        seeds = self.seeds(arm, other)
        return self.scores(arm, measure, seeds) - self.scores(other, measure, seeds)

    def slope(self, arm: str, other: str, measure: str, trained_px: float = 8) -> Interval:
        """Points that `arm` gains over `other` per pixel of error, within the trained range."""
        within = np.array(self.errors) <= trained_px
        x = np.array(self.errors)[within]
        gains = self.difference(arm, other, measure)[:, within]
        slopes = np.array([np.polyfit(x, gain, 1)[0] for gain in gains])
        return Interval.of(slopes)

    def flow(self, arm: str) -> dict[str, dict[str, float]]:
        """Return, for each FAM, the means over seeds of what `Result.flow` holds."""
        found = [r.flow for (name, _), r in self._by_run.items() if name == arm and r.flow]
        return {
            fam: {key: float(np.mean([one[fam][key] for one in found])) for key in found[0][fam]}
            for fam in (found[0] if found else {})
        }

    def seconds(self, arm: str) -> float:
        """Return the median time of an arm's trainings."""
        return float(np.median([r.seconds for (name, _), r in self._by_run.items() if name == arm]))

    def parameters(self, arm: str) -> int:
        """Return the size of an arm's network."""
        return next(r.parameters for (name, _), r in self._by_run.items() if name == arm)


def write_report(results: Sequence[Result], out: Path) -> str:
    """Write `ablation.md` and `ablation.png` into a folder; return the text."""
    table = Table(results)
    text = "\n\n".join([*_scores(table), *_gains(table), *_flows(table)])
    with written_beside(out / "ablation.md") as beside:
        beside.write_text(text + "\n", encoding="utf-8")
    _plot(table, out / "ablation.png")
    return text


def _scores(table: Table) -> list[str]:
    parts = []
    for measure, title in _MEASURES.items():
        head = " | ".join(f"{px:g} px" for px in table.errors)
        rows = [
            f"| {title}, % | parameters | seeds | s a run | {head} |",
            "|---|---|---|---|" + "---|" * len(table.errors),
        ]
        for arm in table.arms:
            seeds = table.seeds(arm)
            means = table.scores(arm, measure, seeds).mean(axis=0)
            cells = " | ".join(f"{value:.2f}" for value in means)
            rows.append(
                f"| {arm} | {table.parameters(arm):,} | {len(seeds)} |"
                f" {table.seconds(arm):.0f} | {cells} |"
            )
        parts.append("\n".join(rows))
    return parts


def _pairs(table: Table) -> list[tuple[str, str]]:
    """Return the differences that answer the question."""
    wanted = ((_WHOLE, _CONTROL), (_WHOLE, _NONE), (_CONTROL, _NONE))
    return [pair for pair in wanted if table.seeds(*pair)]


def _others(table: Table) -> list[tuple[str, str]]:
    """Return what the whole network has over each of the remaining arms."""
    arms = [arm for arm in table.arms if arm not in _COLOURS]
    return [(_WHOLE, arm) for arm in arms if table.seeds(_WHOLE, arm)]


def _gains(table: Table) -> list[str]:
    parts = []
    for measure, title in _MEASURES.items():
        head = " | ".join(f"{px:g} px" for px in table.errors)
        rows = [
            f"| {title}: paired difference in points [95 %] | {head} | points per px, 0-8 |",
            "|---|" + "---|" * (len(table.errors) + 1),
        ]
        for arm, other in [*_pairs(table), *_others(table)]:
            gains = table.difference(arm, other, measure)
            cells = " | ".join(Interval.of(column).text(2) for column in gains.T)
            rate = table.slope(arm, other, measure).text(3)
            rows.append(f"| {arm} minus {other} | {cells} | {rate} |")
        parts.append("\n".join(rows))
    return parts


def _flows(table: Table) -> list[str]:
    flow = table.flow(_WHOLE) if _WHOLE in table.arms else {}
    if not flow:
        return []
    rows = ["| FAM of all-fams that moves depth to colour | slope | correlation |", "|---|---|---|"]
    rows += [
        f"| {name} | {fit['slope']:.3f} | {fit['correlation']:.3f} |" for name, fit in flow.items()
    ]
    return ["\n".join(rows)]


def _plot(table: Table, path: Path) -> None:
    """Draw scores and paired differences against the error."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, grid = plt.subplots(2, 2, figsize=(11, 8.4), constrained_layout=True)
    x = np.array(table.errors)
    for (axis, below), (measure, title) in zip(grid.T, _MEASURES.items(), strict=True):
        for arm in (arm for arm in _COLOURS if arm in table.arms):
            runs = table.scores(arm, measure, table.seeds(arm))
            axis.plot(x, runs.T, color=_COLOURS[arm], alpha=0.15, linewidth=0.8)
            axis.plot(x, runs.mean(axis=0), "o-", color=_COLOURS[arm], label=arm, linewidth=2)
        axis.set_title(title)
        axis.set_ylabel("%")
        axis.legend(frameon=False)
        _plot_gains(below, table, x, measure)
    for axis in grid.flat:
        axis.axvspan(8, x.max(), color="#F2EFE8", zorder=0)
        axis.set_xlabel("error of the registration, px at 640 width\n(shaded: beyond training)")
        axis.spines[["top", "right"]].set_visible(False)
    with written_beside(path) as beside:
        figure.savefig(beside, dpi=110, format="png")
    plt.close(figure)


def _plot_gains(axis: Any, table: Table, x: Values, measure: str) -> None:
    axis.axhline(0, color="#55534F", linewidth=0.8)
    for nudge, (arm, other) in enumerate(_pairs(table)):
        intervals = [Interval.of(c) for c in table.difference(arm, other, measure).T]
        means = np.array([interval.mean for interval in intervals])
        half = np.array([interval.high - interval.mean for interval in intervals])
        axis.errorbar(
            x + 0.15 * (nudge - 1), means, half, fmt="o-", capsize=3, label=f"{arm} - {other}"
        )
    axis.set_title("paired difference, 95 % interval")
    axis.set_ylabel("points")
    if not _pairs(table):
        return
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.35 * (high - low))  # room for the legend above the bars
    axis.legend(frameon=False, loc="upper center", ncols=1)
