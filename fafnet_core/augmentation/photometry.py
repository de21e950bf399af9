"""Changes of the colour image alone.

Brightness, contrast, saturation and hue are each an affine map of (red, green, blue); one after
the other they still are one, which takes a single pass over the image and rounds once.
"""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.augmentation.config import ColourJitter
from fafnet_core.samples import RgbdSample

_LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in grey (ITU-R BT.601)."""

# Grey and two axes of colour (BT.601's Y, B - Y, R - Y, scaled as NTSC's U and V): a hue turns.
_TO_YUV = np.array([_LUMA, 0.492 * (np.eye(3)[2] - _LUMA), 0.877 * (np.eye(3)[0] - _LUMA)])
_FROM_YUV = np.linalg.inv(_TO_YUV)


def jitter_colour(
    sample: RgbdSample, strengths: ColourJitter, rng: np.random.Generator
) -> RgbdSample:
    """Change brightness, contrast, saturation and hue by amounts that are drawn.

    Values stay within 0..255. Strengths of 0 change nothing.
    """

    def factor(strength: float) -> float:
        return float(rng.uniform(1 - strength, 1 + strength)) if strength else 1.0

    brightness, contrast = factor(strengths.brightness), factor(strengths.contrast)
    saturation = factor(strengths.saturation)
    turn = float(rng.uniform(-strengths.hue, strengths.hue)) if strengths.hue else 0.0
    if (brightness, contrast, saturation, turn) == (1.0, 1.0, 1.0, 0.0):
        return sample
    rgb = change_colour(
        sample.rgb, brightness=brightness, contrast=contrast, saturation=saturation, turn=turn
    )
    return replace(sample, rgb=rgb)


def change_colour(
    rgb: NDArray[np.uint8],
    *,
    brightness: float = 1.0,
    contrast: float = 1.0,
    saturation: float = 1.0,
    turn: float = 0.0,
) -> NDArray[np.uint8]:
    """Return the colour image (H, W, 3) uint8 changed by exactly these amounts.

    Args:
        rgb: (H, W, 3) uint8.
        brightness: factor of everything.
        contrast: factor of the distance to the image's mean grey (after brightness).
        saturation: factor of the distance to each pixel's own grey.
        turn: of the hue about the axis of greys, in whole turns. Grey itself stays.
    """
    angle = 2 * math.pi * turn
    turned = np.array(
        [
            [1, 0, 0],
            [0, math.cos(angle), -math.sin(angle)],
            [0, math.sin(angle), math.cos(angle)],
        ]
    )
    greys = np.tile(_LUMA, (3, 1))
    colours = saturation * np.eye(3) + (1 - saturation) * greys
    matrix = contrast * brightness * (_FROM_YUV @ turned @ _TO_YUV @ colours)
    mean_grey = brightness * float(_LUMA @ cv2.mean(rgb)[:3])
    offset = np.full((3, 1), (1 - contrast) * mean_grey)
    # The result is of the image's own type, rounded and kept within it.
    changed: NDArray[np.uint8] = cv2.transform(rgb, np.hstack([matrix, offset]))  # type: ignore[assignment]
    return changed
