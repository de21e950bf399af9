"""The few array operations that differ between NumPy/OpenCV and torch.

The equations of HHA are written once, in plain operators and in the functions that NumPy and torch
name alike (`stack`, `arccos`). What is left, such as sums over windows and rounding to eight
bits, is an `ArrayWay`: `NumpyWay` here, `TorchWay` in `torch_way.py`, which alone imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = Any
"""A NumPy array or a torch tensor: the equations do not care which."""

Powers: TypeAlias = Sequence[tuple[int, int]]
"""Exponents (p, q) of the weights i^p j^q of window sums."""


_STRIP_PIXELS = 1 << 16
"""Of a strip. Smaller ones cost more calls, and rows that two strips sum; larger ones the cache."""


@dataclass(frozen=True)
class Window:
    """A square window of (2 radius + 1)^2 pixels around every stride-th pixel of a grid."""

    radius: int
    stride: int = 1

    def weights(self, power: int) -> NDArray[np.float32]:
        """Offsets from the window's centre to the given power: (2 radius + 1,) float32."""
        return _weights(self.radius, power)


@cache
def _weights(radius: int, power: int) -> NDArray[np.float32]:
    return np.arange(-radius, radius + 1, dtype=np.float32) ** power


class ArrayWay(Protocol):
    """How to do what NumPy and torch do differently."""

    @property
    def functions(self) -> Any:
        """The module with `stack` and `arccos`: numpy or torch."""

    def float32(self, values: Any) -> Array:
        """Values as a float32 array where this way computes."""

    def boolean(self, values: Any) -> Array:
        """Values as a boolean array where this way computes."""

    def masked(self, values: Array, mask: Array) -> Array:
        """Float32 values where the boolean mask says so, and zero elsewhere, whatever is there."""

    def window_sums(self, image: Array, powers: Powers, window: Window, rows: slice) -> list[Array]:
        """Sum image (H, W) * i^p j^q over each window of some rows, for each (p, q).

        i counts pixels to the right of the window's centre and j pixels below it: sums around the
        centre keep in float32 what plain sums of pixel coordinates cancel away. Windows are cut at
        the image's border, i.e. what lies outside counts zero.

        Args:
            image: float32, or a boolean mask that is summed as 0 and 1.
            powers: the exponents (p, q).
            window: size and spacing of the windows.
            rows: from which row of windows to which.
        """

    def block_sums(self, image: Array, side: int) -> Array:
        """Sum image (H, W), float32 or a boolean mask, over blocks of side * side pixels.

        (H // side, W // side) float32. `side` is odd; what is left over at the right and at the
        bottom is left out.
        """

    def strip_rows(self, width: int) -> int | None:
        """How many rows of this width to work on at a time; None: all of them."""

    def dot(self, factors: Sequence[Array | float | None], values: Sequence[Array]) -> Array:
        """Sum factor * value, element by element; None stands for zero.

        Factors may be columns or rows; values have the size of the result.
        """

    def length(self, x: Array, y: Array, z: Array) -> Array:
        """Lengths of vectors."""

    def with_sign_of(self, values: Array, signs: Array) -> Array:
        """Values >= 0, made negative where `signs` is; they may be changed in place."""

    def levels(self, values: Array, scale: float, offset: float = 0.0) -> Array:
        """Scale * values + offset, at least 0, rounded and clipped to 255: uint8."""

    def stack(self, channels: Sequence[Array]) -> Array:
        """Join (H, W) channels to (H, W, channels)."""


class NumpyWay:
    """NumPy, and OpenCV where it is faster."""

    functions: Any = np

    def float32(self, values: Any) -> Array:
        """See `ArrayWay.float32`."""
        return np.asarray(values, dtype=np.float32)

    def boolean(self, values: Any) -> Array:
        """See `ArrayWay.boolean`."""
        return np.asarray(values, dtype=np.bool_)

    def masked(self, values: Array, mask: Array) -> Array:
        """See `ArrayWay.masked`."""
        return cv2.copyTo(values, mask.view(np.uint8))  # a third of the time of `np.where`

    def window_sums(self, image: Array, powers: Powers, window: Window, rows: slice) -> list[Array]:
        """See `ArrayWay.window_sums`."""
        radius, stride = window.radius, window.stride
        first, last = rows.start * stride, (rows.stop - 1) * stride
        top = max(0, first - radius)
        image = image[top : last + radius + 1]
        centres = slice(first - top, last - top + 1, stride)
        if stride == 1:
            return [
                _correlate(image, window.weights(p), window.weights(q))[centres] for p, q in powers
            ]
        # Down the columns first: only every stride-th row is then left to sum along.
        one = np.ones(1, np.float32)
        columns = {
            q: _correlate(image, one, window.weights(q))[centres] for q in {q for _, q in powers}
        }
        return [
            np.ascontiguousarray(_correlate(columns[q], window.weights(p), one)[:, ::stride])
            for p, q in powers
        ]

    def block_sums(self, image: Array, side: int) -> Array:
        """See `ArrayWay.block_sums`."""
        sides = np.ones(side, np.float32)
        rows, columns = (slice(side // 2, n // side * side, side) for n in image.shape)
        return np.ascontiguousarray(_correlate(image, sides, sides)[rows, columns])

    def strip_rows(self, width: int) -> int | None:
        """See `ArrayWay.strip_rows`."""
        return max(1, _STRIP_PIXELS // width)

    def dot(self, factors: Sequence[Array | float | None], values: Sequence[Array]) -> Array:
        """See `ArrayWay.dot`."""
        total: Array = None
        for factor, value in zip(factors, values, strict=True):
            if factor is None:
                continue
            # OpenCV multiplies and adds in one pass, but has no columns and rows.
            if total is None:
                total = factor * value
            elif isinstance(factor, float):
                cv2.scaleAdd(value, factor, total, total)
            elif factor.shape == value.shape:
                cv2.accumulateProduct(factor, value, total)
            else:
                total += factor * value
        return total

    def length(self, x: Array, y: Array, z: Array) -> Array:
        """See `ArrayWay.length`."""
        return cv2.magnitude(cv2.magnitude(x, y), z)

    def with_sign_of(self, values: Array, signs: Array) -> Array:
        """See `ArrayWay.with_sign_of`."""
        # `np.copysign` takes three times as long, and mostly there is nothing to do.
        if signs.min() < 0:
            values[signs < 0] *= -1
        return values

    def levels(self, values: Array, scale: float, offset: float = 0.0) -> Array:
        """See `ArrayWay.levels`."""
        # Rounds half to even and saturates, in one pass; the absolute value changes nothing here.
        return cv2.convertScaleAbs(values, alpha=scale, beta=offset)

    def stack(self, channels: Sequence[Array]) -> Array:
        """See `ArrayWay.stack`."""
        return cv2.merge(list(channels))


def _correlate(
    image: Array, along_rows: NDArray[np.float32], along_columns: NDArray[np.float32]
) -> Array:
    if image.dtype == np.bool_:
        image = image.view(np.uint8)  # OpenCV widens it as it goes
    return cv2.sepFilter2D(
        image, cv2.CV_32F, along_rows, along_columns, borderType=cv2.BORDER_CONSTANT
    )
