"""Steady labels: what was seen of a place in the last frames counts in this one, too.

A network labels each frame by itself, and where two classes are close the sensor's noise decides:
labels flicker. Here the scores of the last frames are carried over to where the camera sees the
same place now, by depth and the camera's motion, and averaged with its own. Where geometry
disagrees (something moved, or was hidden) the past does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.inference.odometry import CameraPose

_MOST_FRAMES = 4
"""What the past weighs at most, in frames: more is steadier, and slower to see a change."""

_SAME_DEPTH = (0.03, 0.03)
"""Metres, and a share of the depth: how far the depth of one place may be apart in two frames."""

_CHANNELS = 4
"""OpenCV maps as many at a time."""

Scores = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class View:
    """A frame as fusion needs it.

    Attributes:
        depth_m: (H, W), metres, at the size that the network sees.
        camera: of that size.
        pose: of the camera.
    """

    depth_m: NDArray[np.floating[Any]]
    camera: Camera
    pose: CameraPose


@dataclass(frozen=True, eq=False)
class _Past:
    """What the frame before ended with: scores (C, h, w), and how many frames they are worth."""

    view: View
    scores: Scores
    frames: NDArray[np.float32]


class TemporalFusion:
    """Averages the scores of one camera's frames, in their order, place by place."""

    def __init__(self) -> None:
        self._past: _Past | None = None

    def fuse(self, scores: Scores, view: View) -> Scores:
        """Return the scores of a frame together with those before it.

        Args:
            scores: (C, h, w), a network's coarse logits; their corners are those of the image.
            view: of the frame.
        """
        past, height, width = self._past, *scores.shape[1:]
        frames = np.zeros((height, width), np.float32)
        fused = scores
        if past is not None and past.scores.shape == scores.shape:
            place = places_before(view, past.view, (height, width))
            if place is not None:
                seen, x, y = place
                frames = _sampled(past.frames[None], x, y)[0] * seen
                fused = (scores + frames * _sampled(past.scores, x, y)) / (frames + 1)
        self._past = _Past(view, fused, np.minimum(frames + 1, _MOST_FRAMES))
        return fused


def places_before(
    view: View, before: View, shape: tuple[int, int]
) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float32]] | None:
    """Return where the entries of a coarse map lay in that of a frame before.

    Returns:
        Which of them were seen there, and x and y, (h, w) each; None if the motion is not known.
    """
    motion = view.pose.to(before.pose)
    camera, past = view.camera, before.camera
    if motion is None:
        return None
    rows, columns = (
        np.linspace(0, side - 1, entries) for side, entries in zip(camera.size, shape, strict=True)
    )
    at = (each.round().astype(np.int64) for each in (rows[:, None], columns))
    depth_m = view.depth_m[tuple(at)].astype(np.float64)
    rays = [
        np.broadcast_to((columns - camera.cx) / camera.fx, shape),
        np.broadcast_to(((rows - camera.cy) / camera.fy)[:, None], shape),
        np.ones(shape),
    ]
    known = (depth_m > 0) & (depth_m < np.inf)
    depth_m = np.where(known, depth_m, 1)
    turn, shift = motion[:3, :3] @ np.stack(rays).reshape(3, -1), motion[:3, 3:]
    x, y, z = (turn * depth_m.ravel() + shift).reshape(3, *shape)
    ahead = np.maximum(z, 1e-6)
    u, v = past.fx * x / ahead + past.cx, past.fy * y / ahead + past.cy
    inside = (z > 0) & (u > -0.5) & (u < past.width - 0.5) & (v > -0.5) & (v < past.height - 0.5)
    row = np.rint(np.where(inside, v, 0)).astype(np.int64)
    column = np.rint(np.where(inside, u, 0)).astype(np.int64)
    was_m = before.depth_m[row, column]
    metres, share = _SAME_DEPTH
    same = np.abs(was_m - z) <= metres + share * z  # false where there was no depth
    seen = known & inside & same
    down, across = (
        (entries - 1) / max(side - 1, 1) for side, entries in zip(past.size, shape, strict=True)
    )
    return seen, (u * across).astype(np.float32), (v * down).astype(np.float32)


def _sampled(maps: Scores, x: NDArray[np.float32], y: NDArray[np.float32]) -> Scores:
    """Return maps (C, h, w) at places between their entries; outside, what is nearest."""
    found = np.empty((len(maps), *x.shape), np.float32)
    for begin in range(0, len(maps), _CHANNELS):
        some = slice(begin, begin + _CHANNELS)
        image = np.ascontiguousarray(maps[some].transpose(1, 2, 0))
        at = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        found[some] = at.reshape(*x.shape, -1).transpose(2, 0, 1)
    return found
