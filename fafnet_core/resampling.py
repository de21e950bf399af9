"""Images at another size: by areas where there is something between two values, else by centres."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Size

T = TypeVar("T", bound=np.generic)


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


def sampled(image: NDArray[T], size: Size) -> NDArray[T]:
    """Return an image at another size, in which each pixel is what lies under its centre.

    For what has nothing between two values: classes, depth, HHA that is shown. OpenCV's
    INTER_NEAREST takes what lies under the corner, half a pixel aside.

    Args:
        image: (H, W) or (H, W, C).
        size: (height, width); its own returns the image itself.
    """
    if size == image.shape[:2]:
        return image
    rows, columns = map(under_centres, size, image.shape[:2])
    return image.take(rows, axis=0).take(columns, axis=1)


def under_centres(pixels: int, of: int) -> NDArray[np.int64]:
    """Return which of the pixels of a side lies under the centre of each pixel of a resized one.

    Args:
        pixels: of the resized side.
        of: pixels of the side itself.
    """
    centres: NDArray[np.int64] = (2 * np.arange(pixels) + 1) * of // (2 * pixels)
    return centres
