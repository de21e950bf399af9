"""The three channels of HHA: disparity, height and angle, each (H, W) uint8.

Gupta, Girshick, Arbelaez and Malik (ECCV 2014, arXiv 1407.5736), section 2; scales, offsets and
rounding are those of their code.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fafnet_core.hha.arrays import Array, ArrayWay
from fafnet_core.hha.geometry import PixelRays
from fafnet_core.hha.gravity import CAMERA_DOWN
from fafnet_core.hha.normals import Normals

DISPARITY_LEVEL_M = 310.0
"""Level of the disparity channel times metres."""

HEIGHT_LEVELS_PER_M = 100.0
"""Levels of the height channel to a metre: one a centimetre."""

ANGLE_ZERO_LEVEL = 38.0
"""Level of an angle of 0 degrees, a floor; each degree is a level more."""

LOWEST_GROUND_M = -0.90
"""If the lowest point is above this height over the camera, it is not the ground ..."""

ASSUMED_GROUND_M = -1.30
"""... and the ground is assumed to be here."""

_SMALLEST_TILT = math.cos(math.radians(0.1))


def disparity_channel(inverse_depth: Array, way: ArrayWay) -> Array:
    """310 / Z for Z in metres.

    The source keeps Z from going under 1 m first; clipping at 255 has done that already.
    """
    return way.levels(inverse_depth, DISPARITY_LEVEL_M)


def heights(depth_m: Array, rays: PixelRays, down: NDArray[np.float64]) -> Array:
    """Metres above the camera's centre, that is, mostly below zero.

    A camera tilted by at most 0.1 degree counts as upright. Pixels without depth, 0, lie in the
    camera's centre here, at height 0: too high to ever be the ground, so they need no mask.
    """
    right, below, ahead = CAMERA_DOWN if down[1] >= _SMALLEST_TILT else down.tolist()
    return depth_m * (rays.u * -right + (rays.v * -below - ahead))


def ground_under(lowest_m: float) -> float:
    """Height of the ground where `lowest_m` is that of the lowest point, over the camera."""
    return ASSUMED_GROUND_M if lowest_m > LOWEST_GROUND_M else lowest_m


def height_channel(
    depth_m: Array,
    rays: PixelRays,
    down: NDArray[np.float64],
    way: ArrayWay,
    ground_m: float | None = None,
) -> tuple[Array, float]:
    """Centimetres above the ground, and the ground's height over the camera in metres.

    Args:
        depth_m: (H, W) float32, 0 where there is none.
        rays: of its pixels.
        down: (3,) unit vector of gravity.
        way: NumPy or torch.
        ground_m: the ground's height over the camera; None: that under the lowest point.
    """
    height = heights(depth_m, rays, down)
    if ground_m is None:
        ground_m = ground_under(float(height.min()))
    else:
        height = height.clip(ground_m)  # there may be points below a given ground
    return way.levels(height, HEIGHT_LEVELS_PER_M, -HEIGHT_LEVELS_PER_M * ground_m), ground_m


def angle_channel(normals: Normals, down: NDArray[np.float64], way: ArrayWay) -> Array:
    """Degrees between normal and gravity, plus 38; no normal counts as 180 degrees."""
    angle = way.functions.arccos(normals.cosine(tuple(down.tolist()), way))
    return way.levels(angle, math.degrees(1.0), ANGLE_ZERO_LEVEL)
