"""The pinhole camera of a synthetic room, and its pose.

The world has x to the right, y to the back of the room and z up, in metres. Camera frames are
optical frames (REP-103): x right, y down, z forward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fafnet_core.camera import Camera

Vector = NDArray[np.float32]


def pinhole(width: int = 640, height: int = 480, horizontal_fov_deg: float = 62.0) -> Camera:
    """Return a camera whose principal point is the image's middle."""
    focal = width / 2 / math.tan(math.radians(horizontal_fov_deg) / 2)
    cx, cy = (width - 1) / 2, (height - 1) / 2
    return Camera(fx=focal, fy=focal, cx=cx, cy=cy, width=width, height=height)


def slopes(camera: Camera) -> tuple[Vector, Vector]:
    """Return x of each column's rays (W,) and y of each row's (H,), at a depth of 1 m."""
    x = (np.arange(camera.width) - camera.cx) / camera.fx
    y = (np.arange(camera.height) - camera.cy) / camera.fy
    return x.astype(np.float32), y.astype(np.float32)


@dataclass(frozen=True)
class Pose:
    """A camera's position, and its axes (right, down, forward) as rows."""

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
