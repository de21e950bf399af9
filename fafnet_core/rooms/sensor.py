"""The faults of real cameras; each can be changed and switched off.

The depth camera stands beside the colour camera. Its disparity is noisy, so that the noise in
metres grows with the square of the range, and quantised. It has holes at edges, on glass and at
grazing angles, and is registered to colour with a calibration that is a little off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.rooms.solids import Array
from fafnet_core.settings import FieldError, check_fields

_REFERENCE_WIDTH = 640
"""Image width to which errors in pixels refer."""

_DISPARITY_M = 43.5
"""Focal length times base of a Kinect: its disparity in pixels (640 wide) at one metre."""

_DISPARITY_STEP = 0.125
_DISPARITY_NOISE = 0.07
_GRAZING = 7.0
"""Depth lost per pixel's width from which a surface is too slanted to be seen."""

_Factor = Annotated[float, "0 <= x"]
_ErrorPx = Annotated[float, "0 <= x <= 640"]  # more than the image's width leaves no depth


@dataclass(frozen=True, kw_only=True)
class SensorConfig:
    """The faults of the two cameras; `perfect()` has none.

    Attributes:
        baseline_m: metres from the colour camera to the depth camera, which is to its right.
        calibration_error_px: least and greatest error of the registration in the middle of the
            image, in pixels of an image 640 wide; each frame has one error, in any direction.
        depth_noise: factor on a Kinect's noise.
        quantisation: factor on a Kinect's steps of disparity, 1/8 pixel.
        dropout: factor on the holes at edges, on glass, at grazing angles and in patches.
        range_m: nearest and farthest depth that is measured.
        colour_noise: factor on the noise of the colour image.
        colour_blur: deviation of its blur, in pixels.

    Raises:
        FieldError: a value is out of its range, or a pair is not in order.
    """

    baseline_m: Annotated[float, "-1 <= x <= 1"] = 0.05
    calibration_error_px: tuple[_ErrorPx, _ErrorPx] = (0.0, 0.0)
    depth_noise: _Factor = 1.0
    quantisation: _Factor = 1.0
    dropout: _Factor = 1.0
    range_m: tuple[_Factor, _Factor] = (0.4, 8.0)
    colour_noise: _Factor = 1.0
    colour_blur: _Factor = 0.4

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("calibration_error_px", "range_m"):
            least, greatest = getattr(self, name)
            if least > greatest:
                raise FieldError(
                    name, f"{name} is {least:g}, {greatest:g}; wanted the smaller number first"
                )

    @classmethod
    def perfect(cls) -> SensorConfig:
        """Return no faults, with both cameras in one place."""
        return cls(
            baseline_m=0.0,
            depth_noise=0.0,
            quantisation=0.0,
            dropout=0.0,
            range_m=(0.0, 1000.0),
            colour_noise=0.0,
            colour_blur=0.0,
        )


def calibration_error(
    config: SensorConfig, camera: Camera, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw the error of a frame's registration.

    Returns:
        The rotation (3, 3) by which the calibration is off, and the displacement (2,) that it
        causes in the middle of the image, in pixels of this camera: registered depth lies at
        x + dx, y + dy instead of x, y. Along an axis the displacement grows by 1 + tan^2 of the
        angle from the optical axis.
    """
    amount, direction = rng.uniform(*config.calibration_error_px), rng.uniform(0, 2 * math.pi)
    amount *= camera.width / _REFERENCE_WIDTH
    shift = amount * np.array([math.cos(direction), math.sin(direction)])
    about_y, about_x = math.atan2(shift[0], camera.fx), -math.atan2(shift[1], camera.fx)
    rotation, _ = cv2.Rodrigues(np.array([about_x, about_y, 0.0]))
    return np.asarray(rotation, np.float64), shift


def measure_depth(
    depth_m: Array, glass: Array, config: SensorConfig, focal: float, rng: np.random.Generator
) -> Array:
    """Return the depth (H, W) that a depth camera measures; 0: none.

    Args:
        depth_m: (H, W) float32 metres, the true depth; 0: nothing there.
        glass: (H, W) float32, the share that is not seen.
        config: the faults.
        focal: focal length in pixels of this image.
        rng: decides the noise; the draws do not depend on the configuration.
    """
    shape = depth_m.shape
    patches, fine = _field(rng, shape, 24), rng.random(shape, np.float32)
    noise = cv2.blur(rng.standard_normal(shape, np.float32), (3, 3)) * np.float32(3)
    there = depth_m > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        disparity = np.where(there, _DISPARITY_M / depth_m, 0).astype(np.float32)
        slant = _slant(depth_m, focal)
        disparity += np.float32(_DISPARITY_NOISE * config.depth_noise) * noise
        if config.quantisation:
            step = np.float32(_DISPARITY_STEP * config.quantisation)
            disparity = np.rint(disparity / step) * step
        measured = np.where(disparity > 0, _DISPARITY_M / disparity, 0).astype(np.float32)
    if not config.depth_noise and not config.quantisation:
        measured = depth_m.copy()
    lost = (slant > _GRAZING) & (fine < 0.7 * config.dropout)
    lost |= patches < glass * config.dropout
    lost |= patches < 0.02 * config.dropout
    lost |= fine < 0.003 * config.dropout
    low, high = config.range_m
    measured[lost | ~there | (measured < low) | (measured > high)] = 0
    return measured


def expose(
    rgb: NDArray[np.uint8], config: SensorConfig, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return the colour image (H, W, 3) that a colour camera makes of `rgb`: blur and noise."""
    noise = rng.standard_normal(rgb.shape, np.float32)
    if config.colour_blur:
        rgb = cv2.GaussianBlur(rgb, (0, 0), config.colour_blur)  # type: ignore[assignment]
    if not config.colour_noise:
        return rgb
    values = rgb.astype(np.float32)
    deviation = np.float32(config.colour_noise) * (2 + 0.25 * np.sqrt(values))
    return np.clip(values + deviation * noise, 0, 255).astype(np.uint8)


def _slant(depth_m: Array, focal: float) -> Array:
    """Return how much deeper the next pixel is, in pixel widths at that depth."""
    across = np.abs(cv2.Sobel(depth_m, cv2.CV_32F, 1, 0, ksize=3)) / 8
    down = np.abs(cv2.Sobel(depth_m, cv2.CV_32F, 0, 1, ksize=3)) / 8
    slant: Array = np.maximum(across, down) * np.float32(focal) / depth_m
    return slant


def _field(rng: np.random.Generator, shape: tuple[int, ...], cell: int) -> Array:
    """Return smooth patches (H, W) whose values are about uniform between 0 and 1."""
    height, width = shape[0] // cell + 3, shape[1] // cell + 3
    coarse = rng.standard_normal((height, width), np.float32)
    smooth = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    # A logistic curve is near enough to the normal distribution function.
    field: Array = 1 / (1 + np.exp(np.float32(-2.1) * smooth.astype(np.float32)))
    return field
