"""The size at which a network sees a frame, and how a frame is brought to it.

A network knows things at the size that they had in its training: seen at twice that size it labels
worse, at four times the cost. So the size travels with the checkpoint as `input_size`, and every
frame is brought to it, whatever the camera sends; labels come back at the frame's own size.

Sizes are (height, width) in pixels; as text, for people, they are WIDTHxHEIGHT. Pixel centres are
at whole numbers, so scaling by s takes u to (u + 0.5) s - 0.5.
"""

from __future__ import annotations

import math
import re
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.datasets.samples import RgbdSample
from fafnet_core.hha import encode_hha
from fafnet_core.hha.checks import check_camera_matrix

if TYPE_CHECKING:
    from fafnet_core.models.config import FAFNetConfig

Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels."""

CHECKPOINT: Literal["checkpoint"] = "checkpoint"
"""In place of a size: the one that the checkpoint says."""

IMAGE = "image"
"""In a text: the image's own size."""

AnyInputSize: TypeAlias = Size | Literal["checkpoint"] | None
"""What may be asked for: a size; None, the image's own; or `CHECKPOINT`."""

A = TypeVar("A", bound=np.generic)
D = TypeVar("D", bound=np.floating[Any])

_EVEN = 32  # the coarsest stride: a size that it divides has maps without remainder
_LARGEST = 16384  # a checkpoint may come from a stranger: what no machine could run is refused
_TEXT = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")


# What may be asked for


def check_size(input_size: object) -> Size | None:
    """Return an input size as (height, width), or None for none.

    Raises:
        ValueError: not two whole numbers above 0; the message begins with "input_size".
    """
    if input_size is None:
        return None
    sides = tuple(input_size) if isinstance(input_size, (tuple, list)) else ()
    whole = all(isinstance(side, Integral) and not isinstance(side, bool) for side in sides)
    if len(sides) != 2 or not whole or not all(1 <= side <= _LARGEST for side in sides):
        raise ValueError(
            f"input_size is {input_size!r:.100}; wanted a height and a width, whole numbers of"
            f" pixels from 1 to {_LARGEST}, such as (240, 320), or none for the image's own size"
        )
    return int(sides[0]), int(sides[1])


def check_input_size(config: FAFNetConfig, input_size: object, *, divisor: int = 1) -> Size | None:
    """Return an input size as (height, width), or None for none, once it suits the network.

    Args:
        config: the network's.
        input_size: what was asked for.
        divisor: what the network's sides have to be divisible by (`FAFNet.input_divisor`).

    Raises:
        ValueError: no size, one too small for the network, or one that it does not take.
    """
    size = check_size(input_size)
    if size is None:
        return None
    least = config.smallest_input
    if min(size) < least:
        raise ValueError(
            f"input_size is {size_text(size)} (width x height), too small for this network: wanted"
            f" at least {least} pixels a side; give the size that it was trained at"
        )
    if any(side % divisor for side in size):
        near = tuple(max(round(side / divisor), 1) * divisor for side in size)
        raise ValueError(
            f"input_size is {size_text(size)} (width x height), and the backbone"
            f" {config.backbone} takes sides divisible by {divisor} only: take"
            f" {size_text((near[0], near[1]))}"
        )
    return size


def parse_input_size(text: str) -> AnyInputSize:
    """Read an input size as people write it.

    Args:
        text: "320x240", width first; "image", the image's own size; "checkpoint" or nothing, what
            the checkpoint says.

    Raises:
        ValueError: anything else.
    """
    said = text.strip().lower()
    if said in ("", CHECKPOINT):
        return CHECKPOINT
    if said == IMAGE:
        return None
    found = _TEXT.fullmatch(said)
    if found is None:
        raise ValueError(
            f"'{text}' is no input size; wanted WIDTHxHEIGHT in pixels, as 320x240, or '{IMAGE}'"
            f" (the image's own), or '{CHECKPOINT}' (what the checkpoint says)"
        )
    return check_size((int(found[2]), int(found[1])))


def size_text(size: Size | None) -> str:
    """Return a size as `parse_input_size` reads it."""
    return IMAGE if size is None else f"{size[1]}x{size[0]}"


# How a frame is brought to it


def fitted_size(size: tuple[int, ...], input_size: Size | None) -> Size:
    """Return the size that a frame is brought to: its own aspect ratio, and as many pixels.

    Both sides are multiples of the greatest divisor that those of `input_size` share with 32, so
    that the maps of the network come out as evenly as in training; the aspect ratio gives way by
    half a multiple at most. A frame of the same aspect ratio gets `input_size` itself. Smaller
    frames are enlarged.

    Args:
        size: (height, width) of the frame.
        input_size: None: the frame stays as it is.
    """
    height, width = size
    if input_size is None:
        return height, width
    rows, columns = input_size
    if rows * width == columns * height:
        return input_size
    scale = math.sqrt(rows * columns / (height * width))
    step = math.gcd(rows, columns, _EVEN)
    return _multiple(height * scale, step), _multiple(width * scale, step)


def _multiple(side: float, step: int) -> int:
    return max(round(side / step), 1) * step


def resized(
    rgb: NDArray[np.uint8],
    depth_m: NDArray[D],
    camera_matrix: NDArray[np.float64],
    size: Size,
) -> tuple[NDArray[np.uint8], NDArray[D], NDArray[np.float64]]:
    """Return a frame at another size, with the camera matrix of that size.

    Depth takes the pixel under each centre: a mean over an edge would be a surface that is not
    there.

    Args:
        rgb: (H, W, 3) uint8.
        depth_m: (H, W) floating point metres.
        camera_matrix: (3, 3), pixel centres at whole numbers.
        size: (height, width); their own returns everything as it is.

    Raises:
        ValueError: not the matrix of a camera.
    """
    height, width = depth_m.shape
    if size == (height, width):
        return rgb, depth_m, camera_matrix
    matrix = check_camera_matrix(camera_matrix, (height, width))
    matrix = scaled_camera(matrix, (height, width), size)
    return resized_image(rgb, size), sampled(depth_m, size), matrix


def resized_image(image: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Return colour or HHA (H, W, 3) at another size: means of areas, bilinear where it grows."""
    if size == image.shape[:2]:
        return image
    shrinks = size[0] <= image.shape[0] and size[1] <= image.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    scaled: NDArray[np.uint8] = cv2.resize(  # type: ignore[assignment]
        np.ascontiguousarray(image), size[::-1], interpolation=how
    )
    return scaled


def sampled(image: NDArray[A], size: Size) -> NDArray[A]:
    """Return an image at another size, in which each pixel is what lies under its centre.

    For what has nothing between two values: classes, depth, HHA that is shown. OpenCV's
    INTER_NEAREST takes what lies under the corner, half a pixel aside.

    Args:
        image: (H, W) or (H, W, C).
        size: (height, width); its own returns the image itself.
    """
    if size == image.shape[:2]:
        return image
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for new, old in zip(size, image.shape[:2], strict=True)
    )
    return image.take(rows, axis=0).take(columns, axis=1)


def scaled_camera(
    camera_matrix: NDArray[np.float64], size: tuple[int, ...], new_size: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return the camera matrix (3, 3) of an image that is brought from one size to another."""
    matrix = np.array(camera_matrix, np.float64)
    for axis, ratio in enumerate((new_size[1] / size[1], new_size[0] / size[0])):
        matrix[axis, :2] *= ratio
        matrix[axis, 2] = (matrix[axis, 2] + 0.5) * ratio - 0.5
    return matrix


def input_of(
    sample: RgbdSample, input_size: Size | None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return colour and HHA of a sample as the network sees them, (h, w, 3) uint8 each.

    As of a camera's frame: HHA is made of the depth at the size of the input. Where the sample has
    ready HHA and no metric depth, that is resized as colour is.

    Args:
        sample: any sample.
        input_size: None: the sample's own size.

    Raises:
        ValueError: neither HHA nor metric depth with a camera matrix.
    """
    size = fitted_size(sample.size, input_size)
    depth_m, matrix, missing = sample.depth_m, sample.camera_matrix, sample.missing
    if size == sample.size or depth_m is None or matrix is None:
        hha = sample.with_hha().hha
        assert hha is not None
        return resized_image(sample.rgb, size), resized_image(hha, size)
    rgb, smaller, scaled = resized(sample.rgb, depth_m, matrix, size)
    mask = None if missing is None else sampled(missing, size)
    return rgb, encode_hha(smaller, scaled, missing=mask, gravity=sample.gravity)
