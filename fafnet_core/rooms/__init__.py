"""Synthetic rooms: ray-cast colour, true depth and exact labels from two separate cameras."""

from fafnet_core.rooms.camera import PinholeCamera, Pose, look_at
from fafnet_core.rooms.render import Lamp, Rendering, Scene, render
from fafnet_core.rooms.room import Room, make_room
from fafnet_core.rooms.sensor import SensorConfig
from fafnet_core.rooms.solids import Box, Ellipsoid, Frustum, Shell
from fafnet_core.rooms.views import Tour, choose_view

__all__ = [
    "Box",
    "Ellipsoid",
    "Frustum",
    "Lamp",
    "PinholeCamera",
    "Pose",
    "Rendering",
    "Room",
    "Scene",
    "SensorConfig",
    "Shell",
    "Tour",
    "choose_view",
    "look_at",
    "make_room",
    "render",
]
