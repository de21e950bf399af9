"""`Camera`: a pinhole camera and the size of its images, as one value.

Pixel centres are at whole numbers counted from 0, as in ROS: the edge of an image is at -0.5, so
scaling by s takes u to (u + 0.5) s - 0.5. Here is the only place where that is written down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels."""

_WIDEST_VIEW = 20.0  # image size in focal lengths: 168 degrees


@dataclass(frozen=True, kw_only=True, slots=True)
class Camera:
    """A pinhole camera without distortion; equal and hashable by value.

    Attributes:
        fx: focal length across, in pixels.
        fy: focal length down, in pixels.
        cx: column of the principal point.
        cy: row of the principal point.
        width: of the images, in pixels.
        height: of the images, in pixels.

    Raises:
        ValueError: values that no camera has; the message says what to do.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 1:
            raise ValueError(
                f"a camera has images of {self.width}x{self.height} pixels; wanted at least 1x1"
            )
        numbers = (self.fx, self.fy, self.cx, self.cy)
        if not all(map(math.isfinite, numbers)):
            raise ValueError(f"the camera matrix has fx, fy, cx, cy {numbers}: not finite")
        if min(self.fx, self.fy) <= 0:
            raise ValueError(
                f"the camera matrix has focal lengths fx {self.fx:g}, fy {self.fy:g}; wanted both"
                " positive (a camera that was never calibrated reports zeros: calibrate it)"
            )
        if self.fx * _WIDEST_VIEW < self.width or self.fy * _WIDEST_VIEW < self.height:
            raise ValueError(
                f"the camera matrix has focal lengths fx {self.fx:g}, fy {self.fy:g} for an image"
                f" of {self.width}x{self.height} pixels, a view of over 168 degrees; wanted them in"
                " pixels of this image: multiply the first two rows of a normalised or downscaled"
                " matrix by the ratio of the sizes"
            )

    @classmethod
    def from_matrix(cls, camera_matrix: ArrayLike, size: tuple[int, ...]) -> Camera:
        """Return the camera of a matrix [[fx, 0, cx], [0, fy, cy], [0, 0, 1]].

        Args:
            camera_matrix: (3, 3).
            size: (height, width) of the images.

        Raises:
            ValueError: another shape or form, or values that no camera has.
        """
        matrix = np.asarray(camera_matrix, np.float64)
        if matrix.shape != (3, 3):
            raise ValueError(
                f"camera_matrix has shape {matrix.shape}; wanted (3, 3),"
                " e.g. np.reshape(camera_info.k, (3, 3))"
            )
        if len(size) != 2:
            raise ValueError(f"the image has shape {tuple(size)}; wanted (height, width)")
        (fx, skew, cx), (other, fy, cy), last = matrix.tolist()
        # First, for a camera that is not calibrated says zeros everywhere.
        camera = cls(fx=fx, fy=fy, cx=cx, cy=cy, width=int(size[1]), height=int(size[0]))
        if skew or other or last != [0, 0, 1]:
            raise ValueError(
                f"camera_matrix is {matrix.tolist()}; wanted [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]:"
                " divide it by its last entry, or transpose it"
            )
        return camera

    @property
    def size(self) -> Size:
        """(height, width) of the images."""
        return self.height, self.width

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The camera matrix (3, 3), a new array."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)

    def scaled(self, size: Size, factor: float | None = None) -> Camera:
        """Return the camera of images that are brought to another size.

        Args:
            size: (height, width).
            factor: of both sides, where part of a pixel is left out at the end; None: the ratio of
                the sizes, along each side.
        """
        if size == self.size and factor is None:
            return self
        across, down = factor or size[1] / self.width, factor or size[0] / self.height
        return Camera(
            fx=self.fx * across,
            fy=self.fy * down,
            cx=(self.cx + 0.5) * across - 0.5,
            cy=(self.cy + 0.5) * down - 0.5,
            width=size[1],
            height=size[0],
        )

    def cropped(self, top: int, left: int, size: Size) -> Camera:
        """Return the camera of a rectangle of (height, width) whose first pixel is (top, left)."""
        return replace(self, cx=self.cx - left, cy=self.cy - top, width=size[1], height=size[0])

    def flipped(self) -> Camera:
        """Return the camera of images that are turned left to right."""
        return replace(self, cx=self.width - 1 - self.cx)

    def sees_like(self, other: Camera, tolerance: float) -> bool:
        """Whether both look at the same part of the world, in however many pixels.

        Args:
            other: another camera.
            tolerance: of each number, in widths and heights of the image.
        """
        return bool(np.allclose(self._in_sides(), other._in_sides(), rtol=0, atol=tolerance))

    def _in_sides(self) -> tuple[float, float, float, float]:
        """Focal lengths and principal point of an image that reaches from 0 to 1."""
        return (
            self.fx / self.width,
            self.fy / self.height,
            (self.cx + 0.5) / self.width,
            (self.cy + 0.5) / self.height,
        )
