"""`sensor_msgs/Image` to NumPy and back, without copying where the message allows it.

Plain NumPy for the common encodings: cv_bridge's compiled part breaks beside a second NumPy or
OpenCV, and is only asked, where it is installed, for the rare ones (Bayer, YUV). Row padding
(`step`) and both byte orders are honoured. Units follow REP-118: 16UC1 is millimetres with 0
invalid, 32FC1 metres with NaN or infinities invalid.
"""

from __future__ import annotations

import sys
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header

MILLIMETRE = np.float32(0.001)
SATURATED = np.iinfo(np.uint16).max
"""What many sensors send where they gave up: no depth, as in the core's own files."""

# encoding: channels, conversion to RGB (None: as it is)
_COLOUR: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
}
# mono16 is how ROS 1 drivers and their converted recordings call the same millimetres.
_DEPTH: dict[str, str] = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}

_OUTPUT: dict[str, tuple[np.dtype[Any], int]] = {
    "mono8": (np.dtype(np.uint8), 1),
    "rgb8": (np.dtype(np.uint8), 3),
    "16UC1": (np.dtype(np.uint16), 1),
    "32FC1": (np.dtype(np.float32), 1),
}


def _view(message: Image, dtype: str, channels: int) -> NDArray[Any]:
    """Return the pixels in place: (H, W, channels), or (H, W) for one channel."""
    item = np.dtype((">" if message.is_bigendian else "<") + dtype)
    pixel = item.itemsize * channels
    height, width, step = message.height, message.width, message.step
    if height == 0 or width == 0:
        raise ValueError(f"an image of {width}x{height} pixels came; the driver sent no picture")
    if step < width * pixel:
        raise ValueError(
            f"image step is {step} bytes, but a row of {width} {message.encoding} pixels takes"
            f" {width * pixel}; the driver fills `step` or `encoding` wrongly"
        )
    needed = step * (height - 1) + width * pixel
    if len(message.data) < needed:
        raise ValueError(
            f"image data holds {len(message.data)} bytes, but {width}x{height}"
            f" {message.encoding} with step {step} takes {needed}; the message was cut short"
        )
    shape, strides = (height, width, channels), (step, pixel, item.itemsize)
    pixels: NDArray[Any] = np.ndarray(shape, item, memoryview(message.data), strides=strides)
    return pixels[..., 0] if channels == 1 else pixels


def image_to_rgb(message: Image) -> NDArray[np.uint8]:
    """Return colour as (H, W, 3) uint8 RGB; a view of the message where it holds rgb8.

    Raises:
        ValueError: sizes that do not add up, or an encoding that is not colour.
    """
    if message.encoding not in _COLOUR:
        return _through_cv_bridge(message, "rgb8", "colour", sorted(_COLOUR))
    channels, conversion = _COLOUR[message.encoding]
    pixels = _view(message, "u1", channels)
    if conversion is None:
        return pixels
    rgb: NDArray[np.uint8] = cv2.cvtColor(pixels, conversion)  # type: ignore[assignment]
    return rgb


def image_to_depth_m(message: Image) -> NDArray[np.float32]:
    """Return depth as (H, W) float32 metres; invalid pixels stay 0, NaN or infinite.

    Raises:
        ValueError: sizes that do not add up, or an encoding that is not depth.
    """
    if message.encoding not in _DEPTH:
        raise ValueError(
            f"depth encoding '{message.encoding}' came; wanted {', '.join(sorted(_DEPTH))}."
            " Is the depth topic remapped to a colour image?"
        )
    pixels = _view(message, _DEPTH[message.encoding], 1)
    if pixels.dtype.kind == "u":
        depth_m: NDArray[np.float32] = np.multiply(pixels, MILLIMETRE, dtype=np.float32)
        depth_m[pixels == SATURATED] = 0
        return depth_m
    return np.ascontiguousarray(pixels, np.float32)


def _through_cv_bridge(
    message: Image, wanted: str, kind: str, known: list[str]
) -> NDArray[np.uint8]:
    try:
        from cv_bridge import CvBridge
    except ImportError as error:
        raise ValueError(
            f"{kind} encoding '{message.encoding}' came; wanted {', '.join(known)}. Others need"
            f" cv_bridge, which is not installed here: install ros-$ROS_DISTRO-cv-bridge"
        ) from error
    try:
        converted: NDArray[np.uint8] = CvBridge().imgmsg_to_cv2(message, wanted)
    except Exception as error:  # CvBridgeError derives from TypeError, its compiled part from more
        raise ValueError(
            f"{kind} encoding '{message.encoding}' came; wanted {', '.join(known)}, and cv_bridge"
            f" could not convert it ({error})"
        ) from error
    return converted


def array_to_image(array: NDArray[Any], encoding: str, header: Header) -> Image:
    """Return a message of this array: mono8 or rgb8 uint8, 16UC1 uint16, 32FC1 float32.

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
