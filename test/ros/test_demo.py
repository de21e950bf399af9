"""What `make demo` runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from fafnet_core.checkpoints.checkpoint import read_metadata


def demo(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fafnet_ros.demo", *arguments]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, error = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the node and the camera too
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, error)


def test_the_demo_labels_a_room_and_draws_it(tmp_path: Path) -> None:
    done = demo("--seconds", "2", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "labels: " in done.stdout
    assert "latency, camera stamp to labels received: median" in done.stdout
    assert str(tmp_path / "demo.png") in done.stdout
    picture = cv2.imread(str(tmp_path / "demo.png"))
    assert picture is not None
    seen = read_metadata("default").input_size
    assert seen is not None
    assert picture.shape[0] == seen[0] + 28
    assert picture.shape[1] > 4 * 320


def test_a_network_that_cannot_be_loaded_ends_the_demo_at_once(tmp_path: Path) -> None:
    done = demo("--out", str(tmp_path), "--checkpoint", "nothing.safetensors")
    assert done.returncode == 1
    assert "no checkpoint at nothing.safetensors" in done.stderr
    assert "could not be configured" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_played_ends_the_demo(tmp_path: Path) -> None:
    done = demo("--out", str(tmp_path), "--frames", str(tmp_path))
    assert done.returncode == 1
    assert "has no colour folder" in done.stderr
    assert "Traceback" not in done.stderr
