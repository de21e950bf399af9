"""What a node that was killed leaves behind, and folders in which it can write nothing."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import Ros
from fault_bench import THOROUGH, Cost, FaultBench
from sensor_msgs.msg import Image

from fafnet_ros.shared_memory import remove_dead_segments

SHARED_MEMORY = Path("/dev/shm")


@pytest.mark.skipif(not SHARED_MEMORY.is_dir(), reason="/dev/shm is Linux's")
def test_segments_of_the_dead_are_removed_and_of_the_living_are_not(tmp_path: Path) -> None:
    names = [f"{kind}_{i:016x}" for i, kind in enumerate(("fastrtps", "fastrtps", "fastdds"))]
    for name in names:
        for file in (tmp_path / name, tmp_path / f"{name}_el"):
            file.write_bytes(b"")
            os.utime(file, (0, 0))
    young = tmp_path / f"fastrtps_{9:016x}_el"
    for other in (young, tmp_path / "fastrtps_port7000_el", tmp_path / "sem.mine"):
        other.write_bytes(b"")
    with (tmp_path / f"{names[0]}_el").open() as living:
        fcntl.flock(living, fcntl.LOCK_SH)
        assert remove_dead_segments(tmp_path) == 2
    left = {file.name for file in tmp_path.iterdir()}
    others = {young.name, "fastrtps_port7000_el", "sem.mine"}
    assert left == others | {names[0], f"{names[0]}_el"}
    assert remove_dead_segments(tmp_path / "nowhere") == 0


def test_a_node_without_a_folder_for_logs_runs_and_says_so(
    ros: Ros, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_LOG_DIR", "/proc/nobody/log")
    labels = ros.collect(Image, "fafnet/labels")
    ros.start("synthetic_camera", width=64, height=48, frames=4, rate=10.0)
    node = ros.start("segment_node")
    ros.wait_for(lambda: labels, "labels")
    assert "no log files: /proc/nobody/log: No such file or directory; make room" in node.output
    assert node.stop() == 0


@pytest.fixture(scope="module")
def bench(
    tmp_path_factory: pytest.TempPathFactory, fault_costs: list[Cost]
) -> Iterator[FaultBench]:
    domain = Ros(tmp_path_factory.mktemp("ends"))
    begun = FaultBench(domain, fault_costs)
    yield begun
    begun.close()
    domain.close()


def segments(pid: int) -> list[Path]:
    """Return the segments of Fast DDS that a process has: it keeps the files beside them open."""
    kind = re.compile(rf"{SHARED_MEMORY}/fast(rtps|dds)_[0-9a-f]{{16}}_el")
    opened = [str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()]
    return [Path(name.removesuffix("_el")) for name in opened if kind.fullmatch(name)]


@pytest.mark.skipif(not SHARED_MEMORY.is_dir(), reason="/dev/shm is Linux's")
@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_node_that_is_ended_leaves_no_shared_memory_to_the_next(
    bench: FaultBench, how: str
) -> None:
    if not (how == "SIGKILL" or THOROUGH):
        pytest.skip("make trust-faults does it; test_node has the statuses")
    bench.until_well()
    held = segments(bench.node.pid)
    assert held
    # Younger ones may be of a process that is just starting: they are left alone.
    ready_at = max(Path(f"{file}_el").stat().st_mtime for file in held) + 10.5
    bench.ros.wait_for(lambda: time.time() > ready_at, "segments that are old enough")

    def end() -> None:
        status = bench.node.stop(signal.Signals[how])
        left = [file for file in held if file.exists()]
        # What is killed cannot tidy up; what is interrupted does.
        assert (status, left) == ((-9, held) if how == "SIGKILL" else (0, []))

    bench.cost_of_end(f"{how} to the node", end)
    assert [file for file in held if file.exists()] == []
    assert "Traceback" not in bench.node.output
