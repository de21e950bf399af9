"""The size at which a network sees a frame, and how a frame is brought to it.

A network knows things at the size that they had in its training: seen at twice that size it labels
worse, at four times the cost. So the size travels with the checkpoint as `input_size`, and every
frame is brought to it, whatever the camera sends; labels come back at the frame's own size.

Sizes are (height, width) in pixels; as text, for people, they are WIDTHxHEIGHT.
"""

from __future__ import annotations

import math
import re
from numbers import Integral
from typing import TYPE_CHECKING, Literal, TypeAlias

from fafnet_core.camera import Size

if TYPE_CHECKING:
    from fafnet_core.models.config import FAFNetConfig

CHECKPOINT: Literal["checkpoint"] = "checkpoint"
"""In place of a size: the one that the checkpoint says."""

IMAGE = "image"
"""In a text: the image's own size."""

AnyInputSize: TypeAlias = Size | Literal["checkpoint"] | None
"""What may be asked for: a size; None, the image's own; or `CHECKPOINT`."""

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
    """Return an input size that the network takes as (height, width), or None for none.

    Args:
        config: the network's.
        input_size: the size to check.
        divisor: what the network's sides have to be divisible by (`FAFNet.input_divisor`).

    Raises:
        ValueError: not a size, or not one that the network takes.
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
