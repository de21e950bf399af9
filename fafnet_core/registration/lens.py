"""Lens distortion: where a lens that is no pinhole puts a point, and what a pixel of it sees.

The models of `sensor_msgs/distortion_models.hpp`, which are OpenCV's: `plumb_bob` (k1, k2, p1, p2,
k3), `rational_polynomial` (and k4, k5, k6) and `equidistant` (k1 to k4, fish-eyes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from fafnet_core.camera import Camera

_POLYNOMIALS = ("plumb_bob", "rational_polynomial")
_FISHEYE = "equidistant"
MODELS = (*_POLYNOMIALS, _FISHEYE)

_LENGTHS = {"plumb_bob": (4, 5, 8), "rational_polynomial": (5, 8, 12, 14), _FISHEYE: (4,)}
# OpenCV 5 has the criteria in `undistortPoints` itself.
_undistort: Callable[..., Any] = getattr(cv2, "undistortPointsIter", cv2.undistortPoints)
_SOLVED = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-4)
_AGREE = 0.1
"""Pixels: a ray has to come back to its own pixel as nearly, or the model ends before it."""
_WIDEST = 20.0
"""Tangent of the half angle, 87 degrees: a pinhole image has no place for what lies further out."""


class UnknownLensError(ValueError):
    """A distortion model that is not modelled here, or coefficients that it does not have.

    Attributes:
        model: its name.
        count: how many coefficients came.
    """

    def __init__(self, model: str, count: int) -> None:
        super().__init__(
            f"distortion model '{model}' with {count} coefficients came; wanted"
            f" {', '.join(MODELS)} (4 or 5, 8, 4 coefficients)"
        )
        self.model = model
        self.count = count


@dataclass(frozen=True)
class Lens:
    """The distortion of a camera; equal and hashable by value.

    Attributes:
        model: of `MODELS`.
        coefficients: as ROS and OpenCV order them.
    """

    model: str
    coefficients: tuple[float, ...]

    @classmethod
    def of(cls, model: str, coefficients: ArrayLike) -> Lens | None:
        """Return a lens; None where it does not distort: all coefficients are zero, or none came.

        Raises:
            UnknownLensError: another model, another number of coefficients, or one not finite.
        """
        values = tuple(np.asarray(coefficients, np.float64).ravel().tolist())
        if not any(values):
            # The equidistant model distorts with zeros too: it is not the pinhole's.
            if model != _FISHEYE or len(values) not in _LENGTHS[_FISHEYE]:
                return None
        elif len(values) not in _LENGTHS.get(model, ()) or not np.isfinite(values).all():
            raise UnknownLensError(model, len(values))
        return cls(model, values)

    def undistorted(self, pixels: ArrayLike, camera: Camera) -> NDArray[np.float64]:
        """Return what pixels of the image see, as (n, 2) points x / z, y / z.

        NaN where the model gives none: beyond the place where its polynomial turns back, or 87
        degrees and more aside.

        Args:
            pixels: (n, 2) column and row.
            camera: its matrix.
        """
        points = np.array(pixels, np.float64).reshape(-1, 1, 2)
        coefficients = np.array(self.coefficients)
        if self.model == _FISHEYE:
            rays = cv2.fisheye.undistortPoints(points, camera.matrix, coefficients)
        else:
            rays = _undistort(
                points, camera.matrix, coefficients, R=np.eye(3), P=np.eye(3), criteria=_SOLVED
            )
        found: NDArray[np.float64] = np.array(rays, np.float64).reshape(-1, 2)
        with np.errstate(invalid="ignore"):
            found[~(np.abs(found) < _WIDEST).all(axis=1)] = np.nan
            apart = np.abs(self.distorted(found, camera) - points[:, 0]).max(axis=1)
            found[~(apart < _AGREE)] = np.nan
        return found

    def distorted(self, rays: ArrayLike, camera: Camera) -> NDArray[np.float64]:
        """Return the pixels (n, 2) where points (n, 2) of x / z, y / z are seen.

        Args:
            rays: (n, 2).
            camera: its matrix.
        """
        points = np.array(rays, np.float64).reshape(-1, 1, 2)
        coefficients = np.array(self.coefficients)
        if self.model == _FISHEYE:
            pixels = cv2.fisheye.distortPoints(points, camera.matrix, coefficients)
        else:
            ahead = np.concatenate([points, np.ones((len(points), 1, 1))], axis=2)
            pixels, _ = cv2.projectPoints(
                ahead, np.zeros(3), np.zeros(3), camera.matrix, coefficients
            )
        return np.array(pixels, np.float64).reshape(-1, 2)

    def rays(self, camera: Camera) -> NDArray[np.float64]:
        """Return what every pixel of an image sees, (H, W, 2), as `undistorted` has it.

        Solved for every fourth row and column; between them it is straight, to a hundredth of a
        pixel for lenses that move pixels by a fifth of the image.
        """
        rows, columns = (np.linspace(0, size - 1, (size + 2) // 4 + 1) for size in camera.size)
        pixels = np.stack(np.meshgrid(columns, rows), axis=2)
        solved = self.undistorted(pixels, camera).reshape(pixels.shape)
        return _between(_between(solved, camera.height, 0), camera.width, 1)


def _between(values: NDArray[np.float64], size: int, axis: int) -> NDArray[np.float64]:
    """Return `size` values along an axis, straight between those that are given."""
    count = values.shape[axis]
    places = np.linspace(0, count - 1, size)
    below = places.astype(np.intp)
    part = np.expand_dims(places - below, tuple(i for i in range(values.ndim) if i != axis))
    above = np.minimum(below + 1, count - 1)
    between: NDArray[np.float64] = values.take(below, axis) * (1 - part)
    between += values.take(above, axis) * part
    return between
