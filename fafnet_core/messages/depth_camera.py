"""What the camera_info beside a depth image says of its camera, or why it says nothing."""

from __future__ import annotations

from dataclasses import dataclass

from fafnet_core.camera import Camera, Size
from fafnet_core.messages.camera_info import camera_of
from fafnet_core.messages.protocols import CameraInfoFields


@dataclass(frozen=True)
class DepthCamera:
    """The depth camera of one frame.

    Attributes:
        camera: of the depth image; None where its camera_info does not say it.
        problem: why it does not, with the remedy; None where it does.
        others: what the camera_info states, though of another frame; else None.
        has_come: there is a camera_info.
    """

    camera: Camera | None = None
    problem: str | None = None
    others: Camera | None = None
    has_come: bool = True


def depth_camera(
    info: CameraInfoFields | None, frame: str, size: Size, *, rectified: bool = False
) -> DepthCamera:
    """Return what a camera_info says of a depth image.

    Some drivers send images of two cameras on one topic. A camera_info of another frame id is of
    another camera; where the image or the camera_info has no frame id, they are taken as one.

    Args:
        info: the camera_info, if one came.
        frame: the depth image's frame id.
        size: (height, width) of the depth image.
        rectified: the image is rectified: the matrix comes from P.
    """
    if info is None:
        return DepthCamera(problem="no camera_info of depth came", has_come=False)
    unfit = "the camera_info of depth does not serve"
    try:
        camera = camera_of(info, size, rectified=rectified)
    except ValueError as error:
        return DepthCamera(problem=f"{unfit} ({error})")
    its_frame = info.header.frame_id
    if _is_another_frame(its_frame, frame):
        problem = (
            f"{unfit} (it is of frame '{its_frame}', the image of '{frame}': take the camera_info"
            " beside this very image, or have the driver give both one frame id)"
        )
        return DepthCamera(problem=problem, others=camera)
    return DepthCamera(camera)


def _is_another_frame(one: str, other: str) -> bool:
    """Tell whether both name a frame, and not the same; ROS 1 began some names with a slash."""
    one, other = one.lstrip("/"), other.lstrip("/")
    return one != other and one != "" and other != ""
