"""The node with a camera at full rate: rates, drops by cause, latency by stage, memory.

python benchmarks/node.py --seconds 300 --frames FOLDER     # a folder of frames, at 30 Hz
python benchmarks/node.py --seconds 30 --set points_stride:=2 --topics labels points
python benchmarks/node.py --seconds 60 --cameras 4          # four cameras, a node for each
python benchmarks/node.py --seconds 60 --busy 1             # a process that computes beside it

Camera, node and onlooker are processes of their own over DDS, as on a robot. The node's own
diagnostics give the figures of its stages; latency from stamp to arrival is the onlooker's.
"""

from __future__ import annotations

import re
import statistics
import time
from contextlib import ExitStack
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from measuring import at_least, command_line, markdown
from processes import STARTUP_S, ros_arguments, start, use_own_domain
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2
from tqdm import tqdm

from fafnet_core.messages.protocols import stamp_ns
from fafnet_ros.diagnostics.message import STAGES
from fafnet_ros.outputs import IMAGE_QOS

_COUNTS = ("frames: ", "pairing: ")
_CAMERA_STARTS_S = 3.0


class Onlooker(Node):
    """Subscribes to the outputs and diagnostics of one camera's node.

    Args:
        topics: names below `fafnet`.
        namespace: of the camera and its node.
    """

    def __init__(self, topics: list[str], namespace: str) -> None:
        super().__init__("benchmark_onlooker", namespace=namespace)
        self.arrivals: dict[str, list[float]] = {topic: [] for topic in topics}
        self.latencies: list[float] = []
        self.reports: list[dict[str, str]] = []
        self.messages: dict[str, str] = {}
        """Sentences of the diagnostics, by their text without figures."""
        self._described = f"{namespace}/fafnet"
        for topic in topics:
            kind = PointCloud2 if topic == "points" else Image
            self.create_subscription(
                kind,
                f"fafnet/{topic}",
                lambda message, topic=topic: self._arrived(topic, message),
                IMAGE_QOS,
            )
        self.create_subscription(DiagnosticArray, "/diagnostics", self._report, 10)

    def _arrived(self, topic: str, message: Image | PointCloud2) -> None:
        self.arrivals[topic].append(time.monotonic())
        if topic == next(iter(self.arrivals)):
            stamp = stamp_ns(message.header)
            self.latencies.append((self.get_clock().now().nanoseconds - stamp) / 1e9)

    def _report(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(self._described + ":"):
                self.reports.append({entry.key: entry.value for entry in status.values})
                self.messages.setdefault(re.sub(r"[0-9.]+", "#", status.message), status.message)


def watch(onlookers: list[Onlooker], seconds: float) -> None:
    """Spin until some seconds after the first output of each.

    Raises:
        RuntimeError: there was none.
    """
    firsts = [next(iter(onlooker.arrivals.values())) for onlooker in onlookers]
    executor = SingleThreadedExecutor()
    for onlooker in onlookers:
        executor.add_node(onlooker)
    begun = time.monotonic()
    with tqdm(total=seconds, unit="s", disable=None) as bar:
        while not all(firsts) or time.monotonic() - max(f[0] for f in firsts) < seconds:
            executor.spin_once(timeout_sec=0.1)
            if not all(firsts) and time.monotonic() - begun > STARTUP_S:
                raise RuntimeError(f"nothing came within {STARTUP_S:g} s")
            if all(firsts):
                since = time.monotonic() - max(first[0] for first in firsts)
                bar.update(round(min(since, seconds), 1) - bar.n)


def show(onlooker: Onlooker, started: float) -> None:
    """Print what was seen of one camera's node, which was started at that time."""
    for topic, arrivals in onlooker.arrivals.items():
        span = max(arrivals[-1] - arrivals[0], 1e-9) if arrivals else 1.0
        print(f"{topic}: {len(arrivals)} messages, {max(len(arrivals) - 1, 0) / span:.1f} Hz")
    first = next(iter(onlooker.arrivals.values()))[0] - started
    print(f"first {next(iter(onlooker.arrivals))} {first:.1f} s after the node's process began")
    ordered = sorted(onlooker.latencies)
    p95, p99 = (ordered[min(int(q * len(ordered)), len(ordered) - 1)] for q in (0.95, 0.99))
    print(
        "camera stamp to arrival (ms): p50"
        f" {1e3 * statistics.median(ordered):.0f}, p95 {1e3 * p95:.0f}, p99 {1e3 * p99:.0f}"
    )
    last = onlooker.reports[-1]
    names = ("p50", "p95", "p99")
    rows = [[stage, *(last.get(f"{stage} {name} (ms)") for name in names)] for stage in STAGES]
    print(f"\n{markdown(['stage, ms', *names], [row for row in rows if all(row)])}\n")
    for key, value in last.items():
        if key.startswith(_COUNTS) or key.endswith("rate (Hz)"):
            print(f"{key}: {value}")
    used = [int(report["memory used (MiB)"]) for report in onlooker.reports if "state" in report]
    third = max(len(used) // 3, 1)
    print(
        f"memory used (MiB): {used[min(5, len(used) - 1)]} after 5 s,"
        f" {statistics.median(used[-third:]):.0f} in the last third"
    )
    print("diagnostics said:")
    for message in onlooker.messages.values():
        print(f"  {message}")


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--frames", type=Path, help="a folder to play; else a synthetic room")
    parser.add_argument("--camera", nargs="*", default=[], metavar="NAME:=VALUE")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME:=VALUE", dest="parameters")
    parser.add_argument("--topics", nargs="+", default=["labels"])
    parser.add_argument("--cameras", type=at_least(1), default=1, help="each with its own node")
    parser.add_argument("--busy", type=at_least(0), default=0, help="processes that only compute")
    options = parser.parse_args()
    use_own_domain()
    camera = [f"rate:={options.rate}", *options.camera]
    module = "synthetic_camera"
    if options.frames:
        camera, module = [f"folder:={options.frames}", *camera], "frame_player"
    spaces = [f"/camera{number}" for number in range(options.cameras)]
    with ExitStack() as stack:
        for _ in range(options.busy):
            start(stack, "-c", "while True: pass", quiet=True)
        # The camera is there when the node comes, so that the first labels wait for nothing else.
        for space in spaces:
            there = ros_arguments(camera, space)
            start(stack, "-m", f"fafnet_ros.cameras.{module}", *there)
        rclpy.init()
        stack.callback(rclpy.try_shutdown)
        time.sleep(_CAMERA_STARTS_S)
        onlookers = [Onlooker(options.topics, space) for space in spaces]
        started = time.monotonic()
        for space in spaces:
            start(stack, "-m", "fafnet_ros.segment_node", *ros_arguments(options.parameters, space))
        watch(onlookers, options.seconds)
        for space, onlooker in zip(spaces, onlookers, strict=True):
            if options.cameras > 1:
                print(f"\n{space}")
            show(onlooker, started)


if __name__ == "__main__":
    main()
