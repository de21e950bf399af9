"""Camera poses in a room: one good view for a data set, or a path for a moving camera."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fafnet_core.rooms.camera import Pose, look_at, pinhole
from fafnet_core.rooms.render import look
from fafnet_core.rooms.room import Room, make_room

_QUICK = pinhole(40, 30)
_CANDIDATES = 3
_CLOSE = 0.75


def choose_view(room: Room, rng: np.random.Generator) -> Pose:
    """Return the best of three random poses at which a person would hold a camera.

    The best shows most classes; things close to the lens count against a pose.
    """
    best, highest = None, -math.inf
    for _ in range(_CANDIDATES):
        pose = _somewhere(room, rng)
        labels, depth = look(room.scene.solids, _QUICK, pose)
        counts = np.bincount(labels.ravel(), minlength=256)
        score = (counts > 4).sum() - 12 * float((depth < _CLOSE).mean())
        if score > highest:
            best, highest = pose, score
    assert best is not None
    return best


def _somewhere(room: Room, rng: np.random.Generator) -> Pose:
    """Return an upright pose in free space that looks across the room."""
    width, length, _ = room.size
    for _ in range(40):
        x, y = (
            rng.uniform(-width / 2 + 0.3, width / 2 - 0.3),
            rng.uniform(-length / 2 + 0.3, length / 2 - 0.3),
        )
        if room.distance(x, y) > 0.3:
            break
    eye = (x, y, rng.uniform(1.1, 1.85))
    # Across the room, towards the furniture on the other side.
    way = math.atan2(-y + rng.uniform(-0.8, 0.8), -x + rng.uniform(-0.8, 0.8))
    reach = rng.uniform(2.0, 3.5)
    target = (x + reach * math.cos(way), y + reach * math.sin(way), rng.uniform(0.5, 1.15))
    roll = rng.uniform(-3, 3)
    return look_at(eye, target).rolled(roll)


@dataclass(frozen=True)
class Tour:
    """A room and a closed camera path in it, as of a person who stands there and looks around.

    Attributes:
        room: the room.
        middle: the pose in the middle of the path.
    """

    room: Room
    middle: Pose

    @classmethod
    def of(cls, seed: int) -> Tour:
        """Return the tour of this seed."""
        rng = np.random.default_rng(seed)
        room = make_room(rng)
        return cls(room, choose_view(room, rng))

    def pose(self, phase: float) -> Pose:
        """Return the camera's pose; 0 <= phase < 1 is one round."""
        angle = 2 * math.pi * phase
        aside, up = 0.22 * math.sin(angle), 0.05 * math.sin(2 * angle)
        eye = self.middle.moved(right=aside, down=-up, forward=0.1 * (math.cos(angle) - 1))
        ahead = eye.moved(
            right=0.5 * math.sin(angle + 0.9), down=0.06 * math.cos(angle), forward=2.5
        )
        return look_at(eye.position, ahead.position)
