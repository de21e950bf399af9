"""The node for very many frames, with faults at random: does anything grow or slow down?

python benchmarks/soak.py --frames 50000 --out output/trust/soak       # half an hour
python benchmarks/soak.py --frames 2000 --checkpoint default --size 320 240

Writes `soak.csv` line by line as it goes, and at the end `soak.json`, `soak.png` and what it found
against the bounds. Exit status 1: a bound was broken. A run that was interrupted goes on where it
stopped with `--resume`, with a new node: its curves say where.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, astuple, dataclass, fields, replace
from itertools import pairwise
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from fault_camera import Camera, CameraProcess
from measuring import at_least, axes_of, command_line, markdown
from processes import STARTUP_S, ros_arguments, use_own_domain
from rclpy.node import Node
from sensor_msgs.msg import Image
from tqdm import tqdm

from fafnet_core.messages.protocols import stamp_ns
from fafnet_ros.outputs import IMAGE_QOS

_WARM_SHARE = 0.1
_WARM_FRAMES = 2000
"""Frames after which all that stays has been made; a tenth of a shorter run."""

_GROWTH_MB = 20.0
_LATENCY_FACTOR = 1.5
"""By how much the median of the last frames may be above that of the first: others compute too."""

_SETTLED = 10
"""Labels after which those of another size than the camera's have passed."""

_COMPARED = 1000
_SAMPLE_S = 1.0

_HALF = "half the size"
FAULTS: dict[str, dict[str, object]] = {
    "depth silent": {"silent_depth": True},
    "colour silent": {"silent_colour": True},
    "10 % lost": {"lost": 0.1},
    "50 % lost": {"lost": 0.5},
    "out of order": {"jitter_s": 0.3},
    "no depth": {"empty_depth": True},
    "another encoding": {"depth_encoding": "32FC1"},
    "unknown encoding": {"colour_encoding": "rgb16x"},
    "another camera_info": {"info_width": 640},
    "uncalibrated": {"calibrated": False},
    "stamps of 0": {"zero_depth_stamps": True},
    "stamps stand still": {"still": True},
    "stamps backwards": {"backwards": True},
    "stamps ahead": {"ahead_s": 3600.0},
    _HALF: {},
}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The node at one moment; latency in milliseconds, median of the last hundred frames."""

    seconds: float
    frames: int
    resident_mb: float
    descriptors: int
    threads: int
    latency_ms: float
    fault: str


class Onlooker(Node):
    """Counts labels of healthy frames, and how late each came, in seconds."""

    def __init__(self) -> None:
        super().__init__("soak_onlooker")
        self.frames = 0
        self.latencies: list[float] = []
        self.is_healthy = True
        self.said: set[str] = set()
        self.create_subscription(Image, "/fafnet/labels", self._arrived, IMAGE_QOS)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._report, 10)

    def _arrived(self, message: Image) -> None:
        self.frames += 1
        if self.is_healthy:  # a stamp of a camera with faults says nothing of latency
            late = time.time() - stamp_ns(message.header) / 1e9
            if 0 < late < 60:
                self.latencies.append(late)

    def _report(self, message: DiagnosticArray) -> None:
        self.said.update(status.message.split(":")[0] for status in message.status)


def sample(pid: int, onlooker: Onlooker, begun: float, fault: str) -> Sample:
    """Return the node's process as the system shows it.

    Raises:
        RuntimeError: it has ended.
    """
    process = Path("/proc", str(pid))
    try:
        lines = (process / "status").read_text().splitlines()
        descriptors = len(list((process / "fd").iterdir()))
    except OSError as error:
        raise RuntimeError("the node's process has ended") from error
    figures = {line.split(":")[0]: line.split()[1] for line in lines if len(line.split()) > 1}
    if "VmRSS" not in figures:
        raise RuntimeError("the node's process has ended")
    recent = onlooker.latencies[-100:]
    return Sample(
        seconds=round(time.monotonic() - begun, 1),
        frames=onlooker.frames,
        resident_mb=round(int(figures["VmRSS"]) / 1024, 1),
        descriptors=descriptors,
        threads=int(figures["Threads"]),
        latency_ms=round(1e3 * statistics.median(recent), 2) if recent else 0.0,
        fault=fault,
    )


def soak(options: argparse.Namespace, table: Path, done: int) -> tuple[list[float], set[str]]:
    """Run until so many frames have labels; return latencies, and what diagnostics began with."""
    healthy = Camera(size=tuple(options.size), rate_hz=options.rate)
    chance = random.Random(options.seed + done)
    use_own_domain()
    with ExitStack() as stack:
        camera = CameraProcess(healthy)
        stack.callback(camera.end)
        parameters = [f"checkpoint:={options.checkpoint}", *options.parameters]
        command = [sys.executable, "-m", "fafnet_ros.segment_node", *ros_arguments(parameters)]
        with (table.parent / "node.log").open("ab") as log:
            node = subprocess.Popen(command, stdout=log, stderr=log)
        stack.callback(node.wait)
        stack.callback(node.terminate)
        rclpy.init(args=[])  # our own arguments are not ROS's
        stack.callback(rclpy.try_shutdown)
        onlooker = Onlooker()
        stack.callback(onlooker.destroy_node)
        begun = time.monotonic()
        # OpenVINO compiles the network for each size and keeps it: a part of warming up.
        for fault in ("", _HALF, ""):
            camera.become(_with_fault(healthy, fault))
            _await_labels(onlooker)
        onlooker.frames, fault = done, ""
        next_sample, change = time.monotonic(), time.monotonic() + options.healthy
        file = stack.enter_context(table.open("a", newline="", encoding="utf-8"))
        writer = csv.writer(file)
        bar = stack.enter_context(tqdm(total=options.frames, initial=done, disable=None))
        while onlooker.frames < options.frames:
            rclpy.spin_once(onlooker, timeout_sec=0.05)
            bar.update(onlooker.frames - bar.n)
            now = time.monotonic()
            if now >= next_sample:
                next_sample = now + _SAMPLE_S
                writer.writerow(astuple(sample(node.pid, onlooker, begun, fault)))
                file.flush()
            if now >= change:
                fault = "" if fault else chance.choice(list(FAULTS))
                onlooker.is_healthy = False  # until the first healthy frame is sent
                camera.become(_with_fault(healthy, fault))
                onlooker.is_healthy = not fault
                change = now + chance.uniform(0.5, 1.5) * (2.0 if fault else options.healthy)
        writer.writerow(astuple(sample(node.pid, onlooker, begun, fault)))
        return onlooker.latencies, onlooker.said


def _await_labels(onlooker: Onlooker) -> None:
    """Wait for labels of what the camera sends now.

    Raises:
        RuntimeError: none came.
    """
    onlooker.frames, begun = 0, time.monotonic()
    while onlooker.frames < _SETTLED:
        rclpy.spin_once(onlooker, timeout_sec=0.1)
        if time.monotonic() - begun > STARTUP_S:
            raise RuntimeError(f"no labels within {STARTUP_S:g} s")


def _with_fault(healthy: Camera, fault: str) -> Camera:
    if not fault:
        return healthy
    if fault == _HALF:
        width, height = healthy.size
        return replace(healthy, size=(width // 2, height // 2))
    return replace(healthy, **FAULTS[fault])  # type: ignore[arg-type]


def read_samples(table: Path) -> list[Sample]:
    """Return what was written of a run."""
    with table.open(newline="", encoding="utf-8") as file:
        return [
            Sample(
                seconds=float(row["seconds"]),
                frames=int(row["frames"]),
                resident_mb=float(row["resident_mb"]),
                descriptors=int(row["descriptors"]),
                threads=int(row["threads"]),
                latency_ms=float(row["latency_ms"]),
                fault=row["fault"],
            )
            for row in csv.DictReader(file)
        ]


def verdicts(samples: list[Sample], latencies: list[float]) -> list[tuple[str, str, bool]]:
    """Return each bound with what was found, and whether it held."""
    warm = min(_WARM_FRAMES, _WARM_SHARE * samples[-1].frames)
    steady = [each for each in samples if each.frames >= warm] or samples
    grown = max(each.resident_mb for each in steady) - steady[0].resident_mb
    most = f"resident memory grows by at most {_GROWTH_MB:g} MB"
    rows = [(most, f"{grown:.1f} MB", grown <= _GROWTH_MB)]
    for name in ("descriptors", "threads"):
        # The median of the beginning and of the end: a service call or a thread may come and go.
        third = max(len(steady) // 3, 1)
        first, last = (
            statistics.median(getattr(each, name) for each in part)
            for part in (steady[:third], steady[-third:])
        )
        rows.append((f"{name} stay the same", f"{first:g}, {last:g}", last <= first))
    count = min(_COMPARED, len(latencies) // 3)
    if count:
        first, last = (
            1e3 * statistics.median(part) for part in (latencies[:count], latencies[-count:])
        )
        what = f"latency of the last {count} frames at most {_LATENCY_FACTOR:g} times the first"
        rows.append((what, f"{first:.1f}, {last:.1f} ms", last <= _LATENCY_FACTOR * first))
    return rows


def draw(samples: list[Sample], path: Path) -> None:
    """Draw memory, descriptors, threads and latency over frames; faults are grey."""
    curves = {
        "resident_mb": "resident memory, MB",
        "descriptors": "descriptors",
        "threads": "threads",
        "latency_ms": "latency, ms (median of 100)",
    }
    with axes_of(path, len(curves), 1, (9, 9)) as grid:
        for axis, (name, title) in zip(grid.flat, curves.items(), strict=True):
            for one, other in pairwise(samples):
                if one.fault:
                    axis.axvspan(one.frames, max(other.frames, one.frames + 1), color="0.9", lw=0)
            seen = [each for each in samples if getattr(each, name)]
            axis.plot([each.frames for each in seen], [getattr(each, name) for each in seen], lw=1)
            axis.set_ylabel(title)
            axis.set_ylim(0, 1.1 * max(getattr(each, name) for each in samples) or 1)
        grid.flat[-1].set_xlabel("frames with labels (grey: a fault)")


def main() -> int:
    """Run, write, judge."""
    parser = command_line(__doc__)
    parser.add_argument("--frames", type=at_least(1), default=50_000, help="with labels")
    parser.add_argument("--checkpoint", default="untrained:fafnet-nano")
    # Half of it has to be enough for the network: 33 pixels.
    parser.add_argument("--size", type=at_least(66), nargs=2, default=(96, 72))
    parser.add_argument("--rate", type=float, default=60.0, help="of the camera")
    parser.add_argument("--healthy", type=float, default=8.0, help="seconds between two faults")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME:=VALUE", dest="parameters")
    parser.add_argument("--out", type=Path, default=Path("output/trust/soak"))
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    table = options.out / "soak.csv"
    if not (options.resume and table.exists()):
        names = [field.name for field in fields(Sample)]
        table.write_text(",".join(names) + os.linesep, encoding="utf-8")
    before = read_samples(table)
    latencies, said = soak(options, table, before[-1].frames if before else 0)
    samples = read_samples(table)
    # Each node by itself: one that was started anew has to warm up again.
    rows = verdicts(samples[len(before) :], latencies)
    report = {
        "frames": samples[-1].frames,
        "seconds": samples[-1].seconds,
        "checkpoint": options.checkpoint,
        "size": list(options.size),
        "seed": options.seed,
        "said": sorted(said),
        "verdicts": [{"bound": b, "found": f, "holds": h} for b, f, h in rows],
        "last": asdict(samples[-1]),
    }
    (options.out / "soak.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    draw(samples, options.out / "soak.png")
    print(f"{samples[-1].frames} frames in {samples[-1].seconds:.0f} s")
    print(markdown(("bound", "found", "holds"), [(b, f, "yes" if h else "NO") for b, f, h in rows]))
    return 0 if all(holds for *_, holds in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
