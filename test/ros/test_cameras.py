"""`frame_player` and `synthetic_camera` publish what a driver would."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import Ros
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Imu

from fafnet_core.messages.compressed import compressed_to_depth_m, compressed_to_rgb
from fafnet_core.messages.images import image_to_depth_m
from fafnet_core.rooms import SensorConfig, Tour, look_at, pinhole
from fafnet_core.rooms.dataset import photograph
from fafnet_ros.cameras.rgbd_camera import encode_depth
from fafnet_ros.cameras.synthetic_camera import specific_force


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


def test_a_recording_of_another_tool_is_played(ros: Ros, tmp_path: Path) -> None:
    for kind, stamps in (("rgb", (1.0, 1.03, 2.0)), ("depth", (1.01, 1.04))):
        (tmp_path / kind).mkdir()
        image = np.full((24, 32), 7500, np.uint16)  # 1.5 m; as colour, a grey image
        for stamp_s in stamps:
            cv2.imwrite(str(tmp_path / f"{kind}/{stamp_s}.png"), image)
        lines = [f"{stamp_s} {kind}/{stamp_s}.png\n" for stamp_s in stamps]
        (tmp_path / f"{kind}.txt").write_text("# timestamp filename\n" + "".join(lines))
    (tmp_path / "camera.yaml").write_text("fx: 30\nfy: 30\ncx: 15.5\ncy: 11.5\n")
    colour, depth = ros.collect(Image, "rgb/image"), ros.collect(Image, "depth/image")
    player = ros.start("frame_player", folder=tmp_path, rate=10, loop=False, wait_for_subscribers=1)
    ros.wait_for(lambda: not player.is_running, "the end of the folder")
    ros.wait_for(lambda: len(colour) == len(depth) == 2, "two frames")
    assert player.wait() == 0
    np.testing.assert_allclose(image_to_depth_m(depth[0]), 1.5, rtol=1e-6)
    assert "layout tum (TUM RGB-D): 2 frames, images within 0.02 s" in player.output
    assert "1 images have only colour or only depth" in player.output


def test_a_folder_that_loops_begins_again(ros: Ros, frame_folder: Path) -> None:
    colour = ros.collect(Image, "rgb/image")
    player = ros.start("frame_player", folder=frame_folder, rate=60, wait_for_subscribers=0)
    ros.wait_for(lambda: len(colour) > 15, "more frames than the folder has")
    assert player.stop() == 0


def test_a_folder_that_cannot_be_played_ends_with_status_1(ros: Ros) -> None:
    none = ros.start("frame_player")
    missing = ros.start("frame_player", folder="/nonexistent")
    assert (none.wait(), missing.wait()) == (1, 1)
    assert "parameter folder is empty" in none.output
    assert "has no colour folder" in missing.output
    assert "Traceback" not in none.output + missing.output


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


@pytest.mark.parametrize("compression", ["png", "rvl"])
def test_a_folder_is_played_compressed(ros: Ros, frame_folder: Path, compression: str) -> None:
    colour = ros.collect(CompressedImage, "rgb/image/compressed")
    depth = ros.collect(CompressedImage, "depth/image/compressedDepth")
    raw = ros.collect(Image, "rgb/image")
    player = ros.start(
        "frame_player", folder=frame_folder, rate=10, loop=False, wait_for_subscribers=1,
        transport="compressed", depth_compression=compression, depth_frame_id="depth_frame",
    )  # fmt: skip
    ros.wait_for(lambda: len(colour) == len(depth) == 6, "six frames")
    ros.wait_for(lambda: not player.is_running, "the end of the folder")
    assert (colour[0].format, depth[0].format) == (
        "rgb8; jpeg compressed bgr8", f"16UC1; compressedDepth {compression}",
    )  # fmt: skip
    greys = [int(compressed_to_rgb(image)[0, 0, 0]) for image in colour]
    assert greys == [0, 40, 80, 120, 160, 200]
    assert {float(compressed_to_depth_m(image).mean()) for image in depth} == {2.0}
    assert (colour[0].header.frame_id, depth[0].header.frame_id) == (
        "camera_color_optical_frame", "depth_frame",
    )  # fmt: skip
    assert colour[0].header.stamp == depth[0].header.stamp
    assert raw == []


def test_the_synthetic_camera_sends_depth_as_its_own_camera_sees_it(ros: Ros) -> None:
    depth, infos = ros.collect(Image, "depth/image"), ros.collect(CameraInfo, "depth/camera_info")
    colour, imu = ros.collect(Image, "rgb/image"), ros.collect(Imu, "imu")
    camera = ros.start(
        "synthetic_camera", width=96, height=72, frames=2, rate=20, depth_encoding="32FC1",
        registered=False, faults=0.0, baseline_m=0.1, seed=3, imu=True,
    )  # fmt: skip
    ros.wait_for(lambda: len(depth) > 3 and infos and colour and len(imu) > 20, "frames")
    assert camera.stop() == 0
    assert {image.header.frame_id for image in depth} == {"camera_depth_optical_frame"}
    assert {info.header.frame_id for info in infos} == {"camera_depth_optical_frame"}
    assert colour[0].header.frame_id == "camera_color_optical_frame"
    numbers = "0.1000, 0.0000, 0.0000, 0.0000, 0.0000, 0.0000, 1.0000"
    assert f'-p depth_to_color:="[{numbers}]"' in camera.output
    # One of the two frames, both of which the depth camera sees from the right.
    tour, view = Tour.of(3), pinhole(96, 72)
    truths = [
        photograph(
            tour.room.scene, view, tour.pose(phase).moved(right=0.1), SensorConfig.perfect(),
            np.random.default_rng(0),
        ).true_depth_m
        for phase in (0, 0.25)
    ]  # fmt: skip
    got = image_to_depth_m(depth[0])
    assert min(np.abs(np.nan_to_num(got) - truth).max() for truth in truths) < 1e-5
    forces = [message.linear_acceleration for message in imu]
    wanted = [specific_force(tour.pose(phase)) for phase in (0, 0.25)]
    assert all(
        min(np.abs(np.subtract((f.x, f.y, f.z), w)).max() for w in wanted) < 1e-9 for f in forces
    )
    assert imu[0].header.frame_id == "camera_color_optical_frame"
    assert imu[0].orientation_covariance[0] == imu[0].angular_velocity_covariance[0] == -1


def test_an_accelerometer_at_rest_measures_upwards() -> None:
    level = look_at((0, 0, 1), (0, 1, 1))
    assert specific_force(level) == pytest.approx((0, -9.80665, 0), abs=1e-5)  # y is down
    down = look_at((0, 0, 1), (0, 1e-6, 0))
    assert specific_force(down) == pytest.approx((0, 0, -9.80665), abs=1e-4)


def test_depth_encodings_mark_what_is_invalid() -> None:
    depth_m = np.array([0, np.nan, np.inf, -1, 0.0004, 1.2344, 65.535, 70], np.float32)
    assert encode_depth(depth_m, "16UC1").tolist() == [0, 0, 0, 0, 0, 1234, 0, 0]
    metres = encode_depth(depth_m[:6], "32FC1")
    assert np.isnan(metres[[0, 1, 3]]).all()
    assert metres[5] == np.float32(1.2344)
