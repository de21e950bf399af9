"""Surface normals from depth by least squares over square windows.

A plane n.P = 1 seen along the ray (u, v, 1) has the inverse depth 1/Z = n.(u, v, 1): inverse depth
is an affine function of the image coordinates. Gupta, Arbelaez and Malik (CVPR 2013; the code of
Gupta et al., ECCV 2014, arXiv 1407.5736) fit n to the valid pixels of a window by least squares.

Here the fit is made in pixels counted from the window's centre,

    1/Z = a i + b j + c,

which is the same plane, n = (a fx, b fy, c - a fx u - b fy v) at the centre's ray (u, v, 1), but
keeps its digits in float32. The sums over the valid pixels alone (how many, where) make
`WindowMoments`; for windows without holes they depend on nothing but the image's size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fafnet_core.hha.arrays import Array, ArrayWay, Powers, Window
from fafnet_core.hha.geometry import DepthView, PixelRays

NORMAL_WINDOW = Window(radius=3)
"""The window of the angle channel."""

_UP_TO_FIRST: Powers = ((0, 0), (1, 0), (0, 1))
_UP_TO_SECOND: Powers = (*_UP_TO_FIRST, (2, 0), (1, 1), (0, 2))
_SMALLEST_SQUARE = 1e-30


@dataclass(frozen=True)
class WindowMoments:
    """What the fit needs to know of where the valid pixels of each window lie.

    Attributes:
        count: number n of valid pixels, at least 1 (float32, as all of them).
        sum_i, sum_j: their offsets from the window's centre, summed.
        solve_ii, solve_ij, solve_jj: the symmetric 2x2 matrix that takes the co-moments of inverse
            depth and offset to the slopes a, b.
        spans_plane: 1 where the valid pixels do not lie on one line, else 0; None where all do so.
    """

    count: Array
    sum_i: Array
    sum_j: Array
    solve_ii: Array
    solve_ij: Array
    solve_jj: Array
    spans_plane: Array | None

    @classmethod
    def from_sums(cls, sums: Sequence[Array], way: ArrayWay) -> WindowMoments:
        """Moments from the window sums of the mask of valid pixels, up to second order."""
        n, i, j, ii, ij, jj = sums
        # Differences of integers below 2^24: exact in float32.
        m_ii, m_ij, m_jj = n * ii - i * i, n * ij - i * j, n * jj - j * j
        # n times the sum, over all triples of valid pixels, of (twice their triangle's area)^2.
        # It is 0 exactly where all lie on one line, for then both products are one number, and
        # at least n elsewhere: a test without a tolerance and without a scale.
        determinant = m_ii * m_jj - m_ij * m_ij
        spans_plane = determinant > 0.5
        inverse = 1.0 / determinant.clip(1.0)
        return cls(
            n.clip(1.0),
            i,
            j,
            m_jj * inverse,
            -m_ij * inverse,
            m_ii * inverse,
            None if bool(spans_plane.all()) else way.float32(spans_plane),
        )

    @classmethod
    def of_full_windows(
        cls, shape: tuple[int, int], window: Window, way: ArrayWay
    ) -> WindowMoments:
        """Moments of an image (H, W) of which every pixel is valid."""
        everywhere = way.float32(np.ones(shape, np.float32))
        return cls.from_sums(way.window_sums(everywhere, _UP_TO_SECOND, window), way)

    def rows(self, part: slice) -> WindowMoments:
        """The moments of some rows of windows."""
        spans_plane = None if self.spans_plane is None else self.spans_plane[part]
        return WindowMoments(
            self.count[part],
            self.sum_i[part],
            self.sum_j[part],
            self.solve_ii[part],
            self.solve_ij[part],
            self.solve_jj[part],
            spans_plane,
        )


@dataclass(frozen=True)
class Normals:
    """A normal for each window: scale * (x, y, z) has length 1 and points away from the camera.

    Kept apart from its scale because what is needed in the end is one dot product. Where
    `spans_plane` (see `WindowMoments`) is 0 there is no normal.
    """

    x: Array
    y: Array
    z: Array
    scale: Array
    spans_plane: Array | None

    def cosine(self, direction: tuple[float, float, float]) -> Array:
        """Cosine with a unit vector; -1, i.e. 180 degrees, where there is no normal."""
        right, down, forward = direction
        cosine = (self.x * right + self.y * down + self.z * forward) * self.scale
        if self.spans_plane is not None:
            cosine = (cosine + 1.0) * self.spans_plane - 1.0
        return cosine.clip(-1.0, 1.0)

    def unit_vectors(self, way: ArrayWay) -> Array:
        """The normals as unit vectors, zero where there is none: (3, N)."""
        scale = self.scale if self.spans_plane is None else self.scale * self.spans_plane
        return way.functions.stack(
            [(axis * scale).reshape(-1) for axis in (self.x, self.y, self.z)]
        )


def fit_normals(
    sums: Sequence[Array], moments: WindowMoments, rays: PixelRays, way: ArrayWay
) -> Normals:
    """Fit a plane to the valid pixels of each window.

    Args:
        sums: window sums of 1/Z up to first order, 1/Z being zero wherever it is not valid.
        moments: those of the valid pixels.
        rays: of the windows' centres.
        way: NumPy or torch.
    """
    total, total_i, total_j = sums
    co_i = moments.count * total_i - moments.sum_i * total
    co_j = moments.count * total_j - moments.sum_j * total
    a = moments.solve_ii * co_i + moments.solve_ij * co_j
    b = moments.solve_ij * co_i + moments.solve_jj * co_j
    at_centre = (total - a * moments.sum_i - b * moments.sum_j) / moments.count

    fx, fy = rays.focal_length
    x, y = a * fx, b * fy
    z = at_centre - x * rays.u - y * rays.v
    # n.P = Z (1/Z) at the window's centre: the sign of the fit there says which side n points to.
    length = way.functions.sqrt((x * x + y * y + z * z).clip(_SMALLEST_SQUARE))
    return Normals(x, y, z, way.functions.copysign(1.0 / length, at_centre), moments.spans_plane)


def normals_by_strip(
    view: DepthView, full: WindowMoments | None, rays: PixelRays, window: Window, way: ArrayWay
) -> Iterator[Normals]:
    """Fit the normals of a depth image, some rows at a time.

    The sums are made for the whole image; the fifty or so operations of the fit then run on strips
    that stay in the processor's cache, which halves the time.

    Args:
        view: the depth image.
        full: `WindowMoments.of_full_windows` for its size and this window; None where the image
            has holes, whose moments are made here.
        rays: of all pixels at the window's stride.
        window: size and spacing of the windows.
        way: NumPy or torch.

    Yields:
        The normals of some rows of windows, from the top down.
    """
    sums = way.window_sums(view.measured_inverse_depth, _UP_TO_FIRST, window)
    mask_sums = () if full else way.window_sums(view.measured, _UP_TO_SECOND, window)
    height, width = sums[0].shape
    for start in range(0, height, step := way.strip_rows(height, width)):
        part = slice(start, min(start + step, height))
        if full:
            moments = full.rows(part)
        else:
            moments = WindowMoments.from_sums([image[part] for image in mask_sums], way)
        yield fit_normals([image[part] for image in sums], moments, rays.rows(part), way)
