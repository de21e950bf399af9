"""The node `/frame_player`: publishes a folder of colour and depth images as a camera would.

See `fafnet_core.datasets.frame_layouts` for what a folder looks like.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.time import Time
from rosgraph_msgs.msg import Clock as ClockMessage

from fafnet_core.datasets.frame_folder import FrameFolder
from fafnet_core.datasets.frame_layouts import AUTO
from fafnet_ros.cameras.rgbd_camera import (
    CameraParameters,
    PreparedFrame,
    RgbdCamera,
)
from fafnet_ros.parameters import declare_parameters, parameter, read_parameters
from fafnet_ros.running import run

_DISCOVERY_S = 0.5

_MOST_KEPT = 40
"""A folder of so few frames is read once: decoding 640x480 at 30 Hz takes a third of a core."""


@dataclass(frozen=True)
class FramePlayerParameters(CameraParameters):
    """The parameters of `frame_player`."""

    folder: str = parameter("", "Folder with color/, depth/ and camera.yaml, or as layout says.")
    layout: str = parameter(
        AUTO, "How frames lie in the folder: plain, tum, scannet, record3d, open3d, realsense."
    )
    camera_file: str = parameter("", "Camera file, where it is not the folder's camera.yaml.")
    loop: bool = parameter(True, "Begin again after the last frame; otherwise end.")
    wait_for_subscribers: Annotated[int, "0 <= x <= 100"] = parameter(
        0, "Begin when this many subscribe to both images."
    )
    clock: bool = parameter(
        False, "Publish /clock, which starts at 1 s and advances with the frames, for use_sim_time."
    )
    depth_frame_id: str = parameter(
        "", "Frame id of depth, where it is not registered to colour; empty: that of all messages."
    )
    depth_encoding: Literal["auto", "16UC1", "32FC1"] = parameter(
        "auto", "Encoding of depth; auto is 16UC1 where the folder's depth is in millimetres."
    )


class FramePlayer(Node):
    """Publishes the frames of a folder at an even rate."""

    def __init__(self) -> None:
        super().__init__("frame_player")
        declare_parameters(self, FramePlayerParameters)
        self._settings = settings = read_parameters(self, FramePlayerParameters)
        if not settings.folder:
            raise ValueError("parameter folder is empty; set it: -p folder:=<folder>")
        self._frames = FrameFolder(
            settings.folder, settings.camera_file or None, layout=settings.layout
        )
        self.get_logger().info(self._frames.found)
        for note in self._frames.notes:
            self.get_logger().warning(note)
        if self._frames.unpaired:
            self.get_logger().warning(
                f"{len(self._frames.unpaired)} images have only colour or only depth and are left"
                f" out, the first is '{self._frames.unpaired[0]}'"
            )
        encoding: str = settings.depth_encoding
        if encoding == "auto":
            in_mm = self._frames.depth_in_counts and self._frames.camera.depth_unit_m == 0.001
            encoding = "16UC1" if in_mm else "32FC1"
        self._camera = RgbdCamera(self, settings, encoding)
        self._clock_publisher = (
            self.create_publisher(ClockMessage, "/clock", 10) if settings.clock else None
        )
        self._kept: dict[int, PreparedFrame] = {}
        # One frame is read and encoded ahead, so that the timer only publishes.
        self._reader = ThreadPoolExecutor(1, "frame reader")
        self._published = 0
        self._alone_until = time.monotonic()
        self._next: Future[PreparedFrame] = self._reader.submit(self._read, 0)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1 / settings.rate, self._tick, clock=steady)
        self.get_logger().info(
            f"{len(self._frames)} frames at {settings.rate:g} Hz on"
            f" {' and '.join(self._camera.topics)}"
        )

    def _read(self, number: int) -> PreparedFrame:
        index, settings = number % len(self._frames), self._settings
        if index in self._kept:
            return self._kept[index]
        named = replace(self._frames[index], frame_id=settings.frame_id)
        prepared = self._camera.prepare(named, settings.depth_frame_id or None)
        if settings.loop and len(self._frames) <= _MOST_KEPT:
            self._kept[index] = prepared
        return prepared

    def _tick(self) -> None:
        settings, done = self._settings, self._published
        if done == 0 and not self._has_listeners():
            return
        if done == len(self._frames) and not settings.loop:
            self._end()
        frame = self._next.result()
        self._next = self._reader.submit(self._read, done + 1)
        self._camera.publish(frame, self._stamp())
        self._published += 1

    def _has_listeners(self) -> bool:
        """Whether as many as wanted have subscribed, and had time to discover us.

        Discovery goes one way at a time: a subscriber that we see may not see us yet, and would
        lose the first frame or its camera_info.
        """
        wanted, now = self._settings.wait_for_subscribers, time.monotonic()
        if self._camera.subscribers < wanted:
            self._alone_until = now
        return wanted == 0 or now - self._alone_until >= _DISCOVERY_S

    def _stamp(self) -> Time:
        if self._clock_publisher is None:
            now: Time = self.get_clock().now()
            return now
        stamp = Time(nanoseconds=1_000_000_000 + round(self._published * 1e9 / self._settings.rate))
        self._clock_publisher.publish(ClockMessage(clock=stamp.to_msg()))
        return stamp

    def _end(self) -> None:
        self.get_logger().info(f"published {self._published} frames")
        raise SystemExit(0)

    def close(self) -> None:
        """Stop reading ahead."""
        self._reader.shutdown(cancel_futures=True)


def main() -> int:
    """Run the node; 1 where the folder cannot be played."""
    try:
        return run(FramePlayer)
    except (ValueError, OSError) as error:
        print(f"frame_player: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
