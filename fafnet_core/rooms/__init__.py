"""Synthetic rooms: ray-cast colour, true depth and exact labels from two separate cameras."""

from fafnet_core.rooms.camera import Pose, look_at, pinhole
from fafnet_core.rooms.render import Lamp, RoomView, Scene, render
from fafnet_core.rooms.room import Room, make_room
from fafnet_core.rooms.sensor import SensorConfig
from fafnet_core.rooms.views import Tour, choose_view

__all__ = [
    "Lamp",
    "Pose",
    "Room",
    "RoomView",
    "Scene",
    "SensorConfig",
    "Tour",
    "choose_view",
    "look_at",
    "make_room",
    "pinhole",
    "render",
]
