"""Surface normals from depth by least squares over square windows.

A plane n.P = 1 seen along the ray (u, v, 1) has the inverse depth 1/Z = n.(u, v, 1): inverse depth
is an affine function of the image coordinates. Gupta, Arbelaez and Malik (CVPR 2013; the code of
Gupta et al., ECCV 2014, arXiv 1407.5736) fit n to the valid pixels of a window by least squares.

Here the fit is made in pixels counted from the window's centre,

    1/Z = a i + b j + c,

which is the same plane, n = (a fx, b fy, c - a fx u - b fy v) at the centre's ray (u, v, 1), but
keeps its digits in float32. Its normal equations are a 3x3 system for each window. Only the
direction of n counts, so (a, b, c) is the matrix's adjugate times the right side, without dividing
by the determinant. The adjugate depends on where the valid pixels lie, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fafnet_core.hha.arrays import Array, ArrayWay, Powers, Window
from fafnet_core.hha.geometry import DepthView, PixelRays

NORMAL_WINDOW = Window(radius=3)
"""The window of the angle channel."""

_UP_TO_FIRST: Powers = ((0, 0), (1, 0), (0, 1))
_UP_TO_SECOND: Powers = (*_UP_TO_FIRST, (2, 0), (1, 1), (0, 2))


@dataclass(frozen=True)
class Samples:
    """What planes are fitted to: inverse depth in pixels, or summed over blocks of them.

    Attributes:
        inverse_depth: (H, W) float32, 0 where it is not valid.
        count: (H, W), how many valid pixels are in it; a boolean mask where that is one or none;
            None where all of them are valid.
    """

    inverse_depth: Array
    count: Array | None

    @classmethod
    def of(cls, view: DepthView) -> Samples:
        """Of each pixel that was measured."""
        return cls(view.measured_inverse_depth, view.measured)

    def blocks(self, side: int, way: ArrayWay) -> Samples:
        """Summed over blocks of side * side, as if all of a block lay at its centre."""
        count = None if self.count is None else way.block_sums(self.count, side)
        return Samples(way.block_sums(self.inverse_depth, side), count)


@dataclass(frozen=True)
class WindowAdjugate:
    """The adjugate of each window's normal equations, times a positive number of its own.

    Attributes:
        ii, ij, jj, i, j, one: its six different entries, named after the unknowns a, b, c that
            belong to them: i, j, and 1. `ij` is None where it is zero.
        spans_plane: whether the valid pixels do not lie on one line; None where that is so in all
            windows.
    """

    ii: Array
    ij: Array | None
    jj: Array
    i: Array
    j: Array
    one: Array
    spans_plane: Array | None

    @classmethod
    def from_sums(cls, sums: Sequence[Array]) -> WindowAdjugate:
        """Of the valid pixels, given the window sums of their count up to second order."""
        n, i, j, ii, ij, jj = sums
        # Differences of integers: in windows of 7x7 all of them are exact in float32.
        slope_ii, slope_ij, slope_jj = n * jj - j * j, i * j - n * ij, n * ii - i * i
        # n times the sum, over all triples of valid pixels, of (twice their triangle's area)^2.
        # It is 0 exactly where all lie on one line, for then both products are one number, and
        # at least n elsewhere: a test without a tolerance and without a scale.
        spans_plane = slope_ii * slope_jj - slope_ij * slope_ij > 0.5
        return cls(
            slope_ii,
            slope_ij,
            slope_jj,
            ij * j - jj * i,
            ij * i - ii * j,
            ii * jj - ij * ij,
            None if bool(spans_plane.all()) else spans_plane,
        )


@dataclass(frozen=True)
class FullWindows:
    """The adjugates of the windows of an image of which every pixel is valid.

    Such windows are rectangles, cut at the image's border. What belongs to i depends on the column
    alone, and what belongs to j on the row.

    Attributes:
        column: (3, 1, W): `ii`, `i`, and the column's part of `one`.
        row: (3, H, 1): `jj`, `j`, and the row's part of `one`.
        spans_plane: as `WindowAdjugate` has it.
    """

    column: Array
    row: Array
    spans_plane: Array | None

    @classmethod
    def of(cls, shape: tuple[int, int], window: Window, way: ArrayWay) -> FullWindows:
        """Of an image (H, W)."""
        height, width = shape
        column = way.float32(_along(width, window)[:, None, :])
        row = way.float32(_along(height, window)[:, :, None])
        nowhere = way.boolean(np.zeros((len(row[0]), column.shape[-1]), np.bool_))
        return cls(column, row, nowhere if min(shape) == 1 else None)

    def rows(self, part: slice) -> WindowAdjugate:
        """Those of some rows of windows."""
        ii, i, one_i = self.column
        jj, j, one_j = self.row[:, part]
        return WindowAdjugate(ii, None, jj, i, j, one_i + one_j, self.spans_plane)


def _along(length: int, window: Window) -> NDArray[np.float64]:
    """Entries of the adjugate, times 1 / determinant times the number of pixels: (3, windows).

    They are those of the fit of a line, 1/Z = a i + c, along one side of an image; the constant
    term is shared out to the two sides.
    """
    centres = np.arange(0, length, window.stride)
    first = np.maximum(-window.radius, -centres)
    last = np.minimum(window.radius, length - 1 - centres)
    count, mean = last - first + 1, (first + last) / 2
    # Successive numbers, n of them, have the variance (n^2 - 1) / 12.
    inverse_variance = 12 / np.maximum(count * count - 1, 1)
    return np.stack(
        [inverse_variance, -mean * inverse_variance, 0.5 + mean * mean * inverse_variance]
    )


@dataclass(frozen=True)
class Normals:
    """A normal for each window, (x, y, z) times a positive number of its own.

    Not made unit vectors because what is needed in the end is one dot product.

    Attributes:
        x, y, z: pointing away from the camera where `at_centre` is not negative, else towards it.
        at_centre: the plane's inverse depth at the window's centre, times the same number.
        spans_plane: see `WindowAdjugate`; where it is False there is no normal.
    """

    x: Array
    y: Array
    z: Array
    at_centre: Array
    spans_plane: Array | None

    def cosine(self, direction: tuple[float, float, float], way: ArrayWay) -> Array:
        """Cosine with a unit vector; -1, i.e. 180 degrees, where there is no normal."""
        along = way.dot(direction, (self.x, self.y, self.z))
        length = way.with_sign_of(way.length(self.x, self.y, self.z), self.at_centre)
        with np.errstate(divide="ignore", invalid="ignore"):
            cosine = along / length
        if self.spans_plane is not None:
            cosine = way.masked(cosine + 1.0, self.spans_plane) - 1.0
        return cosine.clip(-1.0, 1.0)

    def unit_vectors(self, way: ArrayWay) -> Array:
        """Unit vectors along the normals, either way round, zero where there is none: (3, N)."""
        with np.errstate(divide="ignore"):
            scale = 1.0 / way.length(self.x, self.y, self.z)
        if self.spans_plane is not None:
            scale = way.masked(scale, self.spans_plane)
        return way.functions.stack(
            [(axis * scale).reshape(-1) for axis in (self.x, self.y, self.z)]
        )


def fit_normals(
    sums: Sequence[Array], adjugate: WindowAdjugate, rays: PixelRays, way: ArrayWay
) -> Normals:
    """Fit a plane to the valid pixels of each window.

    Args:
        sums: window sums of 1/Z up to first order, 1/Z being zero wherever it is not valid.
        adjugate: that of the valid pixels.
        rays: of the windows' centres.
        way: NumPy or torch.
    """
    total, total_i, total_j = sums
    right_side = total_i, total_j, total
    a = way.dot((adjugate.ii, adjugate.ij, adjugate.i), right_side)
    b = way.dot((adjugate.ij, adjugate.jj, adjugate.j), right_side)
    at_centre = way.dot((adjugate.i, adjugate.j, adjugate.one), right_side)

    fx, fy = rays.focal_length
    x, y = a * fx, b * fy
    # n.P = Z (1/Z) at the window's centre: the sign of the fit there says which side n points to.
    return Normals(x, y, at_centre - x * rays.u - y * rays.v, at_centre, adjugate.spans_plane)


@dataclass(frozen=True)
class WindowGrid:
    """Windows over the images of one camera, and what depends on nothing else.

    Attributes:
        window: size and spacing of the windows.
        rays: of their centres.
        full: for images of which all is valid.
    """

    window: Window
    rays: PixelRays
    full: FullWindows

    @classmethod
    def of(cls, rays: PixelRays, window: Window, way: ArrayWay) -> WindowGrid:
        """Over samples along some rays."""
        return cls(window, rays.every(window.stride), FullWindows.of(rays.shape, window, way))


def normals_by_strip(samples: Samples, grid: WindowGrid, way: ArrayWay) -> Iterator[Normals]:
    """Fit a normal in each window, some rows of them at a time, from the top down.

    The sums and the fifty or so operations of the fit run on strips that stay in the processor's
    cache.
    """
    height, width = grid.rays.shape
    step = way.strip_rows(width) or height
    for start in range(0, height, step):
        part = slice(start, min(start + step, height))
        sums = way.window_sums(samples.inverse_depth, _UP_TO_FIRST, grid.window, part)
        if samples.count is None:
            adjugate = grid.full.rows(part)
        else:
            counts = way.window_sums(samples.count, _UP_TO_SECOND, grid.window, part)
            adjugate = WindowAdjugate.from_sums(counts)
        yield fit_normals(sums, adjugate, grid.rays.rows(part), way)
