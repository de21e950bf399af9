"""What a message has to have: the fields of `sensor_msgs`, whoever made the class.

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
    """`builtin_interfaces/Time`."""

    @property
    def sec(self) -> int:
        """Whole seconds."""

    @property
    def nanosec(self) -> int:
        """Nanoseconds beside them."""


class HeaderFields(Protocol):
    """`std_msgs/Header`."""

    @property
    def stamp(self) -> StampFields:
        """When the picture was taken; 0 from drivers that do not say."""

    @property
    def frame_id(self) -> str:
        """The coordinate frame."""


class ImageFields(Protocol):
    """`sensor_msgs/Image`."""

    @property
    def header(self) -> HeaderFields:
        """Stamp and frame."""

    @property
    def height(self) -> int:
        """Rows."""

    @property
    def width(self) -> int:
        """Columns."""

    @property
    def encoding(self) -> str:
        """Channels and type, as `sensor_msgs/image_encodings.hpp` names them."""

    @property
    def is_bigendian(self) -> int | bool:
        """Whether numbers of several bytes begin with the highest one."""

    @property
    def step(self) -> int:
        """Bytes from one row to the next."""

    @property
    def data(self) -> ByteData:
        """The rows."""


class CompressedImageFields(Protocol):
    """`sensor_msgs/CompressedImage`."""

    @property
    def header(self) -> HeaderFields:
        """Stamp and frame."""

    @property
    def format(self) -> str:
        """What is in `data`, as image_transport's plugins write it; see `compressed`."""

    @property
    def data(self) -> ByteData:
        """The compressed image."""


class RegionFields(Protocol):
    """`sensor_msgs/RegionOfInterest`."""

    @property
    def x_offset(self) -> int:
        """First column, of the full image."""

    @property
    def y_offset(self) -> int:
        """First row, of the full image."""

    @property
    def height(self) -> int:
        """Rows of the full image; 0: all."""

    @property
    def width(self) -> int:
        """Columns of the full image; 0: all."""


class CameraInfoFields(Protocol):
    """`sensor_msgs/CameraInfo`, with the names of ROS 2 (ROS 1 wrote `D K R P`)."""

    @property
    def header(self) -> HeaderFields:
        """Stamp and frame."""

    @property
    def height(self) -> int:
        """Rows of the full image."""

    @property
    def width(self) -> int:
        """Columns of the full image."""

    @property
    def distortion_model(self) -> str:
        """What `d` means."""

    @property
    def d(self) -> ArrayLike:
        """Distortion."""

    @property
    def k(self) -> ArrayLike:
        """(9,) camera matrix of raw images, row by row; `k[0]` 0: uncalibrated."""

    @property
    def r(self) -> ArrayLike:
        """(9,) rectifying rotation."""

    @property
    def p(self) -> ArrayLike:
        """(12,) projection of rectified images."""

    @property
    def binning_x(self) -> int:
        """Columns of the sensor to a pixel; 0 means 1."""

    @property
    def binning_y(self) -> int:
        """Rows of the sensor to a pixel; 0 means 1."""

    @property
    def roi(self) -> RegionFields:
        """The part that was taken."""


def stamp_ns(header: HeaderFields) -> int:
    """Return a header's stamp in nanoseconds."""
    return int(header.stamp.sec) * _SECOND + int(header.stamp.nanosec)


def as_bytes(data: ByteData) -> NDArray[np.uint8]:
    """Return `data` as a flat uint8 array that shares its memory; read-only where `data` is."""
    view: NDArray[Any] = np.frombuffer(data, np.uint8)
    return view
