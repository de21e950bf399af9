"""The pinhole camera of a synthetic room, and the path it moves on.

The world has x to the right, y to the back of the room and z up, in metres. Camera frames are
optical frames (REP-103): x right, y down, z forward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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
    def camera_matrix(self) -> NDArray[np.float64]:
        """The (3, 3) float64 matrix, its principal point in the middle of the image."""
        focal = self.width / 2 / math.tan(math.radians(self.horizontal_fov_deg) / 2)
        cx, cy = (self.width - 1) / 2, (self.height - 1) / 2
        return np.array([[focal, 0, cx], [0, focal, cy], [0, 0, 1]], np.float64)


@dataclass(frozen=True)
class Pose:
    """Where a camera stands: its position, and its axes (right, down, forward) as rows."""

    position: Vector
    axes: Vector


def look_at(position: ArrayLike, target: ArrayLike) -> Pose:
    """Return the pose of an upright camera at `position` that looks at `target` (metres)."""
    eye = np.asarray(position, np.float64)
    forward = np.asarray(target, np.float64) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0, 0, 1))
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(forward, right), forward])
    return Pose(eye.astype(np.float32), axes.astype(np.float32))


def sway(phase: float) -> Pose:
    """Return the pose on a closed path through the `studio`; one round for phase 0 to 1.

    The camera is carried by a person near the door: it sways sideways and looks around.
    """
    angle = 2 * math.pi * phase
    position = (
        0.9 * math.sin(angle),
        0.45 + 0.25 * math.cos(angle),
        1.45 + 0.1 * math.sin(2 * angle),
    )
    target = (0.7 * math.sin(angle + 0.9), 4.2, 0.75 + 0.12 * math.cos(angle))
    return look_at(position, target)
