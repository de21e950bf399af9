"""`frame_player` and `synthetic_camera` publish what a driver would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import Ros
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image

from fafnet_ros.rgbd_camera import encode_depth


def stamp(message: Image) -> float:
    return float(message.header.stamp.sec + message.header.stamp.nanosec / 1e9)


def test_a_folder_is_played_frame_by_frame_with_a_clock(ros: Ros, frame_folder: Path) -> None:
    colour, depth = ros.collect(Image, "rgb/image"), ros.collect(Image, "depth/image")
    infos = ros.collect(CameraInfo, "depth/camera_info")
    clock = ros.collect(Clock, "/clock")
    player = ros.start(
        "frame_player", folder=frame_folder, rate=10, loop=False, clock=True,
        wait_for_subscribers=1, frame_id="kinect",
    )  # fmt: skip
    ros.wait_for(lambda: not player.is_running, "the end of the folder")
    ros.wait_for(lambda: len(depth) == len(infos) == len(colour) == 6, "six frames")
    assert player.wait() == 0
    assert [image.data[0] for image in colour] == [0, 40, 80, 120, 160, 200]
    assert [round(stamp(image), 6) for image in depth] == [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]
    assert [header.header for header in infos] == [image.header for image in colour]
    assert colour[0].header.frame_id == "kinect"
    assert (depth[0].encoding, depth[0].width, depth[0].height) == ("16UC1", 128, 96)
    assert set(np.frombuffer(depth[0].data, np.uint16)) == {2000}
    assert list(infos[0].k) == [110.0, 0.0, 63.5, 0.0, 110.0, 47.5, 0.0, 0.0, 1.0]
    assert len(clock) == 6


def test_a_folder_that_loops_begins_again(ros: Ros, frame_folder: Path) -> None:
    colour = ros.collect(Image, "rgb/image")
    player = ros.start("frame_player", folder=frame_folder, rate=60, wait_for_subscribers=0)
    ros.wait_for(lambda: len(colour) > 15, "more frames than the folder has")
    assert player.stop() == 0


@pytest.mark.parametrize(
    ("folder", "message"),
    [("", "parameter folder is empty"), ("/nonexistent", "has no colour folder")],
)
def test_a_folder_that_cannot_be_played_ends_with_status_1(
    ros: Ros, folder: str, message: str
) -> None:
    parameters: dict[str, Any] = {"folder": folder} if folder else {}
    player = ros.start("frame_player", **parameters)
    assert player.wait() == 1
    assert message in player.output
    assert "Traceback" not in player.output


def test_the_synthetic_camera_moves_and_its_topics_belong_together(ros: Ros) -> None:
    colour, depth = ros.collect(Image, "rgb/image"), ros.collect(Image, "depth/image")
    infos = ros.collect(CameraInfo, "rgb/camera_info")
    camera = ros.start(
        "synthetic_camera", width=96, height=72, frames=3, rate=20, depth_encoding="32FC1"
    )
    ros.wait_for(lambda: len(colour) > 3 and len(depth) > 3 and len(infos) > 3, "frames")
    assert {image.encoding for image in depth} == {"32FC1"}
    assert bytes(colour[0].data) != bytes(colour[1].data)
    assert {stamp(image) for image in colour} & {stamp(image) for image in depth}
    metres = np.frombuffer(depth[0].data, np.float32)
    assert 0.3 < np.nanmin(metres) < np.nanmax(metres) < 8
    assert 0.5 < np.isfinite(metres).mean() < 1  # what only one of the cameras sees is a hole
    assert camera.stop() == 0
    assert "Traceback" not in camera.output


def test_depth_encodings_mark_what_is_invalid() -> None:
    depth_m = np.array([0, np.nan, np.inf, -1, 0.0004, 1.2344, 65.535, 70], np.float32)
    assert encode_depth(depth_m, "16UC1").tolist() == [0, 0, 0, 0, 0, 1234, 0, 0]
    metres = encode_depth(depth_m[:6], "32FC1")
    assert np.isnan(metres[[0, 1, 3]]).all()
    assert metres[5] == np.float32(1.2344)
