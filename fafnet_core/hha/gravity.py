"""Which way is down, from the normals of a room.

Gupta, Arbelaez and Malik (CVPR 2013), section on the direction of gravity: the direction to which
the most surfaces are parallel or perpendicular.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fafnet_core.hha.arrays import Window

GRAVITY_WINDOW = Window(radius=10, stride=2)
"""The window of the normals that gravity is estimated from, for every other row and column.

That moves the estimate by up to 0.04 degree on real frames, every 4th by up to 0.15.
"""

CAMERA_DOWN = (0.0, 1.0, 0.0)
"""Down in the image: where the estimate starts."""

_ROUNDS = ((45.0, 5), (15.0, 5))
"""Tolerance in degrees, and how often to repeat with it."""

_EQUAL_EIGENVALUES = 1e-6
"""Eigenvalues this close, for each normal, are one: the direction among them is not determined."""


def gravity_from_normals(normals: NDArray[np.floating]) -> NDArray[np.float64]:
    """Estimate the direction of gravity.

    Normals within the tolerance of gravity's axis count as floor F, those within it of the
    horizontal plane as wall W. The next estimate makes sum_W (w.g)^2 - sum_F (f.g)^2 least: the
    eigenvector of the smallest eigenvalue of W'W - F'F, on the old one's side. Where that
    eigenvalue is a multiple one (one bare wall, or nothing at all) any vector of its eigenspace
    would do; the one nearest to the old estimate is taken.

    Args:
        normals: (3, N) unit vectors; zero vectors count for nothing.

    Returns:
        (3,) float64 unit vector in the frame of the normals.
    """
    x, y, z = normals
    # The six different entries of each n n'; times `sign` they add up to W'W - F'F. Sums by einsum
    # and not by `@`: BLAS would share them out to threads, and so short a sum then waits far longer
    # than it takes for a thread that another process has pushed off its core.
    products = (x * x, x * y, x * z, y * y, y * z, z * z)
    down = np.array(CAMERA_DOWN)
    for tolerance, repeats in _ROUNDS:
        floor_above, wall_below = np.cos(np.radians(tolerance)), np.sin(np.radians(tolerance))
        for _ in range(repeats):
            similarity = np.abs(np.einsum("i,in->n", down.astype(normals.dtype), normals))
            sign = (similarity < wall_below).astype(normals.dtype)
            sign -= similarity > floor_above
            xx, xy, xz, yy, yz, zz = (float(np.einsum("n,n", p, sign)) for p in products)
            spread = np.array(((xx, xy, xz), (xy, yy, yz), (xz, yz, zz)))
            down = _smallest_eigendirection(spread, down, sign.size)
    return down


def _smallest_eigendirection(
    matrix: NDArray[np.float64], near: NDArray[np.float64], normal_count: int
) -> NDArray[np.float64]:
    """Unit vector of the smallest eigenvalue's space that is nearest to `near`."""
    values, vectors = np.linalg.eigh(matrix)
    space = vectors[:, values - values[0] <= _EQUAL_EIGENVALUES * normal_count]
    projected = space @ (space.T @ near)
    length = float(np.linalg.norm(projected))
    return projected / length if length > 0.0 else near
