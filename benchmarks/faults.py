"""Plants faults in a camera beside a running node, and writes what its diagnostics say.

python benchmarks/faults.py --out docs/diagnostics.md    # all of them, some ten minutes
python benchmarks/faults.py --only "Silent publisher"    # one, printed

Camera and node are processes of their own, connected by DDS.
"""

from __future__ import annotations

import json
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import fault_camera
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fault_camera import Camera
from measuring import command_line
from processes import STARTUP_S, ros_arguments, start, use_own_domain
from rclpy.node import Node
from sensor_msgs.msg import Image
from tqdm import tqdm

from fafnet_core.files import written_beside
from fafnet_ros.outputs import IMAGE_QOS

_WIDTH = 94

_HEAD = """\
# What diagnostics say

Each fault was planted in a camera beside a running node, both in processes of their own; this is
what `/diagnostics` then said (`ros2 topic echo --full-length /diagnostics`). A fault's remedy is in
its sentence; [troubleshooting.md](troubleshooting.md) goes the other way, from what one sees.
`python benchmarks/faults.py --out docs/diagnostics.md` plants them and writes this page.

At level OK, "segmenting" may be followed by what is good to know, such as a network that is slower
than the camera; "waiting for ..." and "nobody subscribes ..." say why nothing is segmented.
"""


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


def planted(fault: Fault) -> DiagnosticStatus:
    """Run the node beside the camera; return its last diagnostics.

    Raises:
        RuntimeError: there were none.
    """
    use_own_domain()
    with ExitStack() as stack:
        for camera in (fault.camera, *fault.others):
            start(stack, fault_camera.__file__, json.dumps(asdict(camera)), quiet=True)
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


def main() -> None:
    """Plant faults, and write what is said."""
    parser = command_line(__doc__)
    parser.add_argument("--out", type=Path, help="page to write; else all is printed")
    parser.add_argument("--only", choices=[fault.title for fault in FAULTS])
    options = parser.parse_args()
    wanted = [fault for fault in FAULTS if options.only in (None, fault.title)]
    page = "\n".join([_HEAD, *sections(wanted)])
    if options.out is None:
        print(page)
        return
    with written_beside(options.out) as beside:
        beside.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
