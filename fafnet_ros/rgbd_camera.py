"""Publishes RGB-D frames on the topics a camera driver would: what both camera nodes share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from fafnet_core.data import RgbdFrame
from fafnet_ros.images import array_to_image

DEPTH_ENCODINGS = ("16UC1", "32FC1")
RELIABILITIES = ("reliable", "best_effort")

_LARGEST_MILLIMETRES = np.iinfo(np.uint16).max - 1


class RgbdCamera:
    """The four topics of a camera whose depth is registered to its colour image.

    `rgb/image` (rgb8), `depth/image` (16UC1 millimetres or 32FC1 metres, REP-118) and a
    `camera_info` beside each, all with the same stamp and frame id.
    """

    def __init__(self, node: Node, reliability: str, depth_encoding: str) -> None:
        profile = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=5,
            reliability=ReliabilityPolicy[reliability.upper()],
        )
        self._depth_encoding = depth_encoding
        self._publishers: dict[str, Any] = {
            topic: node.create_publisher(kind, topic, profile)
            for side in ("rgb", "depth")
            for topic, kind in ((f"{side}/camera_info", CameraInfo), (f"{side}/image", Image))
        }

    def topic(self, name: str) -> str:
        """Return the full name of one of the four topics after remapping."""
        full: str = self._publishers[name].topic_name
        return full

    @property
    def subscribers(self) -> int:
        """How many subscribe to both images."""
        images = ("rgb/image", "depth/image")
        return min(int(self._publishers[name].get_subscription_count()) for name in images)

    def publish(self, frame: RgbdFrame, stamp: Time) -> None:
        """Publish one frame under this stamp and its own frame id."""
        header = Header(stamp=stamp.to_msg(), frame_id=frame.frame_id)
        info = camera_info(frame, header)
        depth = array_to_image(
            encode_depth(frame.depth_m, self._depth_encoding), self._depth_encoding, header
        )
        # The small messages first: whoever gets the images has the camera already.
        self._publishers["rgb/camera_info"].publish(info)
        self._publishers["depth/camera_info"].publish(info)
        self._publishers["rgb/image"].publish(array_to_image(frame.rgb, "rgb8", header))
        self._publishers["depth/image"].publish(depth)


def encode_depth(depth_m: NDArray[np.float32], encoding: str) -> NDArray[Any]:
    """Return metres as the encoding wants them: 16UC1 rounds to millimetres, 0 is invalid."""
    if encoding == "32FC1":
        return np.where(depth_m > 0, depth_m, np.float32(np.nan)).astype(np.float32)
    millimetres = np.nan_to_num(depth_m * np.float32(1000), nan=0.0, posinf=0.0, neginf=0.0)
    within = (millimetres > 0) & (millimetres <= _LARGEST_MILLIMETRES)
    return np.where(within, np.rint(millimetres), 0).astype(np.uint16)


def camera_info(frame: RgbdFrame, header: Header) -> CameraInfo:
    """Return the camera_info of an undistorted camera with the frame's matrix."""
    height, width = frame.depth_m.shape
    matrix = frame.camera_matrix
    info = CameraInfo(header=header, height=height, width=width, distortion_model="plumb_bob")
    info.d = [0.0] * 5
    info.k = matrix.ravel().tolist()
    info.r = np.eye(3).ravel().tolist()
    info.p = np.hstack([matrix, np.zeros((3, 1))]).ravel().tolist()
    return info
