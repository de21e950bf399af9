"""The pinhole camera of a synthetic room, and the path it moves on.

The world has x to the right, y to the back of the room and z up, in metres. Camera frames are
optical frames (REP-103): x right, y down, z forward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class PinholeCamera:
    """Size and matrix of a camera; pixel centres at whole numbers."""

    width: int = 640
    height: int = 480
    horizontal_fov_deg: float = 62.0

    @property
    def focal(self) -> float:
        """The focal length in pixels, the same across and down."""
        return self.width / 2 / math.tan(math.radians(self.horizontal_fov_deg) / 2)

    @property
    def camera_matrix(self) -> NDArray[np.float64]:
        """The (3, 3) float64 matrix, its principal point in the middle of the image."""
        cx, cy = (self.width - 1) / 2, (self.height - 1) / 2
        return np.array([[self.focal, 0, cx], [0, self.focal, cy], [0, 0, 1]], np.float64)

    @cached_property
    def slopes(self) -> tuple[Vector, Vector]:
        """x of each column's rays (W,) and y of each row's (H,), at one metre's depth."""
        x = (np.arange(self.width) - (self.width - 1) / 2) / self.focal
        y = (np.arange(self.height) - (self.height - 1) / 2) / self.focal
        return x.astype(np.float32), y.astype(np.float32)


@dataclass(frozen=True)
class Pose:
    """Where a camera stands: its position, and its axes (right, down, forward) as rows."""

    position: Vector
    axes: Vector

    def rolled(self, degrees: float) -> Pose:
        """Turned about its own forward axis."""
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        right, down, forward = self.axes
        axes = np.stack([c * right + s * down, c * down - s * right, forward])
        return Pose(self.position, axes.astype(np.float32))

    def moved(self, right: float = 0.0, down: float = 0.0, forward: float = 0.0) -> Pose:
        """Moved along its own axes, in metres."""
        step = np.array([right, down, forward], np.float32) @ self.axes
        return Pose(self.position + step, self.axes)


def look_at(position: ArrayLike, target: ArrayLike) -> Pose:
    """Return the pose of an upright camera at `position` that looks at `target` (metres)."""
    eye = np.asarray(position, np.float64)
    forward = np.asarray(target, np.float64) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0, 0, 1))
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(forward, right), forward])
    return Pose(eye.astype(np.float32), axes.astype(np.float32))
