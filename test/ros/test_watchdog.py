"""A network that never returns: the process ends by itself, and says where it hung."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import Process, Ros
from fault_bench import THOROUGH
from sensor_msgs.msg import Image

HANGS = """
import ctypes, os
from fafnet_core.inference import Segmenter
label = Segmenter.label
def hang(self, seen):
    # PyDLL keeps the interpreter's lock: no line of Python runs any more.
    library = ctypes.PyDLL(None) if os.path.exists({kept!r}) else ctypes.CDLL(None)
    while os.path.exists({hangs!r}):
        library.sleep(1000)
    return label(self, seen)
Segmenter.label = hang
"""


def hanging(ros: Ros, folder: Path, *, keeps_lock: bool = False, watchdog: float) -> Process:
    """Return a node that has labelled frames and hangs from now on."""
    hangs, kept = folder / "hangs", folder / "kept"
    labels = ros.collect(Image, "fafnet/labels")
    ros.start("synthetic_camera", width=64, height=48, frames=4, rate=10.0)
    before = HANGS.format(hangs=str(hangs), kept=str(kept))
    node = ros.start("segment_node", before=before, watchdog=watchdog)
    ros.wait_for(lambda: len(labels) > 2, "labels")
    if keeps_lock:
        kept.touch()
    hangs.touch()
    return node


@pytest.mark.parametrize("keeps_lock", [False, True] if THOROUGH else [True])
def test_a_frame_that_never_ends_ends_the_process(
    ros: Ros, tmp_path: Path, keeps_lock: bool
) -> None:
    node = hanging(ros, tmp_path, keeps_lock=keeps_lock, watchdog=1.0)
    ros.wait_for(lambda: not node.is_running, "the end of the process")
    assert node.wait() == 1
    assert "Timeout (0:00:0" in node.output
    assert "in hang" in node.output


@pytest.mark.skipif(not THOROUGH, reason="make trust-faults waits for it")
def test_a_node_that_hangs_can_be_interrupted(ros: Ros, tmp_path: Path) -> None:
    node = hanging(ros, tmp_path, watchdog=0.0)
    ros.spin(1.0)
    assert node.is_running
    assert node.stop() == 1
