"""The results of the ablation's runs, and their differences paired by seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fafnet_core.models.ablation import ABLATION

Values = NDArray[np.float64]

CONTROL, WHOLE, NONE = "zero-flow", "all-fams", "no-fam"
TEST = "test"
"""The only test of data whose registration error is not known."""


@dataclass(frozen=True)
class Result:
    """The result of one run.

    Attributes:
        arm: of the ablation.
        seed: of the run.
        parameters: of the network.
        seconds: of its training; if it was resumed, of the last part.
        scores: fractions by test, which is called by the registration error in pixels, or `TEST`.
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
        """Return the interval of independent values (N,)."""
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
    """How mean flow follows the true displacement: one straight line for frames and both axes.

    Attributes:
        slope: 1 where it follows completely, 0 where not at all.
        correlation: of the two; 0 where the flow never changes.
    """

    slope: float
    correlation: float

    @classmethod
    def of(cls, true: Values, learned: Values) -> FlowFit:
        """Fit mean flows to displacements, both (frames, 2), each axis with an offset of its own.

        Offsets come from bilinear sampling and strides, not from the displacement.
        """
        x, y = true - true.mean(axis=0), learned - learned.mean(axis=0)
        product, spread = float((x * y).sum()), float((x * x).sum())
        norms = float(np.sqrt(spread * (y * y).sum()))
        return cls(product / spread, product / norms if norms else 0.0)


class Table:
    """Scores by arm, seed and test; differences of two arms use the seeds that both have.

    Args:
        results: of any runs on one data set.

    Attributes:
        arms: those with results, in the order of `ABLATION`.
        errors: of the registration, one for each test; none where there is only `TEST`.
        tests: their names.
    """

    def __init__(self, results: Sequence[Result]) -> None:
        self.arms = [arm for arm in ABLATION if any(r.arm == arm for r in results)]
        tests = {name for r in results for name in r.scores}
        self.errors = [] if tests == {TEST} else sorted(float(px) for px in tests)
        self.tests = [f"{px:g}" for px in self.errors] or [TEST]
        self._by_run = {(r.arm, r.seed): r for r in results}

    def seeds(self, *arms: str) -> list[int]:
        """Seeds that every one of these arms has."""
        having = [{seed for arm, seed in self._by_run if arm == wanted} for wanted in arms]
        return sorted(set.intersection(*having)) if having else []

    def scores(self, arm: str, measure: str, seeds: Sequence[int]) -> Values:
        """Return percentages (seeds, tests)."""
        return 100 * np.array(
            [
                [self._by_run[arm, seed].scores[test][measure] for test in self.tests]
                for seed in seeds
            ]
        )

    def difference(self, arm: str, other: str, measure: str) -> Values:
        """Return the points that `arm` gains over `other`, paired by seed, (seeds, tests)."""
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
