"""Holes in depth, filled before HHA: published networks were trained on in-painted depth.

Each hole is filled along the image's rows, from both of its sides. Where both sides are of one
surface, inverse depth is interpolated, which is exact for a plane. Where they are not, the farther
side is taken: such a hole is an object's shadow on what is behind it, where the depth camera's
projector does not reach or its second lens does not see. A hole with depth on one side of its row
only, as at the image's border, gets the nearest depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.hha.checks import check_depth, plain_depth
from fafnet_core.hha.geometry import DEPTH_RANGE_M

LARGEST_STEP = 0.3
"""Two sides of a hole whose depths differ by more, as a share of the larger one, are two surfaces.

Measured on ray-cast rooms: up to about there interpolation is nearer to the truth, above it the
farther side.
"""

_NEAREST_STRIDE = 2
"""The nearest depth is looked for in every other row and column."""


def fill_holes(depth_m: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Fill the holes of a depth image.

    Args:
        depth_m: (H, W) floating point, metres; zero, negative, NaN and infinite: no depth. It is
            left as it is.

    Returns:
        The filled depth, (H, W) float32, with a depth in every pixel, or 0 in every pixel where
        the image has no depth at all; and (H, W) bool, True where there was none: `missing` of
        `encode_hha`.

    Raises:
        ValueError: not an image of floating point numbers.
    """
    depth = plain_depth(depth_m)
    if depth.ndim != 2 or not depth.size:
        raise ValueError(
            f"depth_m has shape {depth.shape}; wanted (height, width), both at least 1"
        )
    check_depth(depth, depth.shape, is_float=np.issubdtype(depth.dtype, np.floating))
    nearest, farthest = DEPTH_RANGE_M
    with np.errstate(over="ignore"):
        filled = np.array(depth, np.float32, order="C")
    missing = cv2.inRange(filled, nearest, farthest) == 0
    if missing.all():
        return np.zeros(depth.shape, np.float32), missing
    if missing.any():
        one_sided = _fill_along_rows(filled, missing)
        _fill_with_nearest(filled, one_sided)
    return filled, missing


@dataclass(frozen=True)
class _Runs:
    """Holes of one row each, all (N,), in the order of the image's pixels.

    Attributes:
        start: index of the first pixel in the flat image.
        length: in pixels.
        left: whether there is a pixel with depth to the left of it, in its row.
        right: the same to the right.
    """

    start: NDArray[np.int64]
    length: NDArray[np.int64]
    left: NDArray[np.bool_]
    right: NDArray[np.bool_]

    @classmethod
    def of(cls, missing: NDArray[np.bool_]) -> _Runs:
        """The runs of a mask (H, W) that is True in holes."""
        height, width = missing.shape
        # A column that is no hole ends each row: no run then goes on in the next row.
        padded = np.zeros((height, width + 1), np.bool_)
        padded[:, :-1] = missing
        flat = padded.ravel()
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        if flat[0]:
            changes = np.concatenate(([0], changes))
        start, end = changes[::2], changes[1::2]
        row = start // (width + 1)
        left = start > row * (width + 1)
        right = end < row * (width + 1) + width
        return cls(start - row, end - start, left, right)


def _fill_along_rows(depth_m: NDArray[np.float32], missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill the holes with depth on both sides, in place; return the mask of the others."""
    runs = _Runs.of(missing)
    between = runs.left & runs.right
    flat, length = depth_m.reshape(-1), runs.length[between]
    start = runs.start[between]
    left, right = 1 / flat[start - 1], 1 / flat[start + length]
    farther = np.minimum(left, right)
    one_surface = farther >= (1 - LARGEST_STEP) * np.maximum(left, right)
    first = np.where(one_surface, left, farther)
    last = np.where(one_surface, right, farther)
    slope = (last - first) / (length + 1).astype(np.float32)
    # Counted within each run: a count over the whole image would cost float32 its digits.
    before = np.cumsum(length) - length
    steps = np.arange(1, 1 + length.sum()) - np.repeat(before, length)
    inverse = np.repeat(first, length) + np.repeat(slope, length) * steps.astype(np.float32)
    others = missing.copy()
    pixels = steps + np.repeat(start - 1, length)
    flat[pixels] = 1 / inverse
    others.reshape(-1)[pixels] = False
    return others


def _fill_with_nearest(depth_m: NDArray[np.float32], missing: NDArray[np.bool_]) -> None:
    """Fill pixels with the nearest depth, in place."""
    if not missing.any():
        return
    stride = _NEAREST_STRIDE
    if missing[::stride, ::stride].all():
        stride = 1
    coarse = np.ascontiguousarray(missing[::stride, ::stride])
    # Each pixel of the result has the number of its nearest zero, here: of the nearest depth.
    _, number = cv2.distanceTransformWithLabels(
        coarse.view(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    with_depth = ~coarse
    depth_of = np.zeros(int(number.max()) + 1, np.float32)
    depth_of[number[with_depth]] = depth_m[::stride, ::stride][with_depth]
    height, width = missing.shape
    nearest = cv2.resize(depth_of[number], (width, height), interpolation=cv2.INTER_NEAREST)
    np.copyto(depth_m, nearest, where=missing)
