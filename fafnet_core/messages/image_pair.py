"""What two images say of their cameras and frames, and whether depth is registered to colour."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from fafnet_core.camera import Camera, Size
from fafnet_core.messages.depth_camera import DepthCamera
from fafnet_core.messages.errors import Unregistered
from fafnet_core.messages.protocols import CameraInfoFields

_REGISTERED = re.compile(r"aligned|registered|registration|to_(color|colour|rgb)")
_COLOUR_FRAME = re.compile(r"colou?r|rgb")
_SAME_CAMERA = 0.01
"""Matrices that differ by less, over the focal length, are of one camera: drivers round them."""


def name_says_registered(name: str) -> bool:
    """Tell whether the name of a stream says that its depth is registered to colour."""
    return bool(_REGISTERED.search(name))


@dataclass(frozen=True)
class ImagePair:
    """A depth image and a colour image.

    Attributes:
        depth: what depth's camera_info says.
        depth_size: (height, width) of the depth image.
        depth_frame: its frame id.
        camera: of the colour image.
        colour_frame: its frame id.
        infos: camera_info of colour and of depth, where they came.
    """

    depth: DepthCamera
    depth_size: Size
    depth_frame: str
    camera: Camera
    colour_frame: str
    infos: tuple[CameraInfoFields | None, CameraInfoFields | None]

    @property
    def one_size(self) -> bool:
        """Whether both images have one size."""
        return self.depth_size == self.camera.size

    @property
    def one_frame(self) -> bool:
        """Whether both name one frame."""
        return self.depth_frame == self.colour_frame != ""

    def is_said(self, *, name_says: bool) -> bool:
        """Whether a name says that depth is registered: its stream's, or that of its frame."""
        return name_says or (self.one_frame and bool(_COLOUR_FRAME.search(self.depth_frame)))

    @property
    def matrices(self) -> str:
        """How the camera matrices differ."""
        if self.depth.camera is None:
            return ""
        of_depth, of_colour = self.depth.camera, self.camera
        names = ("fx", "fy", "cx", "cy")
        apart = [abs(getattr(of_depth, name) - getattr(of_colour, name)) for name in names]
        name = names[apart.index(max(apart))]
        ours, theirs = getattr(of_depth, name), getattr(of_colour, name)
        return f"its camera_info has another matrix ({name} {ours:.6g}, colour's {theirs:.6g})"

    def is_colours(self, depth_camera: Camera | None) -> bool:
        """Whether depth's camera is colour's, at depth's size."""
        if depth_camera is None:
            return False
        scaled = self.camera.scaled(self.depth_size)
        apart = np.abs(depth_camera.matrix - scaled.matrix)
        return bool((apart <= _SAME_CAMERA * scaled.fx).all())

    def unregistered(self, *, has_transform: bool = True, is_wanted: bool = True) -> Unregistered:
        """Why depth is not registered to colour."""
        return Unregistered(
            depth_frame=self.depth_frame,
            colour_frame=self.colour_frame,
            depth_size=self.depth_size,
            colour_size=self.camera.size,
            camera_problem=self.depth.problem,
            has_transform=has_transform,
            is_wanted=is_wanted,
        )
