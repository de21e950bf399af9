"""An RGB-D camera in the test's own hands: healthy, but for what is asked for."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import Any

from conftest import Ros
from sensor_msgs.msg import CameraInfo, Image, Imu

HEIGHT = 48
AT_REST = (0.0, -9.80665, 0.0)
"""What an accelerometer measures in the frame of a level camera."""

_KINDS = {
    "rgb/camera_info": CameraInfo,
    "depth/camera_info": CameraInfo,
    "rgb/image": Image,
    "depth/image": Image,
    "imu": Imu,
}


def _put_stamp(message: Any, stamp_s: float) -> None:
    seconds, rest = divmod(round(stamp_s * 1e9), 10**9)
    message.header.stamp.sec, message.header.stamp.nanosec = seconds, rest


class HandCamera:
    """Publishes single messages on a camera's topics, some tens of pixels wide."""

    def __init__(self, ros: Ros, *topics: str) -> None:
        self._ros = ros
        self._publishers = {
            topic: ros.node.create_publisher(_KINDS[topic], topic, 100) for topic in topics
        }
        ros.wait_for(
            lambda: all(p.get_subscription_count() for p in self._publishers.values()),
            "a subscription to each topic",
        )

    def close(self) -> None:
        """Take the topics away."""
        for publisher in self._publishers.values():
            self._ros.node.destroy_publisher(publisher)

    def send_info(
        self,
        topic: str,
        stamp_s: float,
        *,
        width: int = 64,
        focal: float = 60.0,
        frame: str = "colour",
    ) -> None:
        """Send a camera_info."""
        info = CameraInfo(width=width, height=HEIGHT)
        info.k = [focal, 0.0, 31.5, 0.0, focal, 23.5, 0.0, 0.0, 1.0]
        info.header.frame_id = frame
        _put_stamp(info, stamp_s)
        self._publishers[topic].publish(info)

    def send_colour(self, stamp_s: float, *, width: int = 64, topic: str = "rgb/image") -> None:
        """Send a grey image."""
        self._send(topic, "rgb8", b"\x07\x07\x07", width, stamp_s, "colour")

    def send_depth(
        self, stamp_s: float, *, width: int = 64, depth_mm: int = 2000, frame: str = "colour"
    ) -> None:
        """Send a wall."""
        self._send("depth/image", "16UC1", struct.pack("<H", depth_mm), width, stamp_s, frame)

    def _send(
        self, topic: str, encoding: str, pixel: bytes, width: int, stamp_s: float, frame: str
    ) -> None:
        image = Image(width=width, height=HEIGHT, encoding=encoding, step=width * len(pixel))
        image.header.frame_id = frame
        _put_stamp(image, stamp_s)
        image.data.frombytes(pixel * (width * HEIGHT))
        self._publishers[topic].publish(image)

    def send(
        self,
        stamp_s: float,
        *,
        width: int = 64,
        depth_width: int | None = None,
        depth_frame: str = "colour",
    ) -> None:
        """Send a colour and a depth image, and give the node a moment."""
        self.send_colour(stamp_s, width=width)
        self.send_depth(stamp_s, width=depth_width or width, frame=depth_frame)
        self._ros.spin(0.1)

    def take(self, stamp_s: float, *, width: int = 64, focal: float = 60.0) -> None:
        """Send a frame with its camera_info."""
        self.send_info("rgb/camera_info", stamp_s, width=width, focal=focal)
        self.send(stamp_s, width=width)

    def send_imu(
        self,
        stamp_s: float,
        force: tuple[float, float, float] = AT_REST,
        *,
        frame: str = "colour",
        covariance: float = 0.0,
    ) -> None:
        """Send what an IMU measures."""
        message = Imu()
        message.header.frame_id = frame
        _put_stamp(message, stamp_s)
        acceleration = message.linear_acceleration
        acceleration.x, acceleration.y, acceleration.z = force
        message.linear_acceleration_covariance[0] = covariance
        self._publishers["imu"].publish(message)

    def run(
        self,
        send: Callable[[int], None],
        until: Callable[[], Any],
        what: str,
        rate_hz: float = 20.0,
    ) -> None:
        """Call `send` with 0, 1, ... at an even rate until the condition holds."""
        begun, count = time.monotonic(), 0

        def is_there() -> bool:
            nonlocal count
            while time.monotonic() >= begun + count / rate_hz:
                send(count)
                count += 1
            return bool(until())

        self._ros.wait_for(is_there, what)
