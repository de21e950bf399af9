"""`segment_node` with a file of `fafnet export` as its checkpoint."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import Ros
from onlooker import ERROR, OK, Diagnostics, set_parameters
from sensor_msgs.msg import Image

from fafnet_core.cli.main import main

for library in ("onnx", "onnxruntime", "openvino"):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed", allow_module_level=True)


@pytest.mark.parametrize(
    ("suffix", "runtime"), [(".onnx", "onnxruntime"), (".xml", "openvino")], ids=["onnx", "xml"]
)
def test_a_file_that_was_cut_is_refused_and_the_whole_one_labels(
    ros: Ros, tmp_path: Path, suffix: str, runtime: str
) -> None:
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    arguments = ["export", "untrained:fafnet-nano", str(whole), "--input-size", "96x72"]
    assert main(arguments) == 0
    for file in list(tmp_path.iterdir()):
        content = file.read_bytes()
        file.with_stem("cut").write_bytes(content[: len(content) // 2])
    labels = ros.collect(Image, "fafnet/labels")
    said = Diagnostics(ros)
    node = ros.start("segment_node", checkpoint=cut, precision="float32")
    said.wait_for("on_configure failed", "cut short", "ros2 lifecycle set /fafnet configure")
    assert said.level == ERROR
    assert set_parameters(ros, checkpoint=str(whole))[0].successful
    assert ros.change_state("configure")
    assert ros.change_state("activate")
    assert f"on cpu in float32 ({runtime}), input size 96x72" in node.output
    ros.start("synthetic_camera", width=128, height=96, rate=3.0)
    ros.wait_for(lambda: len(labels) > 2, "labels")
    assert (labels[-1].height, labels[-1].width, labels[-1].encoding) == (96, 128, "mono8")
    assert len(np.unique(np.frombuffer(labels[-1].data, np.uint8))) > 1
    ros.wait_for(lambda: said.level == OK, "a node that is well")
    assert "Traceback" not in node.output
