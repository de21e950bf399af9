"""Raw images (`sensor_msgs/Image`) to colour and depth, without copying where they allow it.

Row padding (`step`) and both byte orders are honoured. Units of depth follow REP-118: 16UC1 is
millimetres with 0 invalid, 32FC1 metres with NaN or infinities invalid.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.messages.protocols import ImageFields, as_bytes

MILLIMETRE = 0.001
SATURATED = np.iinfo(np.uint16).max
"""What many sensors send where they gave up: no depth, as in the core's own files."""

# encoding: bytes of a value, channels, conversion to RGB (None: as it is)
_COLOUR: dict[str, tuple[int, int, int | None]] = {
    "rgb8": (1, 3, None),
    "bgr8": (1, 3, cv2.COLOR_BGR2RGB),
    "rgba8": (1, 4, cv2.COLOR_RGBA2RGB),
    "bgra8": (1, 4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, 1, cv2.COLOR_GRAY2RGB),
    "rgb16": (2, 3, None),
    "bgr16": (2, 3, cv2.COLOR_BGR2RGB),
    "rgba16": (2, 4, cv2.COLOR_RGBA2RGB),
    "bgra16": (2, 4, cv2.COLOR_BGRA2RGB),
    "mono16": (2, 1, cv2.COLOR_GRAY2RGB),
    "yuv422": (1, 2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": (1, 2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": (1, 2, cv2.COLOR_YUV2RGB_YUYV),
    "yuyv": (1, 2, cv2.COLOR_YUV2RGB_YUYV),
    "yuy2": (1, 2, cv2.COLOR_YUV2RGB_YUYV),
    # OpenCV's names, which say nothing of colours: as OpenCV and cv_bridge have them.
    "8UC1": (1, 1, cv2.COLOR_GRAY2RGB),
    "8UC3": (1, 3, cv2.COLOR_BGR2RGB),
    "8UC4": (1, 4, cv2.COLOR_BGRA2RGB),
}
_PLANES: dict[str, int] = {
    "nv12": cv2.COLOR_YUV2RGB_NV12,
    "nv21": cv2.COLOR_YUV2RGB_NV21,
}
"""Brightness of each pixel, then the colour of each four, in rows of the same length."""
# ROS names a mosaic by its first two rows, OpenCV by the second and third pixel of its second row.
_BAYER: dict[str, int] = {
    "bayer_rggb": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg": cv2.COLOR_BayerGB2RGB,
}
_COLOUR |= {f"{name}8": (1, 1, conversion) for name, conversion in _BAYER.items()}
_COLOUR |= {f"{name}16": (2, 1, conversion) for name, conversion in _BAYER.items()}
_IN_PAIRS = ("yuv422", "uyvy", "yuv422_yuy2", "yuyv", "yuy2")
"""Two neighbours share their colour: the width has to be even."""

# mono16 is how ROS 1 drivers and their converted recordings call the same millimetres.
_DEPTH: dict[str, str] = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4", "64FC1": "f8"}
DEPTH_ENCODINGS = tuple(_DEPTH)


class UnknownEncodingError(ValueError):
    """An encoding that is not converted here.

    Attributes:
        encoding: the encoding that came.
    """

    def __init__(self, encoding: str, text: str) -> None:
        super().__init__(text)
        self.encoding = encoding


def plain_encoding(encoding: str) -> str:
    """Return an encoding's usual name: some drivers write YUYV, NV12, TYPE_16UC1."""
    name = encoding.removeprefix("TYPE_")
    return name.lower() if name.lower() in {*_COLOUR, *_PLANES} else name


def image_to_rgb(message: ImageFields) -> NDArray[np.uint8]:
    """Return colour as (H, W, 3) uint8 RGB; a view of the message where it holds rgb8.

    16-bit values give their high byte; a Bayer mosaic is interpolated.

    Raises:
        UnknownEncodingError: an encoding that is not colour, or that is not known here.
        ValueError: sizes that do not add up.
    """
    encoding = plain_encoding(message.encoding)
    if encoding in _PLANES:
        return _planes_to_rgb(message, _PLANES[encoding])
    if encoding not in _COLOUR:
        wanted = ", ".join((*_COLOUR, *_PLANES))
        raise UnknownEncodingError(
            message.encoding, f"colour encoding '{message.encoding}' came; wanted {wanted}"
        )
    size, channels, conversion = _COLOUR[encoding]
    if encoding in _IN_PAIRS and message.width % 2:
        raise ValueError(
            f"a {encoding} image {message.width} pixels wide came; pairs of pixels share their"
            " colour, so the width has to be even"
        )
    pixels = _rows(message, np.dtype(np.uint8), size * channels)
    if size == 2:
        pixels = pixels[..., 0 if message.is_bigendian else 1 :: 2]
    if conversion is None:
        return pixels
    if channels == 1:
        pixels = pixels[..., 0]
    return converted(pixels, conversion)


def _planes_to_rgb(message: ImageFields, conversion: int) -> NDArray[np.uint8]:
    if message.width % 2 or message.height % 2:
        raise ValueError(
            f"a {message.encoding} image of {message.width}x{message.height} pixels came; four"
            " pixels share their colour, so both sides have to be even"
        )
    rows = _rows(message, np.dtype(np.uint8), 1, height=message.height * 3 // 2)
    return converted(np.ascontiguousarray(rows[..., 0]), conversion)


def converted(pixels: NDArray[np.uint8], conversion: int) -> NDArray[np.uint8]:
    """Return `cv2.cvtColor` of these pixels, in whatever way they lie in memory."""
    rgb: NDArray[np.uint8] = cv2.cvtColor(pixels, conversion)  # type: ignore[assignment]
    return rgb


def bayer_conversion(encoding: str) -> int | None:
    """Return OpenCV's conversion of an 8-bit Bayer encoding to RGB; None for any other encoding."""
    return _BAYER.get(encoding[:-1]) if encoding.endswith("8") else None


def image_to_depth_m(
    message: ImageFields, *, depth_scale: float | None = None
) -> NDArray[np.float32]:
    """Return depth as (H, W) float32 metres; invalid pixels are 0, NaN or infinite.

    Args:
        message: 16UC1 or mono16 (millimetres), 32FC1 (metres, of which it may be a view), 64FC1.
        depth_scale: metres of one count (of one unit for floats), where the driver's unit is not
            its encoding's.

    Raises:
        UnknownEncodingError: an encoding that is not depth.
        ValueError: sizes that do not add up, or a scale that is not above zero.
    """
    encoding = plain_encoding(message.encoding)
    if encoding not in _DEPTH:
        raise UnknownEncodingError(
            message.encoding,
            f"depth encoding '{message.encoding}' came; wanted {', '.join(sorted(_DEPTH))}",
        )
    order = ">" if message.is_bigendian else "<"
    values = _rows(message, np.dtype(order + _DEPTH[encoding]), 1)[..., 0]
    if values.dtype.kind == "u":
        return counts_to_depth_m(values, depth_scale)
    check_scale(depth_scale)
    depth_m = np.ascontiguousarray(values, np.float32)
    return depth_m if depth_scale is None else depth_m * np.float32(depth_scale)


def counts_to_depth_m(
    counts: NDArray[np.unsignedinteger[Any]], depth_scale: float | None
) -> NDArray[np.float32]:
    """Return 16-bit counts (H, W) as float32 metres; 0 and 65535 give 0, None is millimetres."""
    check_scale(depth_scale)
    unit_m = np.float32(MILLIMETRE if depth_scale is None else depth_scale)
    depth_m: NDArray[np.float32] = np.multiply(counts, unit_m, dtype=np.float32)
    depth_m[counts == SATURATED] = 0
    return depth_m


def check_scale(depth_scale: float | None) -> None:
    """Raise ValueError unless a depth scale is a number above zero, or None."""
    if depth_scale is not None and not (math.isfinite(depth_scale) and depth_scale > 0):
        raise ValueError(
            f"depth_scale is {depth_scale:g}; it is the metres of one count, 0.001 for millimetres"
        )


def _rows(
    message: ImageFields, item: np.dtype[Any], channels: int, *, height: int | None = None
) -> NDArray[Any]:
    """Return the values in place, (H, W, channels); `height` where it is not the image's."""
    pixel = item.itemsize * channels
    height = message.height if height is None else height
    width, step = message.width, message.step
    if height == 0 or width == 0:
        raise ValueError(f"an image of {width}x{height} pixels came; the driver sent no picture")
    if step < width * pixel:
        raise ValueError(
            f"image step is {step} bytes, but a row of {width} {message.encoding} pixels takes"
            f" {width * pixel}; the driver fills `step` or `encoding` wrongly"
        )
    data = as_bytes(message.data)
    needed = step * (height - 1) + width * pixel
    if data.size < needed:
        raise ValueError(
            f"image data holds {data.size} bytes, but {width}x{height}"
            f" {message.encoding} with step {step} takes {needed}; the message was cut short"
        )
    shape, strides = (height, width, channels), (step, pixel, item.itemsize)
    return np.ndarray(shape, item, data, strides=strides)
