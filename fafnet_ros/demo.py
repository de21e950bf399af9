"""The main job, end to end, as `make demo` runs it.

A camera process, the node's process, and this one, which looks on as RViz would: it measures the
rate and the latency from the camera's stamp to the labels' arrival, and draws one frame.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import OrderedDict
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import String
from tqdm import tqdm

from fafnet_core.files import write_png
from fafnet_core.inference import legend, strip
from fafnet_core.labels import LabelSet
from fafnet_core.messages.protocols import stamp_ns
from fafnet_ros.dds import use_large_image_profile
from fafnet_ros.images import image_to_rgb
from fafnet_ros.outputs import IMAGE_QOS, LATCHED_QOS

_STARTUP = 60.0
"""Seconds within which the first labels have to come."""

_KEPT = 300
"""Stamps whose images are kept until the rest of the frame has come: ten seconds of a camera."""


class Viewer(Node):
    """Subscribes to what RViz would show, and measures."""

    def __init__(self) -> None:
        super().__init__("demo_viewer")
        self.latencies: list[float] = []
        self.arrivals: list[float] = []
        self.complete: dict[str, Image] = {}
        self.label_set: LabelSet | None = None
        self.failed = False
        self._frames: OrderedDict[int, dict[str, Image]] = OrderedDict()
        for kind in ("hha", "labels", "color", "overlay"):
            keep = partial(self._keep, kind)
            self.create_subscription(Image, f"fafnet/{kind}", keep, IMAGE_QOS)
        colour = partial(self._keep, "colour")
        self.create_subscription(Image, "rgb/image", colour, qos_profile_sensor_data)
        self.create_subscription(String, "fafnet/label_names", self._name, LATCHED_QOS)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._follow, 10)

    def _name(self, message: String) -> None:
        self.label_set = LabelSet.from_dict(json.loads(message.data))

    def _follow(self, report: DiagnosticArray) -> None:
        # The node configures itself before it reports: if it is unconfigured then, that failed.
        values = {value.key: value.value for status in report.status for value in status.values}
        self.failed |= values.get("state") == "unconfigured"

    def _keep(self, kind: str, image: Image) -> None:
        stamp = stamp_ns(image.header)
        if kind == "labels":
            self.arrivals.append(time.monotonic())
            self.latencies.append((self.get_clock().now().nanoseconds - stamp) / 1e9)
        frame = self._frames.setdefault(stamp, {})
        frame[kind] = image
        if len(frame) == 5:
            self.complete = frame
        while len(self._frames) > _KEPT:
            self._frames.popitem(last=False)

    def picture(self) -> NDArray[np.uint8]:
        """Return the newest complete frame as a strip with a legend."""
        if self.label_set is None:
            raise ValueError("no label names came on fafnet/label_names")
        if not self.complete:
            raise ValueError("no frame came complete: colour, HHA, labels and overlay")
        shown = {kind: image_to_rgb(image) for kind, image in self.complete.items()}
        labels = np.ascontiguousarray(shown["labels"][..., 0])
        key = legend(self.label_set, labels, labels.shape[0])
        titles = (("colour", "colour"), ("HHA", "hha"), ("labels", "color"), ("overlay", "overlay"))
        return strip([*((title, shown[kind]) for title, kind in titles), ("legend", key)])


def _start(stack: ExitStack, module: str, *parameters: str) -> subprocess.Popen[bytes]:
    """Start one of our nodes in a process that is ended, then waited for, when the stack closes."""
    options = [part for parameter in parameters for part in ("-p", parameter)]
    command = [sys.executable, "-m", module, "--ros-args", *options]
    process = subprocess.Popen(command)

    def wait() -> None:
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    stack.callback(wait)
    stack.callback(process.terminate)
    return process


def _watch(viewer: Viewer, processes: list[subprocess.Popen[bytes]], seconds: float) -> None:
    """Spin until labels have come for so long.

    Raises:
        RuntimeError: none came in time, or a process ended.
    """
    begun = time.monotonic()
    form = "{l_bar}{bar}| {n:.0f}/{total:.0f} s"
    with tqdm(total=seconds, bar_format=form, disable=None) as bar:
        while not viewer.arrivals or time.monotonic() - viewer.arrivals[0] < seconds:
            rclpy.spin_once(viewer, timeout_sec=0.1)
            if viewer.failed:
                raise RuntimeError("the node could not be configured; the line above says why")
            if any(process.poll() is not None for process in processes):
                raise RuntimeError("a process of the demo ended; its last lines above say why")
            if not viewer.arrivals and time.monotonic() - begun > _STARTUP:
                raise RuntimeError(f"no labels within {_STARTUP:.0f} s; see the lines above")
            if viewer.arrivals:
                bar.update(min(time.monotonic() - viewer.arrivals[0], seconds) - bar.n)


def _report(viewer: Viewer, picture: Path) -> None:
    spans = len(viewer.arrivals) - 1
    elapsed = viewer.arrivals[-1] - viewer.arrivals[0]
    median_s, p95_s = np.percentile(viewer.latencies, (50, 95))
    print(
        f"labels: {spans / max(elapsed, 1e-9):.1f} per second ({spans + 1} frames)\n"
        f"latency, camera stamp to labels received: median {1e3 * median_s:.0f} ms,"
        f" 95 % within {1e3 * p95_s:.0f} ms\n"
        f"picture: {picture}"
    )


def main() -> int:
    """Run the demo; 0 if labels came."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to watch labels")
    parser.add_argument("--frames", type=Path, help="play this folder instead of a synthetic room")
    parser.add_argument("--checkpoint", default="default", help="safetensors file or name")
    parser.add_argument("--out", type=Path, default=Path("output"), help="folder for the picture")
    arguments = parser.parse_args()
    # A domain of its own on this machine: the demo neither sees nor disturbs other ROS systems.
    os.environ["ROS_DOMAIN_ID"] = str(random.randint(1, 100))
    if os.environ.get("ROS_DISTRO") == "humble":
        os.environ["ROS_LOCALHOST_ONLY"] = "1"
    else:
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    use_large_image_profile()
    try:
        return _run(arguments)
    except (ExternalShutdownException, KeyboardInterrupt):
        print("demo: interrupted", file=sys.stderr)
    except (OSError, RuntimeError, ValueError) as error:
        print(f"demo: {error}", file=sys.stderr)
    return 1


def _run(arguments: argparse.Namespace) -> int:
    arguments.out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        node = _start(stack, "fafnet_ros.segment_node", f"checkpoint:={arguments.checkpoint}")
        if arguments.frames:
            camera = _start(stack, "fafnet_ros.cameras.frame_player", f"folder:={arguments.frames}")
        else:
            # The size at which the default checkpoint sees frames: nothing is made larger.
            size = ("width:=384", "height:=288")
            camera = _start(stack, "fafnet_ros.cameras.synthetic_camera", *size)
        rclpy.init()
        stack.callback(rclpy.try_shutdown)
        viewer = Viewer()
        _watch(viewer, [node, camera], arguments.seconds)
        picture = arguments.out / "demo.png"
        write_png(picture, viewer.picture())
        _report(viewer, picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
