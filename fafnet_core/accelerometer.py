"""Which way is down, from an accelerometer, and a gyroscope where there is one.

At rest an accelerometer measures the force that holds it up, so its reading points up. A low-pass
takes the shaking out; the gyroscope turns its memory along with the camera, which would otherwise
lag behind by the time constant.
"""

from __future__ import annotations

import math
from collections import deque
from enum import Enum

import numpy as np
from numpy.typing import NDArray

Vector = tuple[float, float, float]

STANDARD_GRAVITY = 9.80665
"""m/s^2."""

TIME_CONSTANT_S = 0.5
"""A gyroscope's error of 1 degree per second then costs 0.5 degree."""

STALE_AFTER_S = 1.0
"""After this long without a usable reading nothing is known, and the filter starts again.

Image stamps farther than this from all readings are of another clock.
"""

_TOLERANCE = 0.2
"""A reading that differs from standard gravity by this share or more is disturbed."""

_REORDERED_S = 0.1
"""A stamp that goes back by less is a late message; by more, it is a clock that jumped."""

_FIRST_S = 0.005
"""Time for which the first reading counts: the period of a common accelerometer."""

_HISTORY_S = 2.0
_HISTORY_LENGTH = 2000
_FASTEST_RAD_S = 40.0
"""Beyond what gyroscopes in cameras can measure."""


class Reading(Enum):
    """What became of a reading."""

    USED = "used"
    ABSENT = "no acceleration"
    """All zeros, which no accelerometer on Earth measures, or not finite."""
    DISTURBED = "disturbed"
    """Far from 1 g."""
    LATE = "out of order"


class GravityFilter:
    """A low-pass of accelerations whose answer can be asked for by stamp.

    All vectors are in the sensor's own frame. Times are nanoseconds: `stamp_ns` by the clock that
    stamps the readings, `received_ns` and `now_ns` by one that never jumps.

    Args:
        time_constant_s: seconds after which 63 % of a step have come through.
    """

    def __init__(self, time_constant_s: float = TIME_CONSTANT_S) -> None:
        self._time_constant_s = time_constant_s
        self.reset()

    def reset(self) -> None:
        """Forget all readings."""
        # A decaying sum: its length says how much lately came in, its direction is the answer.
        self._up: Vector = (0.0, 0.0, 0.0)
        self._last: tuple[int, int] | None = None
        self._used_ns: int | None = None
        self._history: deque[tuple[int, Vector]] = deque(maxlen=_HISTORY_LENGTH)

    def add(
        self,
        stamp_ns: int,
        received_ns: int,
        acceleration: Vector,
        angular_velocity: Vector = (0.0, 0.0, 0.0),
    ) -> Reading:
        """Take one reading in.

        Args:
            stamp_ns: when it was measured; the same each time (a driver without stamps): the
                receipt counts instead.
            received_ns: when it came.
            acceleration: m/s^2, gravity included: it points up at rest.
            angular_velocity: rad/s; zeros where there is no gyroscope.
        """
        elapsed_s = self._elapsed_s(stamp_ns, received_ns)
        if elapsed_s is None:
            return Reading.LATE
        self._last = (stamp_ns, received_ns)
        reading, weight = _weigh(acceleration)
        kept = math.exp(-elapsed_s / self._time_constant_s)
        x, y, z = _turn_back(self._up, angular_velocity, elapsed_s)
        if weight:
            gain = weight * (1.0 - kept)
            ax, ay, az = acceleration
            self._up = (kept * x + gain * ax, kept * y + gain * ay, kept * z + gain * az)
            self._used_ns = received_ns
        else:
            self._up = (kept * x, kept * y, kept * z)
        self._history.append((stamp_ns, self._up))
        while stamp_ns - self._history[0][0] > _HISTORY_S * 1e9:
            self._history.popleft()
        return reading

    def down(self, stamp_ns: int, now_ns: int) -> NDArray[np.float64] | None:
        """Return the unit vector that pointed down at this stamp, or None if that is not known.

        Of the readings' stamps the nearest counts; where all of them are over a second away, the
        clocks are unrelated, and the latest is taken.
        """
        if self._used_ns is None or now_ns - self._used_ns > STALE_AFTER_S * 1e9:
            return None
        up = np.array(self._at(stamp_ns))
        length = float(np.linalg.norm(up))
        return -up / length if length > 0.0 else None

    def _elapsed_s(self, stamp_ns: int, received_ns: int) -> float | None:
        """Return the time since the last reading; None if this one is older than that."""
        if self._last is None:
            return _FIRST_S
        elapsed_s = (stamp_ns - self._last[0]) / 1e9
        if -_REORDERED_S < elapsed_s < 0.0:
            return None
        if elapsed_s == 0.0:
            elapsed_s = (received_ns - self._last[1]) / 1e9
        if not 0.0 <= elapsed_s <= STALE_AFTER_S:
            self.reset()
            return _FIRST_S
        return elapsed_s

    def _at(self, stamp_ns: int) -> Vector:
        reach = int(STALE_AFTER_S * 1e9)
        if not self._history[0][0] - reach <= stamp_ns <= self._history[-1][0] + reach:
            return self._up
        # From the newest: an image is rarely older than a few readings.
        after, best = None, self._up
        for stamp, up in reversed(self._history):
            if stamp <= stamp_ns:
                return best if after is not None and after - stamp_ns < stamp_ns - stamp else up
            after, best = stamp, up
        return best


def _weigh(acceleration: Vector) -> tuple[Reading, float]:
    """Return what kind of reading this is, and how much it counts, 0 to 1."""
    magnitude = math.hypot(*acceleration)
    if magnitude == 0.0 or not math.isfinite(magnitude):
        return Reading.ABSENT, 0.0
    deviation = (magnitude / STANDARD_GRAVITY - 1.0) / _TOLERANCE
    weight = 1.0 - deviation * deviation
    return (Reading.USED, weight) if weight > 0.0 else (Reading.DISTURBED, 0.0)


def _turn_back(vector: Vector, angular_velocity: Vector, seconds: float) -> Vector:
    """Return a vector that stands still in the world, seen by a sensor that has turned meanwhile.

    Rodrigues' formula, by the negative angle. What cannot be a gyroscope's reading turns nothing.
    """
    speed = math.hypot(*angular_velocity)
    if not 0.0 < speed <= _FASTEST_RAD_S:
        return vector
    kx, ky, kz = (component / speed for component in angular_velocity)
    cosine, sine = math.cos(speed * seconds), -math.sin(speed * seconds)
    x, y, z = vector
    along = (kx * x + ky * y + kz * z) * (1.0 - cosine)
    return (
        x * cosine + (ky * z - kz * y) * sine + kx * along,
        y * cosine + (kz * x - kx * z) * sine + ky * along,
        z * cosine + (kx * y - ky * x) * sine + kz * along,
    )
