"""The few array operations that differ between NumPy/OpenCV and torch.

The equations of HHA are written once, in plain operators and in the functions that NumPy and torch
name alike (`sqrt`, `where`, `arccos`, `copysign`). What is left, summing over windows and rounding
to eight bits, is an `ArrayWay`: `NumpyWay` here, `TorchWay` in `torch_way.py`, which alone imports
torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = Any
"""A NumPy array or a torch tensor: the equations do not care which."""

Powers: TypeAlias = Sequence[tuple[int, int]]
"""Exponents (p, q) of the weights i^p j^q of window sums."""


_STRIP_PIXELS = 1 << 15
"""The dozen float32 arrays in use at a time then fit a second-level cache."""


@dataclass(frozen=True)
class Window:
    """A square window of (2 radius + 1)^2 pixels around every stride-th pixel of a grid."""

    radius: int
    stride: int = 1

    def weights(self, power: int) -> NDArray[np.float32]:
        """Offsets from the window's centre to the given power: (2 radius + 1,) float32."""
        return np.arange(-self.radius, self.radius + 1, dtype=np.float32) ** power


class ArrayWay(Protocol):
    """How to do what NumPy and torch do differently."""

    @property
    def functions(self) -> Any:
        """The module with `sqrt`, `where`, `arccos`, `copysign`: numpy or torch."""

    def float32(self, values: Any) -> Array:
        """Values as a float32 array where this way computes."""

    def boolean(self, values: Any) -> Array:
        """Values as a boolean array where this way computes."""

    def window_sums(self, image: Array, powers: Powers, window: Window) -> list[Array]:
        """Sum image (H, W) * i^p j^q over each window, for each (p, q).

        i counts pixels to the right of the window's centre and j pixels below it: sums around the
        centre keep in float32 what plain sums of pixel coordinates cancel away. Windows are cut at
        the image's border, i.e. what lies outside counts zero.
        """

    def strip_rows(self, height: int, width: int) -> int:
        """How many rows of an image to work on at a time."""

    def levels(self, values: Array) -> Array:
        """Values >= 0 rounded to the nearest integer and clipped to 255: uint8."""

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

    def window_sums(self, image: Array, powers: Powers, window: Window) -> list[Array]:
        """See `ArrayWay.window_sums`."""
        image = np.ascontiguousarray(image, dtype=np.float32)
        if window.stride == 1:
            return [_correlate(image, window.weights(p), window.weights(q)) for p, q in powers]
        # Down the columns first: only every stride-th row is then left to sum along.
        one = np.ones(1, np.float32)
        rows = {
            q: _correlate(image, one, window.weights(q))[:: window.stride]
            for q in {q for _, q in powers}
        }
        return [
            np.ascontiguousarray(_correlate(rows[q], window.weights(p), one)[:, :: window.stride])
            for p, q in powers
        ]

    def strip_rows(self, height: int, width: int) -> int:
        """See `ArrayWay.strip_rows`."""
        return max(1, _STRIP_PIXELS // width)

    def levels(self, values: Array) -> Array:
        """See `ArrayWay.levels`."""
        # Rounds half to even and saturates, in one pass; the absolute value changes nothing here.
        return cv2.convertScaleAbs(values)

    def stack(self, channels: Sequence[Array]) -> Array:
        """See `ArrayWay.stack`."""
        return cv2.merge(list(channels))


def _correlate(
    image: Array, along_rows: NDArray[np.float32], along_columns: NDArray[np.float32]
) -> Array:
    return cv2.sepFilter2D(
        image, cv2.CV_32F, along_rows, along_columns, borderType=cv2.BORDER_CONSTANT
    )
