"""A node, a camera with faults, and what each fault costs: said, recovered after, lost."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from conftest import PROJECT, Ros
from fault_camera import Camera, CameraProcess
from measuring import markdown
from onlooker import Diagnostics
from sensor_msgs.msg import Image

THOROUGH = "FAFNET_TRUST" in os.environ
"""Whether all faults are planted, and for as long as they are meant to last: `make trust`."""

HEALTHY = Camera(size=(64, 48))


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault, as a camera that has it or as what is done to the node.

    Attributes:
        title: of the fault.
        camera: what the camera becomes.
        says: parts of what diagnostics say of it; empty: nothing is wrong.
        seconds: for which it lasts at least.
        thoroughly_s: the same, in `make trust`.
        plant: what is done besides, for as long as the context is open.
        daily: it is planted by `make test` too.
    """

    title: str
    camera: Camera = HEALTHY
    says: tuple[str, ...] = ()
    seconds: float = 1.0
    thoroughly_s: float = 5.0
    plant: Callable[[FaultBench], Any] | None = None
    daily: bool = False


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a fault cost.

    Attributes:
        title: of the fault.
        said: all that diagnostics said of it, or that nothing was wrong.
        recovery_s: from the first healthy frame sent, or from the start of a new process, to the
            first labels of such a frame.
        sent: frames sent from the fault to recovery.
        lost: of these, frames without labels.
    """

    title: str
    said: str
    recovery_s: float
    sent: int
    lost: int

    def cells(self) -> tuple[str, ...]:
        """Return a row of the table."""
        return (self.title, self.said, f"{self.recovery_s:.2f}", f"{self.lost} of {self.sent}")


@dataclass
class FaultBench:
    """A node that runs through all faults, and a camera that has them.

    Attributes:
        ros: their domain.
        costs: gets what each fault cost.
        namespace: of both.
        before: Python that is run before the node.
        parameters: of the node.
        stamps: of the labels that came, and when they did, in Unix seconds.
    """

    ros: Ros
    costs: list[Cost]
    namespace: str = ""
    before: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    stamps: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.said = Diagnostics(self.ros, f"{self.namespace}/fafnet")
        self.ros.node.create_subscription(Image, f"{self.namespace}/fafnet/labels", self._note, 10)
        self.start_node()
        self.start_camera()

    def _note(self, image: Image) -> None:
        stamp = image.header.stamp
        self.stamps.append((stamp.sec + 1e-9 * stamp.nanosec, time.time()))

    def start_node(self) -> None:
        """Start the node, the first or another one."""
        self.node = self.ros.start(
            "segment_node",
            remap={"__ns": self.namespace or "/"},
            before=self.before,
            **self.parameters,
        )

    def start_camera(self) -> None:
        """Start the camera, the first or another one; it is healthy."""
        below = f"__ns:={self.namespace or '/'}"
        self.camera = CameraProcess(HEALTHY, self.ros.domain, "-r", below)

    def close(self) -> None:
        """End the camera."""
        self.camera.end()

    def until_well(self) -> None:
        """Wait until nothing is wrong, and labels come."""
        self.ros.wait_for(
            lambda: self.said.message.startswith("segmenting") and self.stamps, "healthy frames"
        )

    def cost(self, fault: Fault) -> Cost:
        """Plant a fault, take it away, and return what it cost."""
        self.until_well()
        seconds = fault.thoroughly_s if THOROUGH else fault.seconds
        labelled = len(self.stamps)
        with planted(fault, self):
            # By the process, for a fault may have been its end.
            before = self.camera, self.camera.become(fault.camera)
            begun = len(self.said.reports)
            end = time.monotonic() + seconds

            def is_over() -> bool:
                said = self.said.message
                is_said = all(part in said for part in fault.says)
                return is_said and time.monotonic() >= end and len(self.said.reports) > begun + 1

            self.ros.wait_for(is_over, f"{fault.title}: {' ... '.join(fault.says) or 'a report'}")
            said = self.said.message
        back = self.camera.become(HEALTHY)

        def healthy() -> list[float]:
            return [came for stamp, came in self.stamps if back.at - 1e-3 <= stamp < back.at + 60]

        self.ros.wait_for(healthy, f"{fault.title}: labels afterwards")
        recovery_s = healthy()[0] - back.at
        self.ros.spin(0.3)  # what is still on its way
        after = self.camera.become(HEALTHY)
        sent = after.sent if before[0] is not self.camera else after.sent - before[1].sent
        lost = max(sent - (len(self.stamps) - labelled), 0)
        cost = Cost(title=fault.title, said=said, recovery_s=recovery_s, sent=sent, lost=lost)
        self.costs.append(cost)
        return cost

    def cost_of_end(self, title: str, end: Callable[[], None]) -> Cost:
        """Have the node end, start it again as a launch file does, and return what that cost.

        Args:
            title: of the fault.
            end: what has it end; waits until it has.
        """
        self.until_well()
        labelled, before = len(self.stamps), self.camera.become(HEALTHY)
        begun = time.monotonic()
        end()
        status, seconds = self.node.wait(), time.monotonic() - begun
        self.ros.spin(0.3)  # what the node still sent
        last = self.said.message
        said = "" if last.startswith("segmenting") else f"{last}; "
        back_at = time.time()
        self.start_node()

        def healthy() -> list[float]:
            return [came for stamp, came in self.stamps if stamp >= back_at]

        self.ros.wait_for(healthy, f"{title}: labels afterwards")
        after = self.camera.become(HEALTHY)
        cost = Cost(
            title=title,
            said=f"{said}(ends after {seconds:.1f} s with status {status})",
            recovery_s=healthy()[0] - back_at,
            sent=after.sent - before.sent,
            lost=max(after.sent - before.sent - (len(self.stamps) - labelled), 0),
        )
        self.costs.append(cost)
        return cost


@contextmanager
def planted(fault: Fault, bench: FaultBench) -> Iterator[None]:
    """Do what a fault does besides, as long as this is open."""
    if fault.plant is None:
        yield
        return
    with fault.plant(bench):
        yield


def write_table(costs: list[Cost], path: Path = PROJECT / "output" / "trust" / "faults.md") -> str:
    """Write what faults cost as a table, and return it."""
    head = ("fault", "`/diagnostics` says", "recovered after, s", "frames lost")
    table = markdown(head, [cost.cells() for cost in costs])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(table + "\n", encoding="utf-8")
    return table


# What is done to processes


@contextmanager
def killed_camera(bench: FaultBench) -> Iterator[None]:
    """The camera is killed, and started again at the end."""
    bench.camera.end(signal.SIGKILL)
    bench.start_camera()
    yield


@contextmanager
def touched(path: Path) -> Iterator[None]:
    """There is a file, by which something that was put into the node knows its time."""
    path.touch()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def little_memory(bench: FaultBench) -> Iterator[None]:
    """The node may take 200 MB more than it has: enough to receive, not for a large network."""
    with limited(bench.node.pid, resource.RLIMIT_AS, _virtual_bytes(bench.node.pid) + 200 * 2**20):
        yield


@contextmanager
def full_disk(bench: FaultBench) -> Iterator[None]:
    """No file of the node may grow: neither its log nor its output."""
    with limited(bench.node.pid, resource.RLIMIT_FSIZE, 0):
        yield


@contextmanager
def limited(pid: int, what: int, soft: int) -> Iterator[None]:
    """Limit a running process from outside."""
    before = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (soft, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, what, before)


@contextmanager
def deaf_reader(bench: FaultBench) -> Iterator[None]:
    """A second process subscribes, reliably, and never reads."""
    reader = bench.ros.participant("reader")
    for topic in ("labels", "color"):
        reader.create_subscription(Image, f"fafnet/{topic}", lambda image: None, 1)
    try:
        yield
    finally:
        bench.ros.leave(reader)


@contextmanager
def namesake(bench: FaultBench) -> Iterator[None]:
    """Another node has the same name."""
    other = bench.ros.participant("fafnet")
    try:
        yield
    finally:
        bench.ros.leave(other)


def _virtual_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def changed(**fields: Any) -> Camera:
    """Return the healthy camera but for these fields."""
    return replace(HEALTHY, **fields)
