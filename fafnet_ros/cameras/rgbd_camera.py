"""Publishes RGB-D frames on the topics a camera driver would: what both camera nodes share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from fafnet_core.frame import RgbdFrame
from fafnet_core.messages.compressed import encode_compressed_depth, encode_compressed_rgb
from fafnet_ros.images import array_to_image, camera_to_info
from fafnet_ros.parameters import Parameters, parameter

_LARGEST_MILLIMETRES = np.iinfo(np.uint16).max - 1

# transport: message, and what is added to the name of the colour and of the depth topic
_IMAGES: dict[str, tuple[type, str, str]] = {
    "raw": (Image, "", ""),
    "compressed": (CompressedImage, "/compressed", "/compressedDepth"),
}


@dataclass(frozen=True)
class CameraParameters(Parameters):
    """The parameters that both camera nodes have."""

    rate: Annotated[float, "0.1 <= x <= 240"] = parameter(30.0, "Frames per second.")
    frame_id: str = parameter("camera_color_optical_frame", "Frame id of all messages.")
    transport: Literal["raw", "compressed"] = parameter(
        "raw", "Raw images, or JPEG and compressedDepth in their place."
    )
    depth_compression: Literal["png", "rvl"] = parameter(
        "png", "How depth is compressed; both are lossless for 16UC1."
    )
    reliability: Literal["reliable", "best_effort"] = parameter(
        "reliable", "What its publishers offer."
    )


@dataclass(frozen=True)
class PreparedFrame:
    """A frame, encoded but not stamped: it may be published many times.

    Attributes:
        frame: the frame.
        depth_frame_id: coordinate frame of the depth image.
        color: the image, or `format` and data of the compressed one.
        depth: likewise.
    """

    frame: RgbdFrame
    depth_frame_id: str
    color: NDArray[np.uint8] | tuple[str, bytes]
    depth: NDArray[Any] | tuple[str, bytes]


class RgbdCamera:
    """The four topics of a camera.

    `rgb/image` (rgb8), `depth/image` (16UC1 millimetres or 32FC1 metres, REP-118) and a
    `camera_info` beside each, all with one stamp. Under the transport `compressed` the images are
    `rgb/image/compressed` (JPEG) and `depth/image/compressedDepth`, in place of the raw ones.
    """

    def __init__(self, node: Node, parameters: CameraParameters, depth_encoding: str) -> None:
        reliability = ReliabilityPolicy[parameters.reliability.upper()]
        profile = QoSProfile(depth=5, reliability=reliability)
        is_compressed = parameters.transport == "compressed"
        self._depth_encoding = depth_encoding
        self._compression = parameters.depth_compression if is_compressed else None
        kind, color_suffix, depth_suffix = _IMAGES[parameters.transport]
        publish = node.create_publisher
        self._color_info = publish(CameraInfo, "rgb/camera_info", profile)
        self._color = publish(kind, f"rgb/image{color_suffix}", profile)
        self._depth_info = publish(CameraInfo, "depth/camera_info", profile)
        self._depth = publish(kind, f"depth/image{depth_suffix}", profile)

    @property
    def topics(self) -> tuple[str, str]:
        """The full names of the two image topics, colour and depth, after remapping."""
        return str(self._color.topic_name), str(self._depth.topic_name)

    @property
    def subscribers(self) -> int:
        """How many subscribe to both images."""
        return min(int(images.get_subscription_count()) for images in (self._color, self._depth))

    def prepare(self, frame: RgbdFrame, depth_frame_id: str | None = None) -> PreparedFrame:
        """Encode and compress a frame.

        Args:
            frame: the frame.
            depth_frame_id: frame id of depth; None: the same as that of colour.
        """
        depth = encode_depth(frame.depth_m, self._depth_encoding)
        of_depth = depth_frame_id or frame.frame_id
        if self._compression is None:
            return PreparedFrame(frame, of_depth, frame.rgb, depth)
        color = encode_compressed_rgb(frame.rgb)
        compressed = encode_compressed_depth(depth, self._compression)
        return PreparedFrame(frame, of_depth, color, compressed)

    def publish(self, prepared: PreparedFrame, stamp: Time) -> None:
        """Publish a frame under this stamp."""
        frame, time = prepared.frame, stamp.to_msg()
        of_color = Header(stamp=time, frame_id=frame.frame_id)
        of_depth = Header(stamp=time, frame_id=prepared.depth_frame_id)
        # The small messages first, so that they are there when the images come.
        self._color_info.publish(camera_to_info(frame.camera, of_color))
        self._depth_info.publish(camera_to_info(frame.camera, of_depth))
        self._color.publish(_message(prepared.color, "rgb8", of_color))
        self._depth.publish(_message(prepared.depth, self._depth_encoding, of_depth))


def _message(
    image: NDArray[Any] | tuple[str, bytes], encoding: str, header: Header
) -> Image | CompressedImage:
    if isinstance(image, np.ndarray):
        return array_to_image(image, encoding, header)
    message = CompressedImage(header=header, format=image[0])
    message.data.frombytes(image[1])
    return message


def encode_depth(depth_m: NDArray[np.float32], encoding: str) -> NDArray[Any]:
    """Return metres in an encoding: 16UC1 is rounded to millimetres, 0 is invalid."""
    if encoding == "32FC1":
        return np.where(depth_m > 0, depth_m, np.float32(np.nan)).astype(np.float32)
    millimetres = np.nan_to_num(depth_m * np.float32(1000), nan=0.0, posinf=0.0, neginf=0.0)
    within = (millimetres > 0) & (millimetres <= _LARGEST_MILLIMETRES)
    return np.where(within, np.rint(millimetres), 0).astype(np.uint16)
