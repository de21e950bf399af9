"""Compressed images (`sensor_msgs/CompressedImage`) to colour and depth, and back.

What image_transport's plugins send, unpacked without them. Colour is a JPEG or PNG file. Depth
(`compressedDepth`) is 12 bytes, little endian: an int32, float32 A, float32 B; and then a PNG or
RVL image of 16 bits. For 16UC1 its counts are the depth's; for 32FC1 they are disparities q, and
depth is A / (q - B) metres, q = 0 where there is none.
"""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.image_files import JPEG, PNG, read_header
from fafnet_core.messages.images import (
    bayer_conversion,
    check_scale,
    converted,
    counts_to_depth_m,
)
from fafnet_core.messages.protocols import CompressedImageFields, as_bytes
from fafnet_core.messages.rvl import check_size, decode_rvl, encode_rvl

COLOUR_METHODS = ("jpeg", "png")
DEPTH_METHODS = ("png", "rvl")

_PARAMETERS = struct.Struct("<iff")
_INVERSE_DEPTH = 0
_COUNTS = ("16UC1", "mono16")
_UNSTATED = ("", *DEPTH_METHODS, *(f"compressedDepth{how}" for how in ("", " png", " rvl")))
"""What stands before the first semicolon where the encoding does not."""


def compressed_to_rgb(message: CompressedImageFields) -> NDArray[np.uint8]:
    """Return colour as (H, W, 3) uint8 RGB; grey is repeated, 16-bit values give their high byte.

    `format` tells whether red and blue are exchanged in a PNG file ("...; png compressed rgb8") and
    whether it holds a Bayer mosaic; without one (only "png"), the file is taken as it is. A JPEG
    file is taken as it is: a sender of "jpeg compressed rgb8" has an encoder that takes RGB.

    Raises:
        ValueError: neither JPEG nor PNG, cut short or damaged.
    """
    encoding, _, how = message.format.partition(";")
    mosaic = bayer_conversion(encoding.strip())
    if mosaic is not None and "compressed bgr" not in how and "compressed rgb" not in how:
        return converted(_decode(message, cv2.IMREAD_GRAYSCALE), mosaic)
    # Drivers' EXIF data turns pictures, but not camera_info.
    image = _decode(message, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    is_exchanged = "compressed rgb" in how and _begins_with(as_bytes(message.data), PNG)
    return image if is_exchanged else converted(image, cv2.COLOR_BGR2RGB)


def compressed_to_depth_m(
    message: CompressedImageFields, *, depth_scale: float | None = None
) -> NDArray[np.float32]:
    """Return depth as (H, W) float32 metres, 0 where there is none.

    A PNG without the 12 bytes (depth that went through the plugin for colour) is taken too. Where
    `format` does not state the encoding, the two numbers of the 12 bytes tell: they are those of
    disparities, or it is 16UC1.

    Args:
        message: `compressedDepth` of 16UC1, mono16 or 32FC1, as PNG or RVL.
        depth_scale: as in `images.image_to_depth_m`.

    Raises:
        ValueError: another format, cut short or damaged.
    """
    encoding = message.format.partition(";")[0].strip()
    data = as_bytes(message.data)
    if _begins_with(data, PNG) and encoding != "32FC1":
        return counts_to_depth_m(_decode_counts(data, message.format), depth_scale)
    image = data[_PARAMETERS.size :]
    is_png = _begins_with(image, PNG)
    if not is_png and ("compressedDepth" not in message.format or data.size < _PARAMETERS.size):
        raise ValueError(
            f"depth in format '{message.format}' of {data.size} bytes came; wanted"
            " 'compressedDepth' (PNG or RVL): take the topic that ends in /compressedDepth. JPEG"
            " would change the metres"
        )
    _, a, b = _PARAMETERS.unpack(data[: _PARAMETERS.size].tobytes())
    if is_png:
        counts = _decode_counts(image, message.format)
    elif "rvl" in message.format.lower():
        counts = decode_rvl(image)
    else:
        raise ValueError(f"depth in format '{message.format}' came, but its data is no PNG image")
    if encoding in _UNSTATED:
        encoding = "32FC1" if _are_of_disparities(a, b) else "16UC1"
    if encoding in _COUNTS:
        return counts_to_depth_m(counts, depth_scale)
    if encoding == "32FC1":
        return _from_disparities(counts, a, b, depth_scale)
    raise ValueError(
        f"compressed depth of encoding '{encoding}' came; wanted {', '.join(_COUNTS)} or 32FC1"
    )


def encode_compressed_rgb(
    rgb: NDArray[np.uint8], method: str = "jpeg", *, quality: int = 95
) -> tuple[str, bytes]:
    """Return `format` and `data` of colour (H, W, 3) uint8; `quality` 0 to 100 is JPEG's."""
    _check_method(method, COLOUR_METHODS)
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    jpeg = method == "jpeg"
    parameters = (cv2.IMWRITE_JPEG_QUALITY, quality) if jpeg else (cv2.IMWRITE_PNG_COMPRESSION, 1)
    _, file = cv2.imencode(".jpg" if jpeg else ".png", bgr, parameters)
    return f"rgb8; {method} compressed bgr8", file.tobytes()


def encode_compressed_depth(
    depth: NDArray[np.uint16] | NDArray[np.float32],
    method: str = "png",
    *,
    depth_max_m: float = 10.0,
    quantisation: float = 100.0,
    png_level: int = 1,
) -> tuple[str, bytes]:
    """Return `format` and `data` as image_transport's plugin writes them.

    Args:
        depth: (H, W); uint16 is kept as it is, float32 metres become 16-bit disparities.
        method: "png" or "rvl".
        depth_max_m: float depth from here on is left out (as are zero, NaN and infinities).
        quantisation: the plugin's `depth_quantization`, z. Depth d is stored in steps of about
            d^2 / (z (z + 1)) metres, 2.5 mm at 5 m for 100; nearer than z (z + 1) / 65535 metres,
            0.15 m, there is none.
        png_level: zlib's level, 0 to 9; the plugin's own default, 9, takes many times longer.

    Raises:
        ValueError: an array that is no depth image, or an unknown method.
    """
    _check_method(method, DEPTH_METHODS)
    if depth.ndim != 2 or depth.dtype not in (np.uint16, np.float32):
        raise ValueError(
            f"depth to compress is (H, W) uint16 or float32, not {depth.dtype} {depth.shape}"
        )
    a = b = 0.0
    encoding, counts = "16UC1", depth
    if depth.dtype != np.uint16:
        a = quantisation * (quantisation + 1)
        b = 1 - a / depth_max_m
        encoding, counts = "32FC1", _to_disparities(depth, a, b, depth_max_m)
    if method == "rvl":
        image = encode_rvl(counts.astype(np.uint16, copy=False))
    else:
        _, file = cv2.imencode(".png", counts, (cv2.IMWRITE_PNG_COMPRESSION, png_level))
        image = file.tobytes()
    parameters = _PARAMETERS.pack(_INVERSE_DEPTH, a, b)
    return f"{encoding}; compressedDepth {method}", parameters + image


# Disparities


def _from_disparities(
    counts: NDArray[np.uint16], a: float, b: float, depth_scale: float | None
) -> NDArray[np.float32]:
    check_scale(depth_scale)
    if not (np.isfinite([a, b]).all() and a > 0):
        raise ValueError(
            f"compressed 32FC1 depth has the parameters A = {a:g}, B = {b:g}; A has to be above"
            " zero. The sender does not fill in the 12 bytes before its image"
        )
    with np.errstate(divide="ignore"):
        depth_m = np.float32(a) / (counts.astype(np.float32) - np.float32(b))
    depth_m[(counts == 0) | (depth_m < 0) | np.isinf(depth_m)] = 0
    return depth_m if depth_scale is None else depth_m * np.float32(depth_scale)


def _are_of_disparities(a: float, b: float) -> bool:
    """Whether A and B can be what the plugin writes for 32FC1: they say the farthest depth."""
    if not (np.isfinite([a, b]).all() and 1 <= a <= 1e9 and b < 1):
        return False
    return 0.1 <= a / (1 - b) <= 1000  # metres


def _to_disparities(
    depth_m: NDArray[Any], a: float, b: float, depth_max_m: float
) -> NDArray[np.uint16]:
    nearest = np.float32(a / (np.iinfo(np.uint16).max - b))
    # NaN is in no range.
    within = (depth_m >= nearest) & (depth_m < depth_max_m)
    counts = np.zeros(depth_m.shape, np.uint16)
    counts[within] = np.rint(a / depth_m[within].astype(np.float64) + b)
    return counts


# Files


def _decode_counts(data: NDArray[np.uint8], format_: str) -> NDArray[np.uint16]:
    counts = _decode_file(data, cv2.IMREAD_UNCHANGED, format_)
    if counts.dtype != np.uint16 or counts.ndim != 2:
        raise ValueError(
            f"depth in format '{format_}' holds {counts.dtype} {counts.shape}; it has to be one"
            " channel of 16 bits. A picture made for looking at has lost its metres"
        )
    return counts


def _decode(message: CompressedImageFields, flags: int) -> NDArray[np.uint8]:
    return _decode_file(as_bytes(message.data), flags, message.format)


def _decode_file(data: NDArray[np.uint8], flags: int, format_: str) -> NDArray[Any]:
    """Decode a whole JPEG or PNG file; OpenCV would paint what is missing grey, and not say so."""
    if not (_begins_with(data, PNG) or _begins_with(data, JPEG)):
        raise ValueError(
            f"a compressed image of format '{format_}' and {data.size} bytes came; wanted JPEG or"
            " PNG. Have its publisher send one of them, or use the raw topic"
        )
    header = read_header(data.tobytes())
    if header is None or not header.is_whole:
        raise ValueError(
            f"a compressed image of format '{format_}' was cut short after {data.size} bytes, or it"
            " is damaged"
        )
    check_size(header.width, header.height)
    try:
        image = cv2.imdecode(data, flags)
    except cv2.error:
        image = None
    if image is None:
        raise ValueError(f"a compressed image of format '{format_}' is damaged: no pixels in it")
    return image


def _begins_with(data: NDArray[np.uint8], signature: bytes) -> bool:
    return data[: len(signature)].tobytes() == signature


def _check_method(method: str, known: tuple[str, ...]) -> None:
    if method not in known:
        raise ValueError(f"compression '{method}' is not known; it is one of {', '.join(known)}")
