"""What the camera_info beside a depth image says of its camera, or why it says nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fafnet_core.messages.camera_info import camera_matrix
from fafnet_core.messages.protocols import CameraInfoFields


@dataclass(frozen=True)
class DepthCamera:
    """The depth camera of one frame.

    Attributes:
        matrix: (3, 3) float64 of the depth image; None where its camera_info does not say it.
        problem: why it does not, with the remedy; empty where it does.
        others: (3, 3) float64 that the camera_info states, though of another frame; else None.
        has_not_come: there is no camera_info.
    """

    matrix: NDArray[np.float64] | None = None
    problem: str = ""
    others: NDArray[np.float64] | None = None
    has_not_come: bool = False


def depth_camera(
    info: CameraInfoFields | None,
    frame: str,
    shape: tuple[int, ...],
    *,
    rectified: bool = False,
    topic: str = "",
) -> DepthCamera:
    """Return what a camera_info says of a depth image.

    A driver that flickers sends images of two cameras on one topic: what is of another frame is of
    another camera. Only where one of both names no frame it is taken on trust.

    Args:
        info: the camera_info, if one came.
        frame: the depth image's frame id.
        shape: of the depth image.
        rectified: the image is rectified: the matrix comes from P.
        topic: where the camera_info comes from, for the problem; empty: not known.
    """
    source = f" on {topic}" if topic else ""
    if info is None:
        return DepthCamera(problem=f"no camera_info of depth came{source}", has_not_come=True)
    unfit = f"the camera_info of depth{source} does not serve"
    height, width = shape
    try:
        matrix = camera_matrix(info, width, height, rectified=rectified, has_parameter=False)
    except ValueError as error:
        return DepthCamera(problem=f"{unfit} ({error})")
    its_frame = info.header.frame_id
    if _is_another_frame(its_frame, frame):
        problem = (
            f"{unfit} (it is of frame '{its_frame}', the image of '{frame}': take the camera_info"
            " beside this very image, or have the driver give both one frame id)"
        )
        return DepthCamera(problem=problem, others=matrix)
    return DepthCamera(matrix)


def _is_another_frame(one: str, other: str) -> bool:
    """Tell whether both name a frame, and not the same; ROS 1 began some names with a slash."""
    one, other = one.lstrip("/"), other.lstrip("/")
    return one != other and one != "" and other != ""
