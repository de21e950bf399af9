"""What a node that was killed leaves behind, and folders in which it can write nothing."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import Ros
from sensor_msgs.msg import Image

from fafnet_ros.shared_memory import remove_dead_segments


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="/dev/shm is Linux's")
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
