"""Which way is down, from the normals of a room.

Gupta, Arbelaez and Malik (CVPR 2013), section on the direction of gravity: the direction to which
the most surfaces are parallel or perpendicular.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fafnet_core.hha.arrays import Window

GRAVITY_WINDOW = Window(radius=10, stride=2)
"""The window of the normals that gravity is estimated from, for every other row and column.

That moves the estimate by up to 0.04 degree on real frames, every 4th by up to 0.15.
"""

TRACKING_BLOCK, TRACKING_WINDOW = 3, Window(radius=3)
"""Where the last frame's gravity is known: the side of the blocks that pixels are summed over
first, and the window of blocks. They cover what `GRAVITY_WINDOW` does, in a fifth of the time, and
move an estimate by 0.05 degree on average, which is noise that the stream smooths away.
"""

CAMERA_DOWN = (0.0, 1.0, 0.0)
"""Down in the image: where the estimate starts."""

Rounds: TypeAlias = Sequence[tuple[float, int]]
"""Tolerances in degrees, and how often to repeat with each."""

FROM_CAMERA_DOWN: Rounds = ((45.0, 5), (15.0, 5))
"""The rounds of an estimate that only assumes that the camera is about upright."""

FROM_LAST_FRAME: Rounds = ((15.0, 5),)
"""The rounds of an estimate that starts where the last frame's ended."""

_EQUAL_EIGENVALUES = 1e-6
"""Eigenvalues this close, for each normal, are one: the direction among them is not determined."""

_OPEN_EIGENVALUES = 0.02
"""The same with a sensor's noise."""

_PRIOR = 0.005
"""How much the last frame's direction weighs: as a share of the normals."""


@dataclass(frozen=True)
class GravityEstimate:
    """A direction of gravity, and how much of the room says so.

    Attributes:
        direction: (3,) float64 unit vector in the frame of the normals.
        support: share of the normals that are floor or wall under it, 0..1; 0.29 is what normals
            of all directions give.
        normals: share of the windows that have a normal, 0..1.
        spread: (3, 3) float64, (W'W - F'F) / N of the last round.
    """

    direction: NDArray[np.float64]
    support: float
    normals: float
    spread: NDArray[np.float64]

    @property
    def is_open(self) -> bool:
        """Whether the normals leave it open in some way, as those of one bare wall do."""
        values = np.linalg.eigvalsh(self.spread)
        return bool(values[1] - values[0] < _OPEN_EIGENVALUES)

    def near(self, direction: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the estimate, pulled towards `direction` in every way that the normals leave open.

        That is the g that minimises g'Mg + k |g - direction|^2, M being `spread`. (3,) float64 unit
        vector.
        """
        values, vectors = np.linalg.eigh(self.spread)
        left = _PRIOR / (_PRIOR + values - values[0])
        moved: NDArray[np.float64] = vectors @ (left * (vectors.T @ direction))
        return moved / np.linalg.norm(moved)


def estimate_direction(
    normals: NDArray[np.floating],
    start: ArrayLike = CAMERA_DOWN,
    rounds: Rounds = FROM_CAMERA_DOWN,
) -> GravityEstimate:
    """Estimate the direction of gravity.

    Normals within the tolerance of gravity's axis count as floor F, those within it of the
    horizontal plane as wall W. The next estimate makes sum_W (w.g)^2 - sum_F (f.g)^2 least: the
    eigenvector of the smallest eigenvalue of W'W - F'F, on the old one's side. Where that
    eigenvalue is a multiple one (one bare wall, or nothing at all) any vector of its eigenspace
    would do; the one nearest to the old estimate is taken.

    Args:
        normals: (3, N) unit vectors; zero vectors count for nothing.
        start: (3,) unit vector from which the rounds start.
        rounds: tolerances in degrees, and how often at most to repeat with each; a tolerance is
            done with when a round changes nothing.
    """
    down = np.asarray(start, np.float64)
    spread: NDArray[np.float64] = np.zeros((3, 3))
    kinds = np.zeros(normals.shape[1], np.int8)  # 1: wall, -1: floor
    for tolerance, repeats in rounds:
        floor_above, wall_below = np.cos(np.radians(tolerance)), np.sin(np.radians(tolerance))
        for _ in range(repeats):
            similarity = np.abs(np.einsum("i,in->n", down.astype(normals.dtype), normals))
            before, kinds = kinds, (similarity < wall_below).view(np.int8)
            kinds -= similarity > floor_above
            changed = np.flatnonzero(kinds != before)
            if not changed.size:
                break
            # From round to round few normals change sides: only those are summed anew.
            spread += _spread(normals.take(changed, axis=1), (kinds - before)[changed])
            down = _smallest_eigendirection(spread, down, kinds.size)
    count = round(float(np.einsum("in,in", normals, normals)))
    without = kinds.size - count  # zero vectors are perpendicular to everything: counted as wall
    support = (int(np.count_nonzero(kinds)) - without) / max(count, 1)
    return GravityEstimate(down, support, count / max(kinds.size, 1), spread / max(count, 1))


def _spread(normals: NDArray[np.floating], weights: NDArray[np.int8]) -> NDArray[np.floating]:
    """Sum weight * n n' over normals (3, N).

    By einsum and not by `@`: BLAS would share the sum out to threads, and so short a sum then waits
    far longer than it takes for a thread that another process has pushed off its core.
    """
    spread: NDArray[np.floating] = np.einsum(
        "in,jn->ij", normals, normals * weights.astype(normals.dtype)
    )
    return spread


def _smallest_eigendirection(
    matrix: NDArray[np.float64], near: NDArray[np.float64], normal_count: int
) -> NDArray[np.float64]:
    """Unit vector of the smallest eigenvalue's space that is nearest to `near`."""
    values, vectors = np.linalg.eigh(matrix)
    space = vectors[:, values - values[0] <= _EQUAL_EIGENVALUES * normal_count]
    projected = space @ (space.T @ near)
    length = float(np.linalg.norm(projected))
    return projected / length if length > 0.0 else near
