"""How the node keeps up: which frames it takes, and at which resolution the network sees them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from fafnet_core.input_size import Size, fitted_size

OVER_RATE = "over max_rate"
OVER_AGE = "over max_latency"
REPLACED = "replaced by a newer one"
"""Names under which the node counts the pairs that load control drops."""

SCALES = (1.0, 0.75, 0.5, 0.375, 0.25)
"""Resolutions of the network's input, as a share of its full width and height."""

SMALLEST_SIDE = 64
"""Pixels: a network needs more than one cell of its coarsest features."""

_JITTER = 0.25
"""A frame may come early by this share of the interval and still count as the next one."""

_OBSERVED = 11
"""Latencies whose median decides: single slow frames do not."""

_COMFORT = 0.8
"""Share of the budget below which the latency at a larger resolution is predicted to stay."""

_FIRST_WAIT = 30
"""Frames at one resolution before a larger one is tried; twice as many after each vain try."""

_HOLDS = 300
"""Frames that a larger resolution has to last before it no longer counts as a try."""

_LONGEST_WAIT = 3000
"""Frames before a larger resolution is tried once more, at most: minutes."""


class RateLimit:
    """Lets frames through at no more than a given rate, evenly spaced.

    Args:
        max_rate_hz: frames a second; 0 lets everything through.
    """

    def __init__(self, max_rate_hz: float) -> None:
        if not (math.isfinite(max_rate_hz) and max_rate_hz >= 0):
            raise ValueError(f"max_rate is {max_rate_hz:g} Hz; it has to be 0 (no limit) or above")
        self.max_rate_hz = max_rate_hz
        self._due = -math.inf

    def admits(self, now_s: float) -> bool:
        """Tell whether a frame that comes now may pass.

        Frames are due on an even grid that lasts from one to the next, so that a camera's jitter
        does not add up; a pause, or a clock that jumps back, begins a new grid.

        Args:
            now_s: seconds of any clock.
        """
        if self.max_rate_hz == 0:
            return True
        interval = 1 / self.max_rate_hz
        early = self._due - now_s
        if early > _JITTER * interval and early <= interval * (1 + _JITTER):
            return False
        # On the grid while frames keep to it; from this frame on after a pause: no burst.
        keeps_to_grid = abs(early) < interval
        self._due = (self._due if keeps_to_grid else now_s) + interval
        return True


def is_over_age(received_s: float, now_s: float, max_latency_s: float) -> bool:
    """Tell whether a frame has waited too long since its receipt; a limit of 0 means never.

    By time of receipt, because the camera's clock may not be the computer's.
    """
    return 0 < max_latency_s < now_s - received_s


def seen_size(shape: tuple[int, ...], input_size: Size | None, scale: float) -> Size:
    """Return height and width at which the network sees an image.

    Args:
        shape: the image's height and width.
        input_size: the size that images are brought to; None: their own.
        scale: of that size's sides, on top; see `reduced_size`.
    """
    return reduced_size(*fitted_size(shape, input_size), scale)


def reduced_size(rows: int, columns: int, scale: float) -> tuple[int, int]:
    """Return height and width of an image made smaller, in pixels.

    Args:
        rows: the image's height.
        columns: its width.
        scale: of both sides. No side gets below `SMALLEST_SIDE`, and none larger than it is.
    """
    scale = _kept_scale(rows, columns, scale)
    return max(round(rows * scale), 1), max(round(columns * scale), 1)


def _kept_scale(rows: int, columns: int, scale: float) -> float:
    return min(max(scale, SMALLEST_SIDE / min(rows, columns)), 1.0)


@dataclass(frozen=True)
class _Step:
    """A resolution.

    Attributes:
        index: its place among the others.
        scale: its share of both sides of the full input.
        pixels: of the input.
        fitted: share of the image's sides that the full input is.
        is_smallest: there is none below it.
    """

    index: int
    scale: float
    pixels: float
    is_smallest: bool
    fitted: float = 1.0

    @property
    def share(self) -> float:
        """Its share of both sides of the image."""
        return self.scale * self.fitted


def _steps_of(
    shape: tuple[int, ...], scales: Sequence[float], input_size: Size | None
) -> list[_Step]:
    """Return the resolutions of an image: of scales that make the same size, the first."""
    rows, columns = fitted_size(shape, input_size)
    fitted = math.sqrt(rows * columns / math.prod(shape))
    sizes: dict[tuple[int, int], float] = {}
    for scale in scales:
        size = reduced_size(rows, columns, scale)
        sizes.setdefault(size, _kept_scale(rows, columns, scale))
    return [
        _Step(index, scale, height * width, index == len(sizes) - 1, fitted)
        for index, ((height, width), scale) in enumerate(sizes.items())
    ]


class ResolutionSteps:
    """Lowers the resolution of the network's input while frames take longer than a budget.

    Down as soon as the median of the last frames is over the budget, to the largest scale whose
    latency should fit if it follows the number of pixels. Up again, one step at a time, only when
    that rule puts the larger scale comfortably below the budget; a part of the latency that does
    not depend on the resolution makes the rule err on the careful side. A step up that has to be
    taken back makes the next try wait twice as long, so that a load that comes and goes, or a
    network that does not follow the rule, cannot make the resolution flap. Scales that give an
    image the same size (it is never made smaller than `SMALLEST_SIDE`) are one step.

    Args:
        budget_s: seconds that a frame may take; 0 keeps the full resolution.
        scales: shares of the full input's width and height, from 1 downwards.
        input_size: the size that images are brought to, which is then the full input; None: the
            image itself is.
    """

    def __init__(
        self,
        budget_s: float,
        scales: Sequence[float] = SCALES,
        *,
        input_size: Size | None = None,
    ) -> None:
        if not (math.isfinite(budget_s) and budget_s >= 0):
            raise ValueError(
                f"latency_budget is {budget_s:g} s; it has to be 0 (no budget) or above"
            )
        falling = all(larger > smaller for larger, smaller in pairwise(scales))
        if not scales or not (0 < scales[-1] <= scales[0] <= 1 and falling):
            raise ValueError(f"scales are {tuple(scales)}; they have to fall within 0..1")
        self.budget_s = budget_s
        self._scales = tuple(scales)
        self._input_size = input_size
        self._shape: tuple[int, ...] | None = None
        self._steps: list[_Step] = []
        # One object: another thread reads it, and sees the parts of one step.
        self._step = _Step(0, self._scales[0], 1.0, is_smallest=False)
        self._latencies: deque[float] = deque(maxlen=_OBSERVED)
        self._since_change = 0
        self._begin_tries()

    def _begin_tries(self) -> None:
        self._wait = _FIRST_WAIT
        self._is_trying = False
        # Which try was the last in vain: none. That a smaller scale lasts says nothing of it.
        self._vain = len(self._scales)

    @property
    def scale(self) -> float:
        """The share of the full input's width and height that the network should see.

        Never one that would make the images seen so far smaller than `SMALLEST_SIDE`.
        """
        return self._step.scale

    @property
    def fitted(self) -> float:
        """The share of the image's sides that the full input is; 1 before the first image."""
        return self._step.fitted

    @property
    def share(self) -> float:
        """The share of the image's width and height that the network should see."""
        return self._step.share

    @property
    def is_smallest(self) -> bool:
        """Tell whether there is no smaller size; not before the first image."""
        return self._step.is_smallest

    @property
    def median_s(self) -> float | None:
        """Median latency at the present scale in seconds; None until enough frames came."""
        latencies = tuple(self._latencies)  # another thread may clear them meanwhile
        return median(latencies) if len(latencies) == _OBSERVED else None

    def observe(self, latency_s: float, shape: tuple[int, ...]) -> str | None:
        """Take one frame's latency at the present scale; say so where that changes the scale.

        Args:
            latency_s: seconds.
            shape: the frame's rows and columns at full size; with another one it begins anew, at
                the largest size whose scale is not above the present one.

        Returns:
            The line for the log, or None where the scale stays.
        """
        if shape != self._shape:
            self._take_shape(shape)
        if self.budget_s == 0:
            return None
        self._latencies.append(latency_s)
        self._since_change += 1
        present = self.median_s
        if present is None:
            return None
        if self._is_trying and self._since_change > _HOLDS:
            self._is_trying = False
            if self._step.index <= self._vain:
                self._begin_tries()
        if present > self.budget_s:
            return None if self.is_smallest else self._step_down(present)
        if self._step.index == 0 or self._since_change < self._wait:
            return None
        larger = self._steps[self._step.index - 1]
        predicted = self._predicted(present, larger)
        if predicted > _COMFORT * self.budget_s:
            return None
        return self._step_up(present, predicted, larger)

    def _take_shape(self, shape: tuple[int, ...]) -> None:
        self._shape, self._steps = shape, _steps_of(shape, self._scales, self._input_size)
        fitting = (step for step in self._steps if step.scale <= self.scale)
        self._change(next(fitting, self._steps[-1]), is_trying=False)
        self._begin_tries()

    def _predicted(self, present: float, step: _Step) -> float:
        return present * step.pixels / self._step.pixels

    def _step_down(self, present: float) -> str:
        if self._is_trying:
            self._vain, self._wait = self._step.index, min(2 * self._wait, _LONGEST_WAIT)
        smaller = self._steps[self._step.index + 1 :]
        fitting = (step for step in smaller if self._predicted(present, step) <= self.budget_s)
        self._change(next(fitting, smaller[-1]), is_trying=False)
        return (
            f"a frame takes {1e3 * present:.0f} ms (median), latency_budget is"
            f" {1e3 * self.budget_s:.0f} ms: the network's input goes down to"
            f" {self.share:.3g} of the image's width and height"
        )

    def _step_up(self, present: float, predicted: float, larger: _Step) -> str:
        self._change(larger, is_trying=True)
        return (
            f"a frame takes {1e3 * present:.0f} ms (median), latency_budget is"
            f" {1e3 * self.budget_s:.0f} ms: the network's input goes up to"
            f" {self.share:.3g} of the image's width and height"
            f" (at most {1e3 * predicted:.0f} ms expected)"
        )

    def _change(self, step: _Step, *, is_trying: bool) -> None:
        self._step = step
        self._latencies.clear()
        self._since_change = 0
        self._is_trying = is_trying
