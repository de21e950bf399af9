"""Surface normals from depth by least squares over square windows.

A plane n.P = 1 seen along the ray (u, v, 1) has the inverse depth 1/Z = n.(u, v, 1): inverse depth
is an affine function of the image coordinates. Gupta, Arbelaez and Malik (CVPR 2013; the code of
Gupta et al., ECCV 2014, arXiv 1407.5736) fit n to the valid pixels of a window by least squares.

Here the fit is made in pixels counted from the window's centre,

    1/Z = a i + b j + c,

which is the same plane, n = (a fx, b fy, c - a fx u - b fy v) at the centre's ray (u, v, 1), but
keeps its digits in float32. The sums over the valid pixels alone (how many, where) make
`WindowMoments`; for windows without holes they depend on nothing but the image's size.

Only the direction of n counts: a, b and c are computed times a positive number that saves the
divisions, another one for each window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fafnet_core.hha.arrays import Array, ArrayWay, Powers, Window
from fafnet_core.hha.geometry import DepthView, PixelRays

NORMAL_WINDOW = Window(radius=3)
"""The window of the angle channel."""

_UP_TO_FIRST: Powers = ((0, 0), (1, 0), (0, 1))
_UP_TO_SECOND: Powers = (*_UP_TO_FIRST, (2, 0), (1, 1), (0, 2))


@dataclass(frozen=True)
class WindowMoments:
    """What the fit needs to know of where the valid pixels of each window lie.

    Attributes:
        mean_i, mean_j: their mean offsets from the window's centre.
        solve_ii, solve_ij, solve_jj: the symmetric 2x2 matrix that takes what inverse depth and
            offset have in common, sum (i - mean_i)/Z and the same of j, to the slopes a, b.
            `solve_ij` is None where it is zero.
        level: what takes sum 1/Z to the plane's value at the mean offset; None: one.
        no_plane: 1 where the valid pixels lie on one line, else 0; None where none do so.
    """

    mean_i: Array
    mean_j: Array
    solve_ii: Array
    solve_ij: Array | None
    solve_jj: Array
    level: Array | None
    no_plane: Array | None

    @classmethod
    def from_sums(cls, sums: Sequence[Array], way: ArrayWay) -> WindowMoments:
        """Moments from the window sums of the mask of valid pixels, up to second order."""
        n, i, j, ii, ij, jj = sums
        # Differences of integers below 2^24: exact in float32.
        m_ii, m_ij, m_jj = n * ii - i * i, i * j - n * ij, n * jj - j * j
        # n times the sum, over all triples of valid pixels, of (twice their triangle's area)^2.
        # It is 0 exactly where all lie on one line, for then both products are one number, and
        # at least n elsewhere: a test without a tolerance and without a scale.
        determinant = m_ii * m_jj - m_ij * m_ij
        no_plane = determinant < 0.5
        share = 1.0 / n.clip(1.0, np.inf)
        return cls(
            i * share,
            j * share,
            m_jj,
            m_ij,
            m_ii,
            determinant * share * share,
            way.float32(no_plane) if bool(no_plane.any()) else None,
        )

    @classmethod
    def of_full_windows(
        cls, shape: tuple[int, int], window: Window, way: ArrayWay
    ) -> WindowMoments:
        """Moments of an image (H, W) of which every pixel is valid.

        Its windows are rectangles, cut at the image's border: what belongs to i depends on the
        column alone, (1, W), and what belongs to j on the row, (H, 1).
        """
        height, width = shape
        (mean_i, solve_ii), (mean_j, solve_jj) = (_ranges(n, window) for n in (width, height))
        return cls(
            way.float32(mean_i[None, :]),
            way.float32(mean_j[:, None]),
            way.float32(solve_ii[None, :]),
            None,
            way.float32(solve_jj[:, None]),
            None,
            way.float32([[1.0]]) if min(shape) == 1 else None,
        )

    def rows(self, part: slice) -> WindowMoments:
        """Those of some rows of full windows."""
        return replace(self, mean_j=self.mean_j[part], solve_jj=self.solve_jj[part])


def _ranges(
    length: int, window: Window
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and inverse variance of the offsets in windows along one side of an image."""
    centres = np.arange(0, length, window.stride)
    first = np.maximum(-window.radius, -centres)
    last = np.minimum(window.radius, length - 1 - centres)
    count = last - first + 1
    # n successive numbers have the variance (n^2 - 1) / 12.
    return (first + last) / 2, 12 / np.maximum(count * count - 1, 1)


@dataclass(frozen=True)
class Normals:
    """A normal for each window, (x, y, z) times a positive number of its own.

    Not made unit vectors because what is needed in the end is one dot product.

    Attributes:
        x, y, z: pointing away from the camera where `at_centre` is not negative, else towards it.
        at_centre: the plane's inverse depth at the window's centre, times the same number.
        no_plane: see `WindowMoments`; where it is 1 there is no normal.
    """

    x: Array
    y: Array
    z: Array
    at_centre: Array
    no_plane: Array | None

    def cosine(self, direction: tuple[float, float, float], way: ArrayWay) -> Array:
        """Cosine with a unit vector; -1, i.e. 180 degrees, where there is no normal."""
        right, down, forward = direction
        length = way.with_sign_of(self._length(way), self.at_centre)
        cosine = (self.x * right + self.y * down + self.z * forward) / length
        if self.no_plane is not None:
            cosine = cosine - 2.0 * self.no_plane
        return cosine.clip(-1.0, 1.0)

    def unit_vectors(self, way: ArrayWay) -> Array:
        """Unit vectors along the normals, either way round, zero where there is none: (3, N)."""
        scale = 1.0 / self._length(way)
        if self.no_plane is not None:
            scale = scale * (1.0 - self.no_plane)
        return way.functions.stack(
            [(axis * scale).reshape(-1) for axis in (self.x, self.y, self.z)]
        )

    def _length(self, way: ArrayWay) -> Array:
        """Lengths of (x, y, z), above 0 also where there is no normal."""
        length = way.length(self.x, self.y, self.z)
        return length if self.no_plane is None else length + self.no_plane


def fit_normals(sums: Sequence[Array], moments: WindowMoments, rays: PixelRays) -> Normals:
    """Fit a plane to the valid pixels of each window.

    Args:
        sums: window sums of 1/Z up to first order, 1/Z being zero wherever it is not valid.
        moments: those of the valid pixels.
        rays: of the windows' centres.
    """
    total, total_i, total_j = sums
    co_i = total_i - moments.mean_i * total
    co_j = total_j - moments.mean_j * total
    a, b = moments.solve_ii * co_i, moments.solve_jj * co_j
    if moments.solve_ij is not None:
        a, b = a + moments.solve_ij * co_j, b + moments.solve_ij * co_i
    at_mean = total if moments.level is None else moments.level * total
    at_centre = at_mean - a * moments.mean_i - b * moments.mean_j

    fx, fy = rays.focal_length
    x, y = a * fx, b * fy
    # n.P = Z (1/Z) at the window's centre: the sign of the fit there says which side n points to.
    return Normals(x, y, at_centre - x * rays.u - y * rays.v, at_centre, moments.no_plane)


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
    height, width = rays.shape
    step = way.strip_rows(width) or height
    for start in range(0, height, step):
        part = slice(start, start + step)
        if full:
            moments = full.rows(part)
        else:
            moments = WindowMoments.from_sums([image[part] for image in mask_sums], way)
        yield fit_normals([image[part] for image in sums], moments, rays.rows(part))
