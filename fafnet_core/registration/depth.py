"""Registering depth to colour: each depth pixel is moved to where the colour camera sees its point.

What a driver's "aligned depth" does: a point goes through the transform between the cameras, and
where several land on one pixel the nearest stays. What only one of the cameras sees is a hole.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fafnet_core.camera import Camera
from fafnet_core.registration.extrinsics import Extrinsics
from fafnet_core.registration.lens import Lens
from fafnet_core.registration.squares import Depth, NearestSquares

_OVERLAP = 1.15
"""Each square is larger by this: steps of a sensor's depth would leave cracks between them."""
_NEARER = 2.0
"""A square grows at most by this: a point that comes closer than half its depth leaves gaps."""
_FINEST = 10
"""A colour image that is more times as fine as this is refused: it would hold mere blocks."""
_AROUND = 0.5
"""Widths and heights around the colour image in which its pinhole's image may lie."""
_WIDEST_PIXEL = 3.0
"""In pinhole's pixels: what a lens presses together more than that leaves gaps."""
_STRETCH = 1.05
"""What turned cameras may add to a square's side and leave it to the overlap."""
_TYPICAL_M = 2.0
"""The distance by which the usual side of the squares is chosen: no more than a matter of speed."""
_STRIP = 16384
"""Depth pixels at a time, so that what is computed of them stays in a core's cache."""


class DepthRegistration:
    """Makes, frame by frame, the depth image that the colour camera would have.

    A depth pixel is a small square: it covers every colour pixel whose centre lies in its image,
    so a depth image that is coarser than the colour image leaves no grid of holes. Depth is not
    interpolated: on a slanted plane it is that of a point up to half a pixel away, and as squares
    overlap and the nearest stays, 0.075 depth pixels nearer on average along each axis.

    Lenses that distort are modelled with tables that are made once. A depth pixel's ray comes from
    the depth camera's lens. The squares are drawn into the image of a pinhole in the place of the
    colour camera, as far as half a width and height around its own; each pixel of the colour image
    takes what lies where its lens looks, to the nearest pixel.

    An object keeps its tables and its memory between frames: use it in one thread at a time.

    Args:
        depth_camera: of the depth images.
        camera: of the colour image.
        extrinsics: from the depth camera's optical frame to the colour camera's.
        depth_lens: of the depth camera, where its images are not rectified; None: a pinhole.
        lens: of the colour camera, likewise.
        dtype: what is computed in. float32 is quicker by a quarter and rounds a point's place by
            1e-4 pixels.

    Raises:
        ValueError: a colour image more than ten times as fine as the depth image.
    """

    def __init__(
        self,
        depth_camera: Camera,
        camera: Camera,
        extrinsics: Extrinsics,
        *,
        depth_lens: Lens | None = None,
        lens: Lens | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.made_of = (depth_camera, camera, extrinsics, depth_lens, lens)
        self.depth_shape, self.shape = depth_camera.size, camera.size
        self._look = None if lens is None else _Look(camera, lens)
        pinhole = camera if self._look is None else self._look.pinhole
        source, target = depth_camera.matrix, pinhole.matrix
        # K' R K^-1, in which the depth factors out: p' = depth * (H [u, v, 1]) + K' t.
        homography = target @ extrinsics.rotation @ np.linalg.inv(source)
        scale = max(target[0, 0] / source[0, 0], target[1, 1] / source[1, 1])
        scale *= _stretch(homography / scale, scale, self.depth_shape, pinhole.size)
        if scale > _FINEST:
            raise ValueError(
                f"the colour image is {scale:.1f} times as fine as the depth image; at most"
                f" {_FINEST} times is registered: take a larger depth image or a smaller colour"
                " image"
            )
        half = float(np.float32(_OVERLAP * scale / 2))
        self._half: float | NDArray[np.float32] = half
        """Half of a square's side in the colour image, of a point that comes no nearer."""
        self._rays = _pinhole_rays(homography, self.depth_shape).astype(dtype)
        if depth_lens is not None:
            seen = depth_lens.rays(depth_camera)
            ahead = np.dstack([seen, np.ones(self.depth_shape)])
            self._rays = np.moveaxis(ahead @ (target @ extrinsics.rotation).T, 2, 0).astype(dtype)
            self._half = half * _widths(seen, depth_camera)
            half = float(np.median(self._half))
        self._shift = (target @ extrinsics.translation).astype(np.float32).astype(dtype)
        toward = extrinsics.rotation[2, 2] + extrinsics.translation[2] / _TYPICAL_M
        usual = 0.99 * 2 * half / max(toward, 1 / _NEARER)
        largest = math.ceil(2 * _NEARER * float(np.max(self._half))) + 1
        self._squares = NearestSquares(pinhole.size, max(1, int(usual)), largest)
        self._strip_rows = max(1, _STRIP // self.depth_shape[1])
        pixels = self._strip_rows * self.depth_shape[1]
        self._memory = np.empty((6, pixels), dtype)
        self._edges = np.empty((4, pixels), np.int32)

    def __call__(self, depth_m: NDArray[np.floating[Any]]) -> Depth:
        """Return the depth image that the colour camera would have.

        Args:
            depth_m: (h, w) metres; zero, negative, NaN or infinite: none.

        Returns:
            (H, W) float32 metres along the colour camera's optical axis; 0 where there is none.

        Raises:
            ValueError: another size than `depth_shape`, or whole numbers.
        """
        _check_depth(depth_m, self.depth_shape)
        self._squares.clear()
        for first in range(0, self.depth_shape[0], self._strip_rows):
            self._draw(depth_m[first : first + self._strip_rows], first)
        image = self._squares.image()
        return image if self._look is None else self._look(image)

    def _draw(self, depth_m: NDArray[np.floating[Any]], first: int) -> None:
        """Draw the squares of the rows from `first` on."""
        last, pixels = first + len(depth_m), depth_m.size
        depth, x, y, z, half, end = self._memory[:, :pixels]
        top, below, left, right = self._edges[:, :pixels]
        # What is no depth becomes no number, or one that no image has, and is left out at the end.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            depth.reshape(depth_m.shape)[:] = depth_m
            for values, rays, shift in zip((x, y, z), self._rays, self._shift, strict=True):
                np.multiply(rays[first:last].reshape(-1), depth, out=values)
                values += shift
            near = z.astype(np.float32)
            known = depth > 0
            known &= near > 0
            np.divide(depth, z, out=half)
            np.minimum(half, _NEARER, out=half)
            if isinstance(self._half, float):
                half *= self._half
            else:
                half *= self._half[first:last].reshape(-1)
            for centre, begin_pixel, end_pixel in ((y, top, below), (x, left, right)):
                centre /= z
                np.add(centre, half, out=end)
                np.ceil(end, out=end_pixel, casting="unsafe")
                centre -= half
                np.ceil(centre, out=begin_pixel, casting="unsafe")
        self._squares.draw((top, below), (left, right), near, known)


class _Look:
    """Takes the image of a distorting lens out of a pinhole's.

    Attributes:
        pinhole: in the lens's place, of an image that holds what the lens sees.
    """

    def __init__(self, camera: Camera, lens: Lens) -> None:
        at = camera.matrix
        seen = lens.rays(camera).reshape(-1, 2) * at[[0, 1], [0, 1]] + at[:2, 2]
        sides = np.array([camera.width, camera.height])
        within = ((seen > -_AROUND * sides) & (seen < (1 + _AROUND) * sides)).all(axis=1)
        places = np.rint(seen[within]).astype(np.intp)
        first, last = places.min(axis=0, initial=0), places.max(axis=0, initial=0)
        width, height = (last - first + 1).tolist()
        self.pinhole = camera.cropped(int(first[1]), int(first[0]), (height, width))
        self._shape = camera.size
        places -= first
        self._index = np.zeros(len(seen), np.intp)
        self._index[within] = places[:, 1] * width + places[:, 0]
        self._blind = np.flatnonzero(~within)

    def __call__(self, image: Depth) -> Depth:
        taken = image.reshape(-1).take(self._index)
        taken[self._blind] = 0
        return taken.reshape(self._shape)


def _pinhole_rays(
    homography: NDArray[np.float64], depth_shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Return where each pixel's ray goes in the colour image, times its depth: (3, h, w)."""
    homography = homography.astype(np.float32).astype(np.float64)
    down, along = (np.arange(size) for size in depth_shape)
    rows = homography[:, 1:2] * down + homography[:, 2:]
    columns = homography[:, :1] * along
    return columns[:, None, :] + rows[:, :, None]


def _widths(seen: NDArray[np.float64], camera: Camera) -> NDArray[np.float32]:
    """Return how wide each pixel looks through a lens, in widths of a pinhole's pixel, (h, w).

    Args:
        seen: (h, w, 2) points x / z, y / z that the pixels see.
        camera: the pinhole.
    """
    places = seen * (camera.fx, camera.fy)
    steps = sum(np.abs(np.gradient(places, axis=axis)) for axis in (0, 1))
    widths = np.nan_to_num(np.asarray(steps).max(axis=2), nan=1.0)
    limited: NDArray[np.float32] = np.clip(widths, 0.5, _WIDEST_PIXEL).astype(np.float32)
    return limited


def register_depth(
    depth_m: NDArray[np.floating[Any]],
    depth_camera_matrix: ArrayLike,
    camera_matrix: ArrayLike,
    rotation: ArrayLike,
    translation: ArrayLike,
    shape: tuple[int, ...],
) -> Depth:
    """Return the depth image that the colour camera would have: `DepthRegistration` for one frame.

    It computes in float64: data sets that are made with it stay, bit for bit, what they were.

    Args:
        depth_m: (h, w) metres; zero, negative, NaN or infinite: none.
        depth_camera_matrix: (3, 3) of the depth camera; pixel centres at whole numbers.
        camera_matrix: (3, 3) of the colour camera.
        rotation: (3, 3), with `translation` (3,) in metres: a point p of the depth camera's frame
            is rotation @ p + translation in the colour camera's frame.
        translation: see `rotation`.
        shape: (H, W) of the colour image.

    Returns:
        (H, W) float32 metres along the colour camera's optical axis; 0 where there is none.

    Raises:
        ValueError: as `DepthRegistration`, `Extrinsics` and `Camera.from_matrix`.
    """
    extrinsics = Extrinsics(np.asarray(rotation), np.asarray(translation))
    depth_camera = Camera.from_matrix(depth_camera_matrix, depth_m.shape)
    camera = Camera.from_matrix(camera_matrix, shape)
    return DepthRegistration(depth_camera, camera, extrinsics, dtype=np.float64)(depth_m)


def _stretch(
    homography: NDArray[np.float64],
    scale: float,
    depth_shape: tuple[int, int],
    shape: tuple[int, int],
) -> float:
    """Return by how much the box about a pixel's image is wider than its focal lengths say.

    That is 1 unless the cameras are turned against each other by more than a few degrees.

    Args:
        homography: (3, 3) for rays of the depth camera, divided by `scale`.
        scale: of the focal lengths.
        depth_shape: (h, w).
        shape: (H, W).
    """
    height, width = depth_shape
    rows, columns = (np.linspace(-0.5, size - 0.5, 9) for size in (height, width))
    pixels = np.stack([*(a.ravel() for a in np.meshgrid(columns, rows)), np.ones(81)])
    x, y, z = homography @ pixels
    seen = z * scale > 1e-6
    # Derivatives of x / z and y / z, times z: the square's own size is divided by it, too.
    u, v = x[seen] / z[seen], y[seen] / z[seen]
    inside = (u > -0.5) & (u < shape[1] - 0.5) & (v > -0.5) & (v < shape[0] - 0.5)
    across, down, ahead = homography[:, :2, None]
    wide = np.abs(across - u[inside] * ahead).sum(axis=0)
    tall = np.abs(down - v[inside] * ahead).sum(axis=0)
    most = float(np.maximum(wide, tall).max(initial=1.0))
    return most if most > _STRETCH else 1.0


def _check_depth(depth_m: NDArray[Any], shape: tuple[int, int]) -> None:
    if depth_m.shape != shape:
        raise ValueError(
            f"the depth image has shape {depth_m.shape}, but its camera has {shape}"
            " (height, width): a camera matrix is that of one size of image"
        )
    if not np.issubdtype(depth_m.dtype, np.floating):
        raise ValueError(
            f"the depth image holds {depth_m.dtype}; it has to be metres in floating point:"
            " multiply the camera's counts by its depth unit, often 0.001"
        )
