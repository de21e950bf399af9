"""What one frame says for itself: uncertainty, blur, depth, and a descriptor of its picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.frame import RgbdFrame, Segmentation, depth_share
from fafnet_core.resampling import resized_image

_GRID = (2, 3)
"""Rows and columns of the descriptor's cells: where a class is counts a little."""

_THUMBNAIL = (6, 8)
_SHARPNESS_WIDTH = 320
_BLUR_WINDOW = 9


@dataclass(frozen=True, eq=False)
class FrameScore:
    """What is kept of a frame once the network has seen it.

    Attributes:
        name: of the frame.
        uncertainty: one minus the softmax probability of the labels, the mean over the pixels,
            0..1 ("least confidence"; Settles, Active Learning Literature Survey, 2009).
        blur: 0 (sharp) to 1, as `blur_of`.
        depth_share: of the pixels that have depth, 0..1.
        descriptor: (D,) float32; see `describe_frame`.
    """

    name: str
    uncertainty: float
    blur: float
    depth_share: float
    descriptor: NDArray[np.float32]


def score_frame(name: str, frame: RgbdFrame, found: Segmentation) -> FrameScore:
    """Return what is kept of a frame and of what the network found in it."""
    return FrameScore(
        name=name,
        uncertainty=1 - float(found.confidence.mean(dtype=np.float64)),
        blur=blur_of(frame.rgb),
        depth_share=depth_share(frame.depth_m),
        descriptor=describe_frame(frame, found),
    )


def blur_of(rgb: NDArray[np.uint8]) -> float:
    """Return how blurred an image is, 0 (sharp) to 1, whatever it shows.

    What a second blur takes of the differences between neighbours: little, of an image that is
    blurred already. The worse of both directions, as motion blurs one (Crete et al., "The Blur
    Effect", SPIE 2007). An image of one colour has no differences: 1.

    Args:
        rgb: (H, W, 3) uint8.
    """
    height = max(round(rgb.shape[0] * _SHARPNESS_WIDTH / rgb.shape[1]), _BLUR_WINDOW)
    small = rgb
    if rgb.shape[1] > _SHARPNESS_WIDTH:
        small = resized_image(rgb, (height, _SHARPNESS_WIDTH))
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    worst = 0.0
    for axis in (0, 1):
        window = (1, _BLUR_WINDOW) if axis == 0 else (_BLUR_WINDOW, 1)
        before = np.abs(np.diff(grey, axis=axis))
        after = np.abs(np.diff(cv2.blur(grey, window), axis=axis))
        total = float(before.sum())
        lost = float(np.maximum(before - after, 0).sum())
        worst = max(worst, 1 - lost / total if total else 1.0)
    return worst


def describe_frame(frame: RgbdFrame, found: Segmentation) -> NDArray[np.float32]:
    """Return a descriptor whose distances say how different two frames are.

    Two parts of length 1: the square roots of the shares of each class in cells of the image
    (their distance is Hellinger's), and the colours of a thumbnail without their mean.
    """
    classes = len(found.label_set)
    rows, columns = (
        np.minimum(np.arange(size) * cells // size, cells - 1)
        for size, cells in zip(found.labels.shape, _GRID, strict=True)
    )
    cell = rows[:, None] * _GRID[1] + columns
    known = found.labels < classes
    place = cell[known] * classes + found.labels[known]
    counts = np.bincount(place, minlength=_GRID[0] * _GRID[1] * classes)
    colours = cv2.cvtColor(resized_image(frame.rgb, _THUMBNAIL), cv2.COLOR_RGB2LAB)
    colours = colours.astype(np.float32).reshape(-1, 3)
    return np.concatenate([_unit(np.sqrt(counts)), _unit(colours - colours.mean(axis=0))])


def _unit(values: NDArray[np.floating]) -> NDArray[np.float32]:
    flat = values.ravel().astype(np.float32)
    length = float(np.linalg.norm(flat))
    return flat / length if length else flat
