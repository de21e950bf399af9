"""Plants faults in a camera beside a running node, and writes what its diagnostics say.

python benchmarks/faults.py --out docs/diagnostics.md    # all of them, some ten minutes
python benchmarks/faults.py --only "Silent publisher"    # one, printed

Camera and node are processes of their own, connected by DDS.
"""

from __future__ import annotations

import argparse
import json
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from measuring import command_line
from processes import STARTUP_S, ros_arguments, start, use_own_domain
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header, String
from tqdm import tqdm

from fafnet_core.files import written_beside
from fafnet_ros.images import array_to_image
from fafnet_ros.outputs import IMAGE_QOS

_WIDTH = 94
_TYPES = {"Image": Image, "CompressedImage": CompressedImage, "String": String}

_HEAD = """\
# What diagnostics say

Each fault was planted in a camera beside a running node, both in processes of their own; this is
what `/diagnostics` then said (`ros2 topic echo --full-length /diagnostics`). A fault's remedy is in
its sentence; [troubleshooting.md](troubleshooting.md) goes the other way, from what one sees.
`python benchmarks/faults.py --out docs/diagnostics.md` plants them and writes this page.

At level OK, "segmenting" may be followed by what is good to know, such as a network that is slower
than the camera; "waiting for ..." and "nobody subscribes ..." say why nothing is segmented.
"""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """An RGB-D camera, healthy by default.

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


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        title: of the fault.
        camera: the one with the fault.
        parameters: of the node.
        others: more cameras.
        seconds: how long it takes until diagnostics are settled.
    """

    title: str
    camera: Camera = field(default_factory=Camera)
    parameters: dict[str, Any] = field(default_factory=dict)
    others: tuple[Camera, ...] = ()
    seconds: float = 9.0


_EXTRINSICS = {"depth_to_color": "[0.05,0.0,0.0,0.0,0.0,0.0,1.0]"}
_VGA = Camera(size=(640, 480), rate_hz=30.0)
FAULTS = (
    Fault(
        "No publisher, others of that type",
        Camera(
            rgb="/camera/camera/color/image_raw",
            depth="/camera/camera/aligned_depth_to_color/image_raw",
        ),
    ),
    Fault("Only depth not published", Camera(depth=None)),
    Fault(
        "Colour best effort, node asks reliable",
        Camera(reliability="BEST_EFFORT"),
        {"reliability": "reliable"},
    ),
    Fault("Another message type (CompressedImage)", Camera(colour_type="CompressedImage")),
    Fault("Another message type (String)", Camera(colour_type="String")),
    Fault("Silent publisher", Camera(silent_depth=True)),
    Fault("No camera_info", Camera(has_info=False)),
    Fault("Stamps 0.08 s apart, slop 0.04", Camera(depth_ahead_s=0.08, rate_hz=3.0)),
    Fault("Another clock (depth since boot)", Camera(depth_ahead_s=-1.7e9)),
    Fault("Another clock (depth 3 s behind)", Camera(depth_ahead_s=-3.0)),
    Fault("Clocks 0.5 s apart that pair all the same", Camera(depth_ahead_s=0.5)),
    Fault("Stamps 0 depth", Camera(zero_depth_stamps=True)),
    Fault("Stamps stand still", Camera(still=True)),
    Fault("Wrong resolution (camera_info of another size)", Camera(info_width=640)),
    Fault(
        "Wrong resolution (depth smaller, no extrinsics)",
        Camera(depth_size=(64, 48), depth_frame="depthcam"),
    ),
    Fault("Unregistered depth", Camera(depth_frame="depthcam")),
    Fault(
        "No camera_info of depth, which has to be registered",
        Camera(has_depth_info=False, depth_frame="depthcam"),
        _EXTRINSICS,
    ),
    Fault(
        "Depth with another camera's camera_info",
        Camera(depth_info_frame="infra", depth_frame="depthcam"),
        _EXTRINSICS,
    ),
    Fault("Flicker", Camera(every_third_unregistered=True), _EXTRINSICS),
    Fault("Uncalibrated", Camera(calibrated=False)),
    Fault("All depth invalid", Camera(empty_depth=True)),
    Fault("Two publishers", others=(Camera(name="other_camera"),)),
    Fault("Over age", _VGA, {"max_latency": 0.008}, seconds=16),
    Fault("Depth comes 1.5 s late", Camera(late_s=1.5)),
    Fault("Depth comes 0.6 s late, 30 Hz", Camera(late_s=0.6, rate_hz=30.0)),
    Fault("No such checkpoint", parameters={"checkpoint": "/models/nyu.safetensors"}),
    Fault("Encoding unknown", Camera(colour_encoding="rgb16x")),
)


class CameraNode(Node):
    """Publishes the images of a `Camera`."""

    def __init__(self, camera: Camera) -> None:
        super().__init__(camera.name)
        self._camera = camera
        self._begun = time.time()
        self._sent = 0
        self._waiting: list[tuple[float, Image]] = []
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy[camera.reliability])
        self._rgb = self.create_publisher(_TYPES[camera.colour_type], camera.rgb, qos)
        self._depth = self.create_publisher(Image, camera.depth, 5) if camera.depth else None
        self._rgb_info = self._depth_info = None
        if camera.has_info:
            self._rgb_info = self.create_publisher(CameraInfo, "rgb/camera_info", 5)
        if camera.depth and camera.has_depth_info:
            self._depth_info = self.create_publisher(CameraInfo, "depth/camera_info", 5)
        width, height = camera.size
        rng = np.random.default_rng(0)
        self._picture = rng.integers(0, 255, (height, width, 3)).astype(np.uint8)
        width, height = camera.depth_size or camera.size
        below = np.maximum(np.arange(height) - 0.6 * height, 0)[:, None].repeat(width, 1)
        self._image = (np.zeros_like(below) if camera.empty_depth else 3000 - 10 * below).astype(
            np.uint16
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1 / camera.rate_hz, self._take, clock=steady)
        self.create_timer(0.005, self._send_late, clock=steady)

    def _take(self) -> None:
        camera = self._camera
        self._sent += 1
        now = self._begun if camera.still else time.time()
        colour = Header(stamp=_stamp(now), frame_id="color")
        is_odd = camera.every_third_unregistered and self._sent % 3 == 0
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
        self._rgb.publish(self._colour_message(colour))
        if not camera.silent_depth:
            message = array_to_image(self._image, "16UC1", depth)
            self._waiting.append((time.time() + camera.late_s, message))

    def _send_late(self) -> None:
        while self._depth and self._waiting and self._waiting[0][0] <= time.time():
            self._depth.publish(self._waiting.pop(0)[1])

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


def planted(fault: Fault) -> DiagnosticStatus:
    """Run the node beside the camera; return its last diagnostics.

    Raises:
        RuntimeError: there were none.
    """
    use_own_domain()
    with ExitStack() as stack:
        for camera in (fault.camera, *fault.others):
            start(stack, __file__, "--camera", json.dumps(asdict(camera)), quiet=True)
        parameters = ros_arguments([f"{name}:={value}" for name, value in fault.parameters.items()])
        start(stack, "-m", "fafnet_ros.segment_node", *parameters, quiet=True)
        rclpy.init()
        stack.callback(rclpy.try_shutdown)
        onlooker = Node("onlooker")
        stack.callback(onlooker.destroy_node)
        said: list[DiagnosticStatus] = []
        onlooker.create_subscription(
            DiagnosticArray, "/diagnostics", lambda message: said.extend(message.status), 10
        )
        onlooker.create_subscription(Image, "/fafnet/labels", lambda _: None, IMAGE_QOS)
        _spin(onlooker, lambda: bool(said), STARTUP_S)
        if not said:
            raise RuntimeError(f"no diagnostics within {STARTUP_S:g} s")
        _spin(onlooker, lambda: False, fault.seconds)
        return said[-1]


def _spin(node: Node, until: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        rclpy.spin_once(node, timeout_sec=0.1)


def sections(faults: Sequence[Fault]) -> Iterator[str]:
    """Plant one fault after another; yield a section in Markdown for each."""
    levels = {DiagnosticStatus.OK: "OK", DiagnosticStatus.WARN: "WARN"}
    for fault in tqdm(faults, unit="fault", disable=None):
        said = planted(fault)
        text = textwrap.fill(
            said.message,
            _WIDTH,
            break_long_words=False,
            break_on_hyphens=False,
            initial_indent="> ",
            subsequent_indent="> ",
        )
        yield f"**{fault.title}**, {levels.get(said.level, 'ERROR')}:\n\n{text}\n"


def be_camera(camera: Camera) -> None:
    """Publish until interrupted."""
    rclpy.init()
    node = CameraNode(camera)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        pass
    finally:
        node.destroy_node()


def main() -> None:
    """Plant faults, or be the camera."""
    parser = command_line(__doc__)
    parser.add_argument("--out", type=Path, help="page to write; else all is printed")
    parser.add_argument("--only", choices=[fault.title for fault in FAULTS])
    parser.add_argument("--camera", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.camera is not None:
        be_camera(Camera(**json.loads(options.camera)))
        return
    wanted = [fault for fault in FAULTS if options.only in (None, fault.title)]
    page = "\n".join([_HEAD, *sections(wanted)])
    if options.out is None:
        print(page)
        return
    with written_beside(options.out) as beside:
        beside.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
