"""A camera with faults, in a process of its own; what it is may be changed while it runs.

python benchmarks/fault_camera.py '{"rate_hz": 30, "lost": 0.1}'

Each further line of its standard input is another `Camera`; it answers with how many frames it had
sent, and when the first of the new kind was sent.
"""

from __future__ import annotations

import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header, String

from fafnet_ros.images import array_to_image

_TYPES = {"Image": Image, "CompressedImage": CompressedImage, "String": String}


@dataclass(frozen=True, kw_only=True)
class Camera:
    """An RGB-D camera, healthy by default.

    A running one may become another: names, topics, types, `rate_hz` and `reliability` stay.

    Attributes:
        name: of its node.
        rgb: topic of colour; its camera_info is always `rgb/camera_info`.
        depth: topic of depth; None publishes none. Its camera_info is `depth/camera_info`.
        rate_hz: of the pairs.
        size: width and height of colour.
        depth_size: width and height of depth, where they differ.
        depth_frame: frame id of depth.
        every_third_unregistered: every third depth image is of another frame id.
        calibrated: False has focal lengths of 0.
        has_info: False publishes no camera_info of colour.
        has_depth_info: False publishes no camera_info of depth.
        depth_info_frame: frame id of depth's camera_info, where it differs from depth's.
        info_width: width in colour's camera_info, where it differs.
        reliability: of colour.
        colour_type: of the messages on colour's topic.
        colour_encoding: the encoding in colour's messages.
        silent_depth: depth has a publisher that sends nothing.
        empty_depth: depth is 0 everywhere.
        depth_ahead_s: how much later than colour depth is stamped.
        late_s: how much later than it was stamped depth is sent.
        zero_depth_stamps: the stamps of depth are 0.
        still: all stamps are those of the start.
        ahead_s: how far ahead of the clock all stamps are.
        backwards: stamps go back by as much as they should go on.
        lost: share of the images that are not sent, of colour and of depth each.
        jitter_s: how late an image is sent at most, so that they come out of order.
        depth_encoding: 16UC1 or 32FC1.
        silent_colour: nothing of colour is sent but its camera_info.
    """

    name: str = "camera"
    rgb: str = "rgb/image"
    depth: str | None = "depth/image"
    rate_hz: float = 10.0
    size: tuple[int, int] = (128, 96)
    depth_size: tuple[int, int] | None = None
    depth_frame: str = "color"
    every_third_unregistered: bool = False
    calibrated: bool = True
    has_info: bool = True
    has_depth_info: bool = True
    depth_info_frame: str | None = None
    info_width: int | None = None
    reliability: str = "RELIABLE"
    colour_type: str = "Image"
    colour_encoding: str = "rgb8"
    silent_depth: bool = False
    empty_depth: bool = False
    depth_ahead_s: float = 0.0
    late_s: float = 0.0
    zero_depth_stamps: bool = False
    still: bool = False
    ahead_s: float = 0.0
    backwards: bool = False
    lost: float = 0.0
    jitter_s: float = 0.0
    depth_encoding: str = "16UC1"
    silent_colour: bool = False


@dataclass(frozen=True, kw_only=True)
class Changed:
    """What a camera answers: frames sent before it changed, and when it did, in Unix seconds."""

    sent: int
    at: float


class CameraProcess:
    """A camera process, and the way to change it.

    Args:
        camera: what it is at first.
        domain: its ROS_DOMAIN_ID; None: this process's own.
        arguments: ROS arguments, as `-r __ns:=/left`.
    """

    def __init__(self, camera: Camera, domain: int | None = None, *arguments: str) -> None:
        environment = dict(os.environ)
        if domain is not None:
            environment["ROS_DOMAIN_ID"] = str(domain)
        ros = ["--ros-args", *arguments] if arguments else []
        self.process = subprocess.Popen(
            [sys.executable, __file__, json.dumps(asdict(camera)), *ros],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def become(self, camera: Camera) -> Changed:
        """Change it; wait until the first frame of the new kind is sent."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(asdict(camera)), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the camera ended with status {self.process.wait()}")
        return Changed(**json.loads(line))

    def end(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it."""
        self.process.send_signal(how)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class CameraNode(Node):
    """Publishes the images of a `Camera`."""

    def __init__(self, camera: Camera) -> None:
        super().__init__(camera.name)
        self.sent = 0
        self._begun = time.time()
        self._chance = random.Random(0)
        self._waiting: list[tuple[float, Any, Any]] = []
        self._become = queue.SimpleQueue[Camera]()
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy[camera.reliability])
        self._rgb = self.create_publisher(_TYPES[camera.colour_type], camera.rgb, qos)
        self._depth = self.create_publisher(Image, camera.depth, 5) if camera.depth else None
        self._rgb_info = self._depth_info = None
        if camera.has_info:
            self._rgb_info = self.create_publisher(CameraInfo, "rgb/camera_info", 5)
        if camera.depth and camera.has_depth_info:
            self._depth_info = self.create_publisher(CameraInfo, "depth/camera_info", 5)
        self._be(camera)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1 / camera.rate_hz, self._take, clock=steady)
        self.create_timer(0.005, self._send_late, clock=steady)

    def become(self, camera: Camera) -> None:
        """Be another camera with the next frame; from any thread."""
        self._become.put(camera)

    def _be(self, camera: Camera) -> None:
        self._camera = camera
        width, height = camera.size
        rng = np.random.default_rng(0)
        self._picture = rng.integers(0, 255, (height, width, 3)).astype(np.uint8)
        width, height = camera.depth_size or camera.size
        below = np.maximum(np.arange(height) - 0.6 * height, 0)[:, None].repeat(width, 1)
        mm = np.zeros_like(below) if camera.empty_depth else np.maximum(3000 - 10 * below, 500)
        if camera.depth_encoding == "32FC1":
            self._image: Any = (mm / 1000).astype(np.float32)
        else:
            self._image = mm.astype(np.uint16)

    def _take(self) -> None:
        now = time.time()
        while not self._become.empty():
            self._be(self._become.get())
            # For whoever counts: what was sent before, and when the other began.
            print(json.dumps({"sent": self.sent, "at": now}), flush=True)
        camera = self._camera
        self.sent += 1
        now += camera.ahead_s
        if camera.still or camera.backwards:
            now = self._begun if camera.still else 2 * self._begun - now
        colour = Header(stamp=_stamp(now), frame_id="color")
        is_odd = camera.every_third_unregistered and self.sent % 3 == 0
        depth = Header(
            stamp=Time() if camera.zero_depth_stamps else _stamp(now + camera.depth_ahead_s),
            frame_id="depthcam" if is_odd else camera.depth_frame,
        )
        if self._rgb_info:
            width, height = camera.size
            info = self._info(colour, width, height)
            info.width = camera.info_width or width
            self._rgb_info.publish(info)
        if self._depth_info:
            header = Header(stamp=depth.stamp, frame_id=camera.depth_info_frame or depth.frame_id)
            self._depth_info.publish(self._info(header, *(camera.depth_size or camera.size)))
        if not camera.silent_colour:
            self._send(self._rgb, self._colour_message(colour))
        if self._depth and not camera.silent_depth:
            message = array_to_image(self._image, camera.depth_encoding, depth)
            self._send(self._depth, message, camera.late_s)

    def _send(self, publisher: Any, message: Any, late_s: float = 0.0) -> None:
        """Publish now, later or never."""
        camera = self._camera
        if camera.lost and self._chance.random() < camera.lost:
            return
        late_s += self._chance.uniform(0, camera.jitter_s)
        if late_s:
            self._waiting.append((time.time() + late_s, publisher, message))
        else:
            publisher.publish(message)

    def _send_late(self) -> None:
        now = time.time()
        due = sorted((entry for entry in self._waiting if entry[0] <= now), key=lambda e: e[0])
        self._waiting = [entry for entry in self._waiting if entry[0] > now]
        for _, publisher, message in due:
            publisher.publish(message)

    def _colour_message(self, header: Header) -> Any:
        if self._camera.colour_type == "CompressedImage":
            return CompressedImage(header=header)
        if self._camera.colour_type == "String":
            return String()
        message = array_to_image(self._picture, "rgb8", header)
        message.encoding = self._camera.colour_encoding
        return message

    def _info(self, header: Header, width: int, height: int) -> CameraInfo:
        f = 0.85 * width if self._camera.calibrated else 0.0
        cx, cy = (width - 1) / 2, (height - 1) / 2
        return CameraInfo(
            header=header,
            width=width,
            height=height,
            k=[f, 0.0, cx, 0.0, f, cy, 0.0, 0.0, 1.0],
            p=[f, 0.0, cx, 0.0, 0.0, f, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
            r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        )


def _stamp(seconds: float) -> Time:
    sec, nanosec = divmod(round(seconds * 1e9), 1_000_000_000)
    return Time(sec=sec, nanosec=nanosec)


def _follow(node: CameraNode) -> None:
    for line in sys.stdin:
        node.become(Camera(**json.loads(line)))


def main() -> None:
    """Publish until interrupted."""
    rclpy.init(args=sys.argv[2:])
    node = CameraNode(Camera(**json.loads(sys.argv[1])))
    threading.Thread(target=_follow, args=(node,), daemon=True).start()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()


if __name__ == "__main__":
    main()
