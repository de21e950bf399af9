"""A depth image made of squares, the nearest of which stays wherever several overlap.

A square is not filled when it is drawn. It leaves its depth at its upper left corner, in one of
four layers by its height and width, which for nearly all are one of two lengths; at the end the
squares of a layer are filled at once, by the least depth in a window that slides over it.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Depth = NDArray[np.float32]
Whole = NDArray[np.int32]
Index = NDArray[np.intp]
Squares = list[NDArray[Any]]
"""First pixel in the flat image (intp), depth, height, width; (n,) each."""

_BAND = 32
"""Rows of the image that are filled at a time, so that they stay in a core's cache."""
_ROUNDS = 8
_AT_IS_FAST = np.lib.NumpyVersion(np.__version__) >= "1.25.0"
"""Before, `np.minimum.at` took some twenty times as long."""


class NearestSquares:
    """Draws squares of depth into an image. It keeps its memory: one thread at a time.

    Args:
        shape: (H, W) of the image.
        side: the usual square's side in pixels: most are as high and wide, or one pixel more.
            Squares of other sides are drawn as exactly, but take longer.
        largest: the longest side there can be, at most 127; twice `side` or more.
    """

    def __init__(self, shape: tuple[int, int], side: int, largest: int) -> None:
        self.shape = shape
        self.side = side
        self._margin = largest
        height, width = (size + 2 * largest for size in shape)
        # Of squares as high and wide as `side`; wider; higher; both.
        self._layers = np.empty((4, height, width), np.float32)
        self._scratch = np.empty((2, _BAND + side, width), np.float32)
        self._window = np.ones((side, side), np.uint8)
        self._small: list[Squares] = []

    def clear(self) -> None:
        """Begin an image."""
        self._layers.fill(np.inf)
        self._small.clear()

    def draw(
        self,
        rows: tuple[Whole, Whole],
        columns: tuple[Whole, Whole],
        depth: Depth,
        known: NDArray[np.bool_],
    ) -> None:
        """Draw squares of pixels, as far as they are in the image. Overwrites its arguments.

        Args:
            rows: first row of each square and the row after its last, (n,) each.
            columns: first column and the one after the last, (n,) each.
            depth: (n,), above zero.
            known: (n,); the others are not drawn and may hold anything.
        """
        side = self.side
        _, layer_rows, stride = self._layers.shape
        heights, widths = (np.subtract(end, begin, out=end) for begin, end in (rows, columns))
        # One byte each, for what is asked of them below is asked of every square.
        tall, wide = heights.astype(np.int8), widths.astype(np.int8)
        known &= (tall > 0) & (wide > 0)
        for (begin, _), size in zip((rows, columns), self.shape, strict=True):
            begin += self._margin
            known &= begin.view(np.uint32) < size + self._margin  # no sign: above zero, too
        corners = rows[0]
        corners *= stride
        corners += columns[0]
        usual = (tall <= side + 1) & (wide <= side + 1)
        if side > 1:
            usual &= (tall >= side) & (wide >= side)
        if (odd := np.flatnonzero(known > usual)).size:
            self._draw_unusual(
                corners.take(odd), depth.take(odd), heights.take(odd), widths.take(odd)
            )
            known &= usual
        layer = (tall > side).view(np.int8)
        layer *= 2
        layer += wide > side
        corners += np.multiply(layer, layer_rows * stride, dtype=np.int32)
        # What is not drawn goes to the margin's first pixel, which no window brings into the
        # image; infinite, so that it is no contest there.
        corners *= known
        with np.errstate(divide="ignore", invalid="ignore"):
            depth /= known
            _keep_nearest(self._layers.reshape(-1), corners.astype(np.intp), depth)

    def image(self) -> Depth:
        """Return what was drawn since `clear`: (H, W), 0 where nothing was."""
        height, width = self.shape
        margin, side = self._margin, self.side
        image = np.empty(self.shape, np.float32)
        for first in range(0, height, _BAND):
            last = min(first + _BAND, height)
            filled = self._fill(first + margin - side + 1, last + margin)
            inside = filled[side - 1 :, margin : margin + width]
            _finite_or_zero(inside, out=image[first:last])
        return self._with_small(image) if self._small else image

    def _fill(self, first: int, last: int) -> Depth:
        """Return the squares that begin in these rows of the layers; infinite where none is."""
        plain, wide, tall, both = self._layers
        here, over = slice(first, last), slice(first - 1, last - 1)
        filled: Depth = self._scratch[0, : last - first]
        wider: Depth = self._scratch[1, : last - first]
        np.minimum(both[here], both[over], out=wider)
        np.minimum(wider, wide[here], out=wider)
        np.minimum(tall[here], tall[over], out=filled)
        np.minimum(filled, plain[here], out=filled)
        np.minimum(filled, wider, out=filled)
        np.minimum(filled[:, 1:], wider[:, :-1], out=filled[:, 1:])
        if self.side == 1:
            return filled
        corner = (self.side - 1, self.side - 1)
        eroded: Depth = cv2.erode(filled, self._window, anchor=corner)  # type: ignore[assignment]
        return eroded

    def _draw_unusual(self, corners: Whole, depth: Depth, heights: Whole, widths: Whole) -> None:
        """Draw larger squares as several of the usual ones; keep smaller ones for the end."""
        small = np.minimum(heights, widths) < self.side
        squares: Squares = [corners.astype(np.intp), depth, heights, widths]
        if small.any():
            self._small.append([each[small] for each in squares])
        _keep_tiles(self._layers[0], [each[~small] for each in squares], side=self.side)

    def _with_small(self, image: Depth) -> Depth:
        image[image == 0] = np.inf
        margin = self._margin
        padded = np.pad(image, margin, constant_values=np.inf)
        for squares in self._small:
            _keep_tiles(padded, squares, side=1)
        _finite_or_zero(padded[margin:-margin, margin:-margin], out=image)
        return image


def _finite_or_zero(depth: Depth, out: Depth) -> None:
    cv2.threshold(depth, 3.4e38, 0, cv2.THRESH_TOZERO_INV, dst=out)


def _keep_tiles(image: Depth, squares: Squares, *, side: int) -> None:
    """Leave the depth of each square at the corners of the tiles of `side` that make it up."""
    corners, depth, heights, widths = squares
    stride = image.shape[1]
    for down in range(0, int(heights.max(initial=0)), side):
        for aside in range(0, int(widths.max(initial=0)), side):
            which = np.flatnonzero((heights > down) & (widths > aside))
            # The last tile overlaps the one before it.
            row = np.minimum(heights.take(which) - side, down)
            column = np.minimum(widths.take(which) - side, aside)
            index = corners.take(which) + (row * stride + column)
            _keep_nearest(image.reshape(-1), index, depth.take(which))


def _keep_nearest(image: Depth, index: Index, depth: Depth) -> None:
    """Lower image[index] to `depth`, where an index that is repeated counts each time."""
    if not _AT_IS_FAST:
        for _ in range(_ROUNDS):
            if not index.size:
                return
            # Of several on one pixel the last stays; those that it should not have hidden go on.
            image[index] = np.minimum(image.take(index), depth)
            hidden = np.flatnonzero(depth < image.take(index))
            index, depth = index.take(hidden), depth.take(hidden)
    np.minimum.at(image, index, depth)
