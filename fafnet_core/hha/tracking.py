"""Gravity and ground from frame to frame: steady where the camera is still, quick where it moves.

Each frame's own answer goes through an exponential filter. How fast the filter follows depends on
the difference between answer and filter: noise has no direction, so its mean over a tenth of a
second is small, but a camera that turns leaves the filter behind on one side. The time constant
shrinks with the square of that mean. (The 1-euro filter of Casiez, Roussel and Vogel, CHI 2012, has
the same aim; it detects motion by the speed of the answer, which noise makes large at high frame
rates.)
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fafnet_core.hha.channels import ASSUMED_GROUND_M, LOWEST_GROUND_M
from fafnet_core.hha.gravity import (
    FROM_LAST_FRAME,
    GravityEstimate,
    estimate_direction,
)

_DRIFT_SHARE = 0.1
"""The mean that tells motion from noise is taken over this share of the time constant."""


class FollowingRate:
    """How far a filtered value follows each new answer.

    Args:
        time_constant_s: of the filter, in seconds, while the answers only scatter; above 0.
        scale: in the unit of the answers: where the mean difference is that large, the time
            constant is halved.
    """

    def __init__(self, time_constant_s: float, scale: float) -> None:
        self._time_constant_s = time_constant_s
        self._scale = scale
        self._drift: NDArray[np.float64] | float = 0.0

    def share(self, left: ArrayLike, elapsed_s: float) -> float:
        """Return which share of `left`, the answer minus the filtered value, to go, 0..1."""
        left = np.asarray(left, np.float64)
        recent = -math.expm1(-elapsed_s / (_DRIFT_SHARE * self._time_constant_s))
        self._drift = self._drift + recent * (left - self._drift)
        behind = float(np.linalg.norm(self._drift)) / self._scale
        share = -math.expm1(-elapsed_s * (1 + behind * behind) / self._time_constant_s)
        self._drift = self._drift * (1 - share)  # what is gone is not left any more
        return share

    def restart(self) -> None:
        """Forget the frames before."""
        self._drift = 0.0


class GravityTracker:
    """The direction of gravity, frame by frame.

    A frame's estimate starts from the last direction: in a room of right angles three directions
    fit equally well, and it is the right one. Every half second, and when fewer surfaces than
    before agree, it is compared with an estimate that starts at the image's down, without a past.

    Args:
        smoothing_s: time constant in seconds, above 0.
    """

    # A Kinect's noise moves the mean of what is left by about a tenth of a degree: the time
    # constant changes little. A turn of 5 to 60 degrees a second leaves it half a degree behind.
    _SCALE_DEG = 0.25
    _CHECK_S = 0.5
    _LOSS = 0.85  # of support, that asks for a check
    _BETTER = 1.1  # in support: taken at once
    _AS_GOOD = 0.95  # in support: taken after so many seconds
    _PATIENCE_S = 1.0
    _SAME_DEG = 5.0
    _FEWEST_NORMALS = 0.01  # of the windows
    _JUMP_DEG, _JUMP_DEG_PER_S = 6.0, 120.0

    def __init__(self, smoothing_s: float) -> None:
        self._rate = FollowingRate(smoothing_s, math.radians(self._SCALE_DEG))
        self.restart()

    def restart(self) -> None:
        """Forget the frames before."""
        self._rate.restart()
        self.direction: NDArray[np.float64] | None = None
        self._jumped_to: NDArray[np.float64] | None = None
        self._support = 0.0
        self._since_check_s = self._contested_s = 0.0

    def set(self, direction: NDArray[np.float64]) -> None:
        """Take a direction that is known for the last one."""
        self.restart()
        self.direction = direction

    def update(self, normals: NDArray[np.floating], elapsed_s: float) -> NDArray[np.float64]:
        """Return the direction after one more frame.

        Args:
            normals: (3, N) unit vectors of the frame, zero where there is none.
            elapsed_s: seconds since the frame before, above 0.
        """
        last = self.direction
        if last is None:
            return self._first(normals)
        warm = estimate_direction(normals, last, FROM_LAST_FRAME)
        if warm.normals < self._FEWEST_NORMALS:
            return last
        estimate = self._challenged(warm, normals, elapsed_s)
        self._support += 0.2 * (estimate.support - self._support)
        answer = estimate.near(last) if estimate is warm else estimate.direction
        if estimate is not warm or self._has_jumped(answer, last, elapsed_s):
            self._rate.restart()
            now = answer
        elif self._jumped_to is None:
            now = self._followed(answer, last, elapsed_s)
        else:
            now = last
        self.direction = now
        return now

    def _first(self, normals: NDArray[np.floating]) -> NDArray[np.float64]:
        estimate = estimate_direction(normals)
        if estimate.normals >= self._FEWEST_NORMALS:  # else not worth starting from
            self.direction, self._support = estimate.direction, estimate.support
        return estimate.direction

    def _followed(
        self, answer: NDArray[np.float64], last: NDArray[np.float64], elapsed_s: float
    ) -> NDArray[np.float64]:
        """Go from `last` part of the way to `answer`."""
        left = answer - last
        moved: NDArray[np.float64] = last + self._rate.share(left, elapsed_s) * left
        return moved / np.linalg.norm(moved)

    def _has_jumped(
        self, answer: NDArray[np.float64], last: NDArray[np.float64], elapsed_s: float
    ) -> bool:
        """Whether two frames in a row say that the camera is turned by more than hands turn it.

        After the first of them the last direction is held: most such frames are alone.
        """
        limit = self._JUMP_DEG + self._JUMP_DEG_PER_S * elapsed_s
        before, self._jumped_to = self._jumped_to, None
        if _angle_deg(answer, last) <= limit:
            return False
        if before is not None and _angle_deg(answer, before) <= limit:
            return True
        self._jumped_to = answer
        return False

    def _challenged(
        self, warm: GravityEstimate, normals: NDArray[np.floating], elapsed_s: float
    ) -> GravityEstimate:
        """Return `warm`, or an estimate without a past where that has more for it."""
        self._since_check_s += elapsed_s
        lost = warm.support < self._LOSS * self._support
        if self._since_check_s < self._CHECK_S and not lost:
            return warm
        since, self._since_check_s = self._since_check_s, 0.0
        cold = estimate_direction(normals)
        if cold.is_open or _angle_deg(cold.direction, warm.direction) < self._SAME_DEG:
            self._contested_s = 0.0
            return warm
        as_good = cold.support >= self._AS_GOOD * warm.support
        self._contested_s = self._contested_s + since if as_good else 0.0
        if cold.support > self._BETTER * warm.support or self._contested_s > self._PATIENCE_S:
            self._contested_s = 0.0
            return cold
        return warm


class GroundTracker:
    """The height of the ground over the camera, frame by frame.

    The ground of one frame lies under its lowest points: not under the very lowest, which is mostly
    noise, but where `LOWEST_SHARE` of them are lower. When the camera looks up they are no longer
    on the floor, and rise by as much as a table is high; so a rise is only followed in time, and
    what lies lower than the ground within a few frames.

    Args:
        smoothing_s: time constant in seconds, above 0.
    """

    LOWEST_SHARE = 0.002
    _SCALE_M = 0.05
    _HYSTERESIS_M = 0.05

    def __init__(self, smoothing_s: float) -> None:
        self._smoothing_s = smoothing_s
        self._sinking = FollowingRate(smoothing_s, self._SCALE_M)
        self.restart()

    def restart(self) -> None:
        """Forget the frames before."""
        self._sinking.restart()
        self.ground_m: float | None = None
        self._seen = False

    def update(self, heights_m: NDArray[np.floating], elapsed_s: float) -> float:
        """Return the ground after one more frame.

        Args:
            heights_m: (N,) heights over the camera of the frame's points; none: it stays.
            elapsed_s: seconds since the frame before, above 0.
        """
        last = self.ground_m
        if heights_m.size == 0:
            return ASSUMED_GROUND_M if last is None else last
        index = int(self.LOWEST_SHARE * heights_m.size)
        answer = self._ground_under(float(np.partition(heights_m, index)[index]))
        ground = answer if last is None else last + self._followed(answer - last, elapsed_s)
        self.ground_m = ground
        return ground

    def _followed(self, left: float, elapsed_s: float) -> float:
        """Return how far to go of what is left."""
        if left < 0:
            return left * self._sinking.share(left, elapsed_s)
        self._sinking.restart()
        return left * -math.expm1(-elapsed_s / self._smoothing_s)

    def _ground_under(self, lowest_m: float) -> float:
        """As `channels.ground_under`, but a lowest point near the limit goes as it did before."""
        margin = self._HYSTERESIS_M if self.ground_m is not None else 0.0
        self._seen = lowest_m <= LOWEST_GROUND_M + (margin if self._seen else -margin)
        return lowest_m if self._seen else ASSUMED_GROUND_M


def _angle_deg(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Angle between two unit vectors, in degrees."""
    return math.degrees(2 * math.asin(min(1.0, float(np.linalg.norm(first - second)) / 2)))
