"""Doors of messages: what any program on the robot's network may publish."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from door import Door
from numpy.typing import NDArray

from fafnet_core.messages.camera_info import camera_of, lens_of
from fafnet_core.messages.compressed import (
    compressed_to_depth_m,
    compressed_to_rgb,
    encode_compressed_depth,
    encode_compressed_rgb,
)
from fafnet_core.messages.images import image_to_depth_m, image_to_rgb
from fafnet_core.messages.rvl import decode_rvl, encode_rvl

_HEADER = SimpleNamespace(stamp=SimpleNamespace(sec=1, nanosec=2), frame_id="camera")
_IMAGE = struct.Struct("<IIIBB")
_COLOUR = (
    "rgb8", "bgr8", "rgba8", "bgra8", "mono8", "rgb16", "bgr16", "rgba16", "bgra16", "mono16",
    "yuv422", "uyvy", "yuv422_yuy2", "yuyv", "nv12", "nv21", "8UC1", "8UC3", "8UC4",
    *(f"bayer_{order}{bits}" for order in ("rggb", "bggr", "gbrg", "grbg") for bits in (8, 16)),
)  # fmt: skip
_DEPTH = ("16UC1", "mono16", "32FC1", "64FC1", "TYPE_16UC1")
_STRANGE = ("", "16SC1", "jpeg", "rgb8\0", "TYPE_", "\u202e")

_FORMATS = (
    "rgb8; jpeg compressed bgr8", "jpeg", "png", "rgb8; png compressed rgb8", "", ";;;",
    "bayer_rggb8; jpeg compressed", "16UC1; compressedDepth png", "32FC1; compressedDepth rvl",
    "16UC1; compressedDepth rvl", "32FC1; compressedDepth", "compressedDepth", "; rvl", "mono16;",
)  # fmt: skip
_INFO = struct.Struct("<IIHH9d12dIIIIIIBB8d")
_MODELS = ("plumb_bob", "rational_polynomial", "equidistant", "", "thin_prism")


def _picture(height: int = 24, width: int = 32) -> NDArray[np.uint8]:
    rows, columns = np.indices((height, width))
    return np.stack([rows * 5, columns * 4, rows + columns], axis=2).astype(np.uint8)


def _counts() -> NDArray[np.uint16]:
    counts = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) + 700
    counts[5:9, 3:12] = 0
    return counts


def _packed(array: NDArray[Any], place: int, *, big: bool = False, padding: int = 0) -> bytes:
    """An image message as bytes: its numbers, the place of its encoding, its rows."""
    rows: NDArray[np.uint8] = np.ascontiguousarray(array).view(np.uint8).reshape(array.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)))
    height, width = array.shape[:2]
    return _IMAGE.pack(height, width, rows.shape[1], big, place) + rows.tobytes()


def _image(data: bytes, encodings: Sequence[str]) -> Any:
    data = data.ljust(_IMAGE.size, b"\0")
    height, width, step, big, place = _IMAGE.unpack_from(data)
    every = (*encodings, *_STRANGE)
    return SimpleNamespace(
        header=_HEADER, height=height, width=width, step=step, is_bigendian=big,
        encoding=every[place % len(every)], data=data[_IMAGE.size :],
    )  # fmt: skip


def _colour_seeds(folder: Path) -> list[bytes]:
    picture = _picture()
    channels = {"8": 3, "a8": 4, "a16": 4, "16": 3}
    seeds = []
    for place, name in enumerate(_COLOUR):
        kind = np.uint16 if name.endswith("16") else np.uint8
        if name.startswith(("rgb", "bgr")):
            array = np.resize(picture.astype(kind), (24, 32, channels[name[3:]]))
        elif name.startswith(("yu", "uyvy")):
            array = np.resize(picture, (24, 32, 2))
        elif name.startswith("nv"):
            array = np.resize(picture, (36, 32))
        elif name.startswith("8UC"):
            array = np.resize(picture, (24, 32, int(name[-1])))
        else:
            array = np.resize(picture.astype(kind), (24, 32))
        packed = bytearray(_packed(array, place, big=bool(place % 2)))
        packed[:4] = struct.pack("<I", 24)  # NV12 has half as many rows again in its data
        seeds.append(bytes(packed))
    return [*seeds, _packed(picture, 0, padding=7)]


def _depth_seeds(folder: Path) -> list[bytes]:
    counts = _counts()
    metres = (counts / 1000).astype(np.float32)
    return [
        _packed(counts, 0), _packed(counts.byteswap(), 1, big=True), _packed(metres, 2),
        _packed(metres.astype(np.float64), 3, padding=8), _packed(counts, 4),
    ]  # fmt: skip


def _compressed(data: bytes) -> Any:
    place = data[0] if data else 0
    format_ = _FORMATS[place % len(_FORMATS)]
    return SimpleNamespace(header=_HEADER, format=format_, data=data[1:])


def _with_format(format_: str, data: bytes) -> bytes:
    return bytes([_FORMATS.index(format_)]) + data


def _compressed_colour_seeds(folder: Path) -> list[bytes]:
    picture = _picture()
    mosaic = cv2.imencode(".png", picture[..., 0])[1].tobytes()
    deep = cv2.imencode(".png", picture.astype(np.uint16) * 256)[1].tobytes()
    slow = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_PROGRESSIVE, 1))[1].tobytes()
    return [
        _with_format("rgb8; jpeg compressed bgr8", encode_compressed_rgb(picture)[1]),
        _with_format("rgb8; png compressed rgb8", encode_compressed_rgb(picture, "png")[1]),
        _with_format("bayer_rggb8; jpeg compressed", mosaic),
        _with_format("png", deep),
        _with_format("jpeg", slow),
    ]


def _compressed_depth_seeds(folder: Path) -> list[bytes]:
    counts = _counts()
    metres = (counts / 1000).astype(np.float32)
    plain = cv2.imencode(".png", counts)[1].tobytes()
    return [
        _with_format("16UC1; compressedDepth png", encode_compressed_depth(counts)[1]),
        _with_format("16UC1; compressedDepth rvl", encode_compressed_depth(counts, "rvl")[1]),
        _with_format("32FC1; compressedDepth", encode_compressed_depth(metres)[1]),
        _with_format("32FC1; compressedDepth rvl", encode_compressed_depth(metres, "rvl")[1]),
        _with_format("mono16;", plain),
    ]


def _rvl_seeds(folder: Path) -> list[bytes]:
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 2**16, (24, 32)).astype(np.uint16)
    holes = np.where(rng.random((24, 32)) < 0.5, 0, noise).astype(np.uint16)
    return [encode_rvl(image) for image in (_counts(), noise, holes, np.zeros_like(noise))]


def _info_seeds(folder: Path) -> list[bytes]:
    k = (500.0, 0, 320, 0, 500, 240, 0, 0, 1)
    p = (500.0, 0, 320, 0, 0, 500, 240, 0, 0, 0, 1, 0)
    lens = (0.1, -0.2, 0.001, 0.001, 0.05, 0.0, 0.0, 0.0)
    whole = _INFO.pack(480, 640, 480, 640, *k, *p, 0, 0, 0, 0, 0, 0, 0, 5, *lens)
    part = _INFO.pack(480, 640, 120, 160, *k, *p, 2, 2, 100, 50, 240, 320, 1, 8, *lens)
    fish = _INFO.pack(0, 0, 480, 640, *k, *([0.0] * 12), 1, 1, 0, 0, 0, 0, 2, 4, *lens)
    return [whole, part, fish]


def _camera_info(data: bytes, folder: Path) -> None:
    values = _INFO.unpack(data[: _INFO.size].ljust(_INFO.size, b"\0"))
    height, width, rows, columns = values[:4]
    by, bx, x, y, roi_height, roi_width, model, count = values[25:33]
    roi = SimpleNamespace(x_offset=x, y_offset=y, height=roi_height, width=roi_width)
    info = SimpleNamespace(
        header=_HEADER, height=height, width=width, k=values[4:13], p=values[13:25],
        binning_x=bx, binning_y=by, roi=roi, d=values[33 : 33 + count % 9],
        distortion_model=_MODELS[model % len(_MODELS)],
    )  # fmt: skip
    camera = camera_of(info, (rows, columns))
    lens = lens_of(info)
    camera_of(info, (rows, columns), rectified=True)
    if lens is not None:
        lens.undistorted([(0, 0), (camera.cx, camera.cy), (columns - 1, rows - 1)], camera)


DOORS = (
    Door(
        "image message, colour",
        _colour_seeds,
        lambda data, _: image_to_rgb(_image(data, _COLOUR)),
    ),
    Door(
        "image message, depth",
        _depth_seeds,
        lambda data, _: image_to_depth_m(_image(data, _DEPTH)),
    ),
    Door(
        "compressed colour",
        _compressed_colour_seeds,
        lambda data, _: compressed_to_rgb(_compressed(data)),
    ),
    Door(
        "compressedDepth",
        _compressed_depth_seeds,
        lambda data, _: compressed_to_depth_m(_compressed(data)),
    ),
    Door("RVL", _rvl_seeds, lambda data, _: decode_rvl(data)),
    Door("camera_info", _info_seeds, _camera_info),
)  # fmt: skip
