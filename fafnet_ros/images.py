"""`Image` and `CameraInfo` to NumPy and back: the core's conversions, and what only ROS has.

cv_bridge's compiled part breaks beside a second NumPy or OpenCV. So the core converts all common
encodings by itself, and cv_bridge, where it is installed, is only asked for the rare ones.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from fafnet_core.camera import Camera
from fafnet_core.messages import images
from fafnet_core.messages.images import UnknownEncodingError

_OUTPUT: dict[str, tuple[np.dtype[Any], int]] = {
    "mono8": (np.dtype(np.uint8), 1),
    "rgb8": (np.dtype(np.uint8), 3),
    "16UC1": (np.dtype(np.uint16), 1),
    "16SC1": (np.dtype(np.int16), 1),
    "32SC1": (np.dtype(np.int32), 1),
    "32FC1": (np.dtype(np.float32), 1),
}


def image_to_rgb(message: Image) -> NDArray[np.uint8]:
    """Return colour as (H, W, 3) uint8 RGB; a view of the message where it holds rgb8.

    Raises:
        ValueError: sizes that do not add up, or an encoding that neither the core nor cv_bridge
            converts to colour.
    """
    try:
        return images.image_to_rgb(message)
    except UnknownEncodingError as error:
        return _through_cv_bridge(message, error)


def _through_cv_bridge(message: Image, unknown: UnknownEncodingError) -> NDArray[np.uint8]:
    try:
        from cv_bridge import CvBridge
    except ImportError as error:
        raise ValueError(
            f"{unknown}. Others need cv_bridge, which is not installed here: install"
            " ros-$ROS_DISTRO-cv-bridge"
        ) from error
    try:
        converted: NDArray[np.uint8] = CvBridge().imgmsg_to_cv2(message, "rgb8")
    except Exception as error:  # CvBridgeError derives from TypeError, its compiled part from more
        raise ValueError(f"{unknown}, and cv_bridge could not convert it ({error})") from error
    return converted


def array_to_image(array: NDArray[Any], encoding: str, header: Header) -> Image:
    """Return a message of this array, whose type is that of the encoding.

    mono8 and rgb8 are uint8, 16UC1 uint16, 16SC1 int16, 32SC1 int32, 32FC1 float32.

    Raises:
        ValueError: the array has not the encoding's type and channels.
    """
    dtype, channels = _OUTPUT[encoding]
    if array.dtype != dtype or array.shape[2:] != ((channels,) if channels > 1 else ()):
        raise ValueError(
            f"a {encoding} image takes {dtype} with {channels} channel(s), not {array.dtype}"
            f" {array.shape}"
        )
    message = Image(header=header, height=array.shape[0], width=array.shape[1], encoding=encoding)
    message.is_bigendian = int(sys.byteorder == "big")
    message.step = array.shape[1] * channels * dtype.itemsize
    # Appending to the message's own array takes 0.05 ms; assigning bytes or an ndarray is checked
    # element by element and takes up to 130 ms.
    message.data.frombytes(np.ascontiguousarray(array).data.cast("B"))
    return message


def camera_to_info(
    camera: Camera,
    header: Header,
    model: str = "plumb_bob",
    coefficients: Sequence[float] = (0.0,) * 5,
) -> CameraInfo:
    """Return the camera_info of a camera; its lens has no distortion unless that is given."""
    info = CameraInfo(header=header, height=camera.height, width=camera.width)
    info.distortion_model, info.d = model, list(coefficients)
    info.k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.p = [*info.k[:3], 0.0, *info.k[3:6], 0.0, *info.k[6:], 0.0]
    return info
