"""What may come in: each value is checked once, here, and the errors say what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fafnet_core.hha.arrays import Array

_FARTHEST_MEDIAN_M = 100.0
_WIDEST_VIEW = 20.0  # image size in focal lengths: 168 degrees


def check_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return `shape` (H, W) of an image that has pixels, as ints."""
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"shape is {tuple(shape)}; wanted (height, width), both at least 1")
    return int(shape[0]), int(shape[1])


def check_camera_matrix(camera_matrix: ArrayLike, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return the camera matrix as (3, 3) float64, or say what is wrong with it.

    Raises:
        ValueError: not 3x3, not finite, focal lengths not positive or of another image size,
            not of the form [[fx, 0, cx], [0, fy, cy], [0, 0, 1]].
    """
    matrix = np.asarray(camera_matrix, dtype=np.float64)
    if matrix.shape != (3, 3):
        raise ValueError(
            f"camera_matrix has shape {matrix.shape}; wanted (3, 3), "
            "e.g. np.reshape(camera_info.k, (3, 3))"
        )
    if not np.isfinite(matrix).all():
        raise ValueError(f"camera_matrix has entries that are not finite: {matrix.tolist()}")
    fx, fy = matrix[0, 0], matrix[1, 1]
    if fx <= 0 or fy <= 0:
        raise ValueError(
            f"camera_matrix has focal lengths fx {fx:g}, fy {fy:g}; wanted both positive "
            "(a camera that was never calibrated reports zeros: calibrate it)"
        )
    if matrix[0, 1] or matrix[1, 0] or not np.array_equal(matrix[2], (0, 0, 1)):
        raise ValueError(
            f"camera_matrix is {matrix.tolist()}; wanted [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]: "
            "divide it by its last entry, or transpose it"
        )
    height, width = shape
    if fx * _WIDEST_VIEW < width or fy * _WIDEST_VIEW < height:
        raise ValueError(
            f"camera_matrix has focal lengths fx {fx:g}, fy {fy:g} for an image of {width}x{height}"
            " pixels, a view of over 168 degrees; wanted them in pixels of this image: "
            "multiply a normalised or downscaled matrix's first two rows by the size ratio"
        )
    return matrix


def plain_depth(depth_m: ArrayLike) -> NDArray[Any]:
    """Return a depth image as a plain array; what is masked in a masked one has no depth."""
    if isinstance(depth_m, np.ma.MaskedArray):
        return np.where(depth_m.mask, 0.0, depth_m.data)
    return np.asarray(depth_m)


def check_depth(depth_m: Array, shape: tuple[int, int], *, is_float: bool) -> None:
    """Check that a depth image is (H, W) floating point of the expected shape.

    Raises:
        ValueError: not floating point, not two-dimensional, or of another shape.
    """
    if not is_float:
        raise ValueError(
            f"depth_m has dtype {depth_m.dtype}; wanted floating point metres. Integers are mostly "
            "millimetres: pass depth.astype(np.float32) * 0.001"
        )
    if tuple(depth_m.shape) != shape:
        raise ValueError(
            f"depth_m has shape {tuple(depth_m.shape)}; wanted {shape} (height, width), as the "
            "encoder was built for: build an HHAEncoder for each size, with that size's camera "
            "matrix"
        )


def check_metres(inverse_depth: Array) -> None:
    """Check on every 4th pixel in both directions that depths look like metres.

    Raises:
        ValueError: the median depth is over 100 m.
    """
    sample = inverse_depth[::4, ::4]
    valid = int((sample > 0).sum())
    if 2 * int((sample >= 1.0 / _FARTHEST_MEDIAN_M).sum()) < valid:
        median = 1.0 / float(np.median(np.asarray(sample[sample > 0].tolist())))
        raise ValueError(
            f"depth_m has a median of {median:.0f}; wanted metres, and over "
            f"{_FARTHEST_MEDIAN_M:.0f} m is no room. Millimetres: pass depth * 0.001"
        )


def check_missing(missing: Array, shape: tuple[int, int], *, is_bool: bool) -> None:
    """Check that the mask of missing raw depth is (H, W) bool.

    Raises:
        ValueError: not bool, or another shape than the depth.
    """
    if not is_bool:
        raise ValueError(
            f"missing has dtype {missing.dtype}; wanted bool, True where raw depth is absent: "
            "pass raw_depth == 0"
        )
    if tuple(missing.shape) != shape:
        raise ValueError(
            f"missing has shape {tuple(missing.shape)}; wanted that of depth_m, {shape}"
        )


def check_gravity(gravity: Any) -> NDArray[np.float64]:
    """Return the downward direction as a (3,) float64 unit vector.

    Raises:
        ValueError: not three numbers, not finite, or of length zero.
    """
    vector = np.asarray(gravity, dtype=np.float64)
    if vector.shape != (3,):
        raise ValueError(
            f"gravity has shape {vector.shape}; wanted (3,): x right, y down, z forward"
        )
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0.0:
        raise ValueError(
            f"gravity is {vector.tolist()}; wanted a downward direction of any length but zero: "
            "pass None to estimate it"
        )
    unit: NDArray[np.float64] = vector / length
    return unit
