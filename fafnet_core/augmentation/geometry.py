"""Scaling, cropping and mirroring a sample, all of its images and its camera together.

Pixel centres are at whole numbers counted from 0, so the centre of a corner pixel is half a pixel
from the image's edge: scaling by s takes u to (u + 0.5) s - 0.5.

Colour and HHA are interpolated (bilinear when they grow, the mean of the area when they shrink).
Labels and depth are not, as there is nothing between two classes, nor, at an edge, between two
surfaces: each pixel takes what lies under its centre.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.samples import RgbdSample

Image = NDArray[Any]

SCALE_STEPS = 32
"""Factors that are whole multiples of 1 / SCALE_STEPS are cut before they are scaled."""


@dataclass(frozen=True)
class CropWindow:
    """A rectangle of whole pixels."""

    top: int
    left: int
    height: int
    width: int


def scaled_size(size: tuple[int, int], factor: float) -> tuple[int, int]:
    """(height, width) after scaling, whole pixels only.

    Raises:
        ValueError: the factor is not above 0, or so small that nothing is left.
    """
    if not 0 < factor < math.inf:
        raise ValueError(f"the scale factor is {factor}; it has to be above 0")
    # 0.29 * 100 is 28.999999999999996.
    height, width = (int(side * factor + 1e-6) for side in size)
    if min(height, width) < 1:
        raise ValueError(f"nothing is left of {size[1]}x{size[0]} pixels scaled by {factor}")
    return height, width


def scale_sample(sample: RgbdSample, factor: float) -> RgbdSample:
    """Scale by exactly this factor in both directions; part of a pixel at the end is left out."""
    return scale_and_crop(sample, factor, CropWindow(0, 0, *scaled_size(sample.size, factor)))


def crop_sample(sample: RgbdSample, window: CropWindow) -> RgbdSample:
    """Cut a window out of the sample.

    Raises:
        ValueError: the window is not wholly in the image.
    """
    return scale_and_crop(sample, 1.0, window)


def scale_and_crop(sample: RgbdSample, factor: float, window: CropWindow) -> RgbdSample:
    """The same as `crop_sample(scale_sample(sample, factor), window)`, without making the rest.

    Args:
        sample: any sample.
        factor: of both sides.
        window: in pixels of the scaled sample.

    Raises:
        ValueError: the window is not wholly in the scaled image.
    """
    height, width = scaled_size(sample.size, factor)
    inside = (
        0 <= window.top <= window.top + window.height <= height
        and 0 <= window.left <= window.left + window.width <= width
        and min(window.height, window.width) > 0
    )
    if not inside:
        raise ValueError(f"{window} is not wholly in an image of {width}x{height}")
    if factor == 1.0:
        rows = slice(window.top, window.top + window.height)
        columns = slice(window.left, window.left + window.width)
        cut: Callable[[Image], Image] = lambda image: image[rows, columns]  # noqa: E731
        return _with_images(sample, cut, cut, _seen(sample.camera, None, window))
    return _with_images(
        sample,
        lambda image: _interpolated(image, factor, window),
        lambda image: _nearest(image, factor, window),
        _seen(sample.camera, factor, window),
    )


def flip_sample(sample: RgbdSample) -> RgbdSample:
    """Mirror the sample left to right. HHA is mirrored as it is: it measures nothing sideways."""
    camera, gravity = sample.camera, sample.gravity
    if camera is not None:
        camera = camera.flipped()
    if gravity is not None:
        gravity = gravity * (-1.0, 1.0, 1.0)
    flipped = _with_images(sample, mirrored, mirrored, camera)
    return replace(flipped, gravity=gravity)


def mirrored(image: Image) -> Image:
    """The image (H, W) or (H, W, C) left to right, contiguous."""
    # OpenCV has no booleans, and is many times faster than a copy of a view with steps of -1.
    plain = image.view(np.uint8) if image.dtype == np.bool_ else image
    return cv2.flip(plain, 1).view(image.dtype)


def _with_images(
    sample: RgbdSample,
    interpolated: Callable[[Image], Image],
    nearest: Callable[[Image], Image],
    camera: Camera | None,
) -> RgbdSample:
    def each(image: Image | None, change: Callable[[Image], Image]) -> Any:
        return None if image is None else change(image)

    return replace(
        sample,
        rgb=interpolated(sample.rgb),
        hha=each(sample.hha, interpolated),
        label=nearest(sample.label),
        depth_m=each(sample.depth_m, nearest),
        missing=each(sample.missing, nearest),
        camera=camera,
    )


def _seen(camera: Camera | None, factor: float | None, window: CropWindow) -> Camera | None:
    """Return the camera of a window of the image scaled by a factor; None: not scaled."""
    if camera is None:
        return None
    if factor is not None:
        camera = camera.scaled(scaled_size(camera.size, factor), factor)
    return camera.cropped(window.top, window.left, (window.height, window.width))


def _nearest(image: Image, factor: float, window: CropWindow) -> Image:
    """What lies under the centre of each pixel; cv2.INTER_NEAREST looks half a pixel beside it."""
    rows = _under_centres(window.top, window.height, factor, image.shape[0])
    columns = _under_centres(window.left, window.width, factor, image.shape[1])
    return image.take(rows, axis=0).take(columns, axis=1)


def _under_centres(start: int, count: int, factor: float, length: int) -> NDArray[np.intp]:
    centres = (np.arange(start, start + count) + 0.5) / factor
    return np.minimum(centres.astype(np.intp), length - 1)


def _interpolated(image: Image, factor: float, window: CropWindow) -> Image:
    """A window of the scaled image; only what it needs is scaled, where that changes nothing."""
    top, bottom = _needed(window.top, window.height, factor, image.shape[0])
    left, right = _needed(window.left, window.width, factor, image.shape[1])
    # Scaled by exactly `factor`: given a size instead, OpenCV would divide sizes.
    scaled = cv2.resize(
        image[top:bottom, left:right],
        None,
        fx=factor,
        fy=factor,
        interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR,
    )
    row, column = window.top - round(top * factor), window.left - round(left * factor)
    return scaled[row : row + window.height, column : column + window.width]


def _needed(start: int, count: int, factor: float, length: int) -> tuple[int, int]:
    """First pixel and end of what a window of the scaled image is made from.

    The first one has to land on a whole pixel, or the window would be interpolated at other
    places than the whole image is.
    """
    if not (factor * SCALE_STEPS).is_integer():
        return 0, length
    if factor < 1:  # the areas
        first, end = math.floor(start / factor), math.ceil((start + count) / factor)
    else:  # the two pixels on either side of each centre
        first = math.floor((start + 0.5) / factor - 0.5)
        end = math.floor((start + count - 0.5) / factor - 0.5) + 2
    first = max(first, 0) // SCALE_STEPS
    end = min(-(-end // SCALE_STEPS) * SCALE_STEPS, length)
    # OpenCV only copies where the size rounds to what it was: fewer pixels than SCALE_STEPS may.
    if end - first * SCALE_STEPS < SCALE_STEPS:
        first = max(first - 1, 0)
    return first * SCALE_STEPS, end
