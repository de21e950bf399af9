"""What may come in: each value is checked once, here, and the errors say what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fafnet_core.hha.arrays import Array

_FARTHEST_MEDIAN_M = 100.0


def plain_depth(depth_m: ArrayLike) -> NDArray[Any]:
    """Return a depth image as a plain array; what is masked in a masked one has no depth."""
    if isinstance(depth_m, np.ma.MaskedArray):
        return np.where(depth_m.mask, 0.0, depth_m.data)
    return np.asarray(depth_m)


def check_depth(depth_m: Array, shape: tuple[int, ...], *, is_float: bool) -> None:
    """Raise ValueError unless a depth image is floating point of this (H, W)."""
    if not is_float:
        raise ValueError(
            f"depth_m has dtype {depth_m.dtype}; wanted floating point metres. Integers are mostly "
            "millimetres: pass depth.astype(np.float32) * 0.001"
        )
    if tuple(depth_m.shape) != shape:
        raise ValueError(
            f"depth_m has shape {tuple(depth_m.shape)}; wanted {shape} (height, width), as the "
            "encoder's camera has: build an HHAEncoder for each camera and size"
        )


def check_metres(inverse_depth: Array) -> None:
    """Raise ValueError if the median depth is over 100 m, on every 4th pixel in both directions."""
    sample = inverse_depth[::4, ::4]
    valid = int((sample > 0).sum())
    if 2 * int((sample >= 1.0 / _FARTHEST_MEDIAN_M).sum()) < valid:
        median = 1.0 / float(np.median(np.asarray(sample[sample > 0].tolist())))
        raise ValueError(
            f"depth_m has a median of {median:.0f}; wanted metres, and over "
            f"{_FARTHEST_MEDIAN_M:.0f} m is no room. Millimetres: pass depth * 0.001"
        )


def check_missing(missing: Array, shape: tuple[int, int], *, is_bool: bool) -> None:
    """Raise ValueError unless the mask of missing raw depth is bool of depth's (H, W)."""
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
