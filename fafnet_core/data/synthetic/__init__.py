"""Synthetic rooms: ray-cast colour, exact metric depth and exact labels from a moving camera."""

from fafnet_core.data.synthetic.camera import PinholeCamera, look_at, sway
from fafnet_core.data.synthetic.rooms import studio
from fafnet_core.data.synthetic.scene import Box, Cylinder, Rendering, Scene, render

__all__ = [
    "Box",
    "Cylinder",
    "PinholeCamera",
    "Rendering",
    "Scene",
    "look_at",
    "render",
    "studio",
    "sway",
]
