"""Where a camera is, from its own images: corners are followed from frame to frame, and the depth
of the frame before says where in space they are.

Meant for what lies between two frames, a third of a second at most: nothing here closes loops, and
the pose drifts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Camera

_CORNERS = 150
_SPACING_PX = 8
_QUALITY = 0.01
_STEP = 0.05
"""Of the depth beside a corner: more is an edge."""
_WINDOW_PX = 15
_ROUND_TRIP_PX = 0.7
"""A corner that is followed there and back comes home, or it was lost."""
_REPROJECTION_PX = 1.5
_LEAST = 15
"""Corners that have to agree on one motion, and ..."""
_LEAST_SHARE = 0.5
"""... their share of those that were found again: below it something else moves, or all is blur."""


@dataclass(frozen=True, eq=False)
class CameraPose:
    """Where a camera is.

    Attributes:
        matrix: (4, 4) float64, from the camera's optical frame to one that stands still, metres.
        chain: poses of one chain are in the same still frame; others say nothing of each other.
    """

    matrix: NDArray[np.float64]
    chain: int

    def to(self, other: CameraPose) -> NDArray[np.float64] | None:
        """Return (4, 4), from this camera's frame to that one's; None in another chain."""
        if self.chain != other.chain:
            return None
        motion: NDArray[np.float64] = np.linalg.inv(other.matrix) @ self.matrix
        return motion


class Odometry(Protocol):
    """Says where the camera was at each image."""

    def update(
        self, rgb: NDArray[np.uint8], depth_m: NDArray[np.floating[Any]], camera: Camera
    ) -> CameraPose:
        """Return the pose of the next image.

        Args:
            rgb: (H, W, 3) uint8.
            depth_m: (H, W), metres, registered; 0, NaN or infinite where there is none.
            camera: of both.
        """
        ...


class _StandsStill:
    """A camera that never moves."""

    _pose = CameraPose(np.eye(4), 0)

    def update(
        self, rgb: NDArray[np.uint8], depth_m: NDArray[np.floating[Any]], camera: Camera
    ) -> CameraPose:
        """See `Odometry.update`."""
        return self._pose


STANDS_STILL = _StandsStill()


class RgbdOdometry:
    """Follows one camera from image to image; starts a new chain where it loses it."""

    def __init__(self) -> None:
        self._before: _Keyframe | None = None
        self._pose = CameraPose(np.eye(4), 0)

    def update(
        self, rgb: NDArray[np.uint8], depth_m: NDArray[np.floating[Any]], camera: Camera
    ) -> CameraPose:
        """See `Odometry.update`."""
        now = _Keyframe(
            cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY), depth_m, camera
        )
        motion = None if self._before is None else _motion(self._before, now)
        if motion is None:
            self._pose = CameraPose(np.eye(4), self._pose.chain + 1)
        else:
            # `motion` is from the frame before to this one.
            self._pose = CameraPose(self._pose.matrix @ np.linalg.inv(motion), self._pose.chain)
        self._before = now
        return self._pose


@dataclass(frozen=True, eq=False)
class _Keyframe:
    grey: Any
    depth_m: NDArray[np.floating[Any]]
    camera: Camera


def _motion(before: _Keyframe, now: _Keyframe) -> NDArray[np.float64] | None:
    """Return (4, 4), from the optical frame of one image to that of the next, or None."""
    if before.camera != now.camera:
        return None
    corners = cv2.goodFeaturesToTrack(
        before.grey, _CORNERS, _QUALITY, _SPACING_PX, mask=_on_surfaces(before.depth_m)
    )
    if corners is None or len(corners) < _LEAST:
        return None
    there, found = _followed(before.grey, now.grey, corners)
    back, returned = _followed(now.grey, before.grey, there)
    kept = found & returned & (np.abs(back - corners).max(axis=(1, 2)) < _ROUND_TRIP_PX)
    if kept.sum() < _LEAST:
        return None
    seen, again = corners[kept, 0].astype(np.float64), there[kept, 0].astype(np.float64)
    columns, rows = np.rint(seen).astype(int).T
    depth = before.depth_m[rows, columns].astype(np.float64)
    camera = before.camera
    rays = (seen - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    points = np.column_stack([rays * depth[:, None], depth])
    cv2.setRNGSeed(0)  # the same frames, the same motion
    solved, turn, shift, inliers = cv2.solvePnPRansac(
        points,
        again,
        camera.matrix,
        None,
        iterationsCount=60,
        reprojectionError=_REPROJECTION_PX,
        flags=cv2.SOLVEPNP_EPNP,
    )
    if not solved or inliers is None or len(inliers) < max(_LEAST, _LEAST_SHARE * len(points)):
        return None
    agreed = inliers.ravel()
    turn, shift = cv2.solvePnPRefineLM(
        points[agreed], again[agreed], camera.matrix, None, turn, shift
    )
    motion = np.eye(4)
    motion[:3, :3] = cv2.Rodrigues(turn)[0]
    motion[:3, 3] = shift.ravel()
    return motion


def _on_surfaces(depth_m: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Return 1 where the depth is known and goes on around: at an edge it may be of either side."""
    known = (depth_m > 0) & (depth_m < np.inf)
    depth = np.where(known, depth_m, 0).astype(np.float32)
    around = np.ones((3, 3), np.uint8)
    furthest = cv2.dilate(depth, around)
    return (furthest - cv2.erode(depth, around) < _STEP * furthest).astype(np.uint8)


def _followed(grey: Any, next_grey: Any, corners: Any) -> tuple[Any, NDArray[np.bool_]]:
    """Return where corners (N, 1, 2) are in the next image, and which of them were found."""
    there, found, _ = cv2.calcOpticalFlowPyrLK(  # type: ignore[call-overload]
        grey,
        next_grey,
        corners,
        None,
        winSize=(_WINDOW_PX, _WINDOW_PX),
    )
    return there, found.ravel() == 1
