"""The fields that a message needs: those of `sensor_msgs`, whatever its class.

rclpy's classes and those of rosbags both fit. `data` is bytes in any form that NumPy can look at
without copying.
"""

from __future__ import annotations

from array import array
from typing import Any, Protocol, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

ByteData = Union[bytes, bytearray, memoryview, "array[int]", NDArray[np.uint8]]

_SECOND = 1_000_000_000


class StampFields(Protocol):
    """`builtin_interfaces/Time`: seconds and nanoseconds beside them."""

    sec: int
    nanosec: int


class HeaderFields(Protocol):
    """`std_msgs/Header`: when the picture was taken (0 from drivers that do not say), and where."""

    stamp: StampFields
    frame_id: str


class ImageFields(Protocol):
    """`sensor_msgs/Image`.

    Attributes:
        encoding: channels and type, as `sensor_msgs/image_encodings.hpp` names them.
        is_bigendian: whether numbers of several bytes begin with the highest one.
        step: bytes from one row to the next.
        data: the rows.
    """

    header: HeaderFields
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: ByteData


class CompressedImageFields(Protocol):
    """`sensor_msgs/CompressedImage`.

    Attributes:
        format: what is in `data`, as image_transport's plugins write it; see `compressed`.
        data: the compressed image.
    """

    header: HeaderFields
    format: str
    data: ByteData


class RegionFields(Protocol):
    """`sensor_msgs/RegionOfInterest`, in pixels of the full image; a side of 0 means all."""

    x_offset: int
    y_offset: int
    height: int
    width: int


class CameraInfoFields(Protocol):
    """`sensor_msgs/CameraInfo`, with the names of ROS 2 (ROS 1 wrote `D K R P`).

    Attributes:
        height: rows of the full image.
        width: its columns.
        distortion_model: what `d` means.
        d: distortion.
        k: (9,) camera matrix of raw images, row by row; `k[0]` 0: not calibrated.
        p: (12,) projection of rectified images.
        binning_x: columns of the sensor for one pixel; 0 means 1.
        binning_y: rows of the sensor for one pixel; 0 means 1.
        roi: the part that was taken.
    """

    header: HeaderFields
    height: int
    width: int
    distortion_model: str
    d: ArrayLike
    k: ArrayLike
    p: ArrayLike
    binning_x: int
    binning_y: int
    roi: RegionFields


def stamp_ns(header: HeaderFields) -> int:
    """Return a header's stamp in nanoseconds."""
    return int(header.stamp.sec) * _SECOND + int(header.stamp.nanosec)


def as_bytes(data: ByteData) -> NDArray[np.uint8]:
    """Return `data` as a flat uint8 array that shares its memory; read-only where `data` is."""
    view: NDArray[Any] = np.frombuffer(data, np.uint8)
    return view
