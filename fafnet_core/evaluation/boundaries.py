"""Which pixels are near a boundary between two classes: where alignment has to show.

Kohli et al., "Robust Higher Order Potentials for Enforcing Label Consistency" (IJCV 2009), score
such a band; theirs, a trimap, is hand-labelled.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.labels import UNLABELLED

REFERENCE_WIDTH = 640
"""Image width, in pixels, that widths of bands are stated for."""


def boundary_band(
    label: NDArray[np.uint8], width_px: float, ignore_index: int = UNLABELLED
) -> NDArray[np.bool_]:
    """Mark the pixels that have a pixel of another class within `width_px`.

    The distance is Euclidean, between pixel centres: along a straight boundary a width of 5 marks 5
    pixels on either side. Unlabelled pixels are no class, so the edge of an unlabelled region alone
    is no boundary; but two classes on both sides of a narrow unlabelled strip, as NYUv2 has along
    most outlines, are near each other.

    Args:
        label: (H, W) uint8 class ids, 0..254.
        width_px: in pixels of this image; below 1 no pixel is near enough.
        ignore_index: id of unlabelled pixels.

    Returns:
        (H, W), True near a boundary; unlabelled pixels are False.

    Raises:
        ValueError: not a 2-D uint8 array, or a width that is negative or not finite.
    """
    if label.ndim != 2 or label.dtype != np.uint8:
        raise ValueError(f"label is {label.dtype} {label.shape}; wanted uint8 (height, width)")
    if not (math.isfinite(width_px) and width_px >= 0):
        raise ValueError(f"width_px is {width_px}; wanted a number of pixels, 0 or more")
    labelled = label != ignore_index
    offsets = np.arange(-math.floor(width_px), math.floor(width_px) + 1)
    disc = np.hypot(offsets[:, None], offsets) <= width_px
    # A disc holds two classes where the largest id in it is not the smallest. Unlabelled pixels,
    # and OpenCV's border, are neither: below every id in the one, above every id in the other.
    largest = cv2.dilate(np.where(labelled, label + np.uint8(1), np.uint8(0)), disc.view(np.uint8))
    smallest = cv2.erode(np.where(labelled, label, np.uint8(255)), disc.view(np.uint8))
    band: NDArray[np.bool_] = labelled & (largest != smallest + np.uint8(1))
    return band
