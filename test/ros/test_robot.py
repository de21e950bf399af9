"""`segment_node` with cameras as robots have them: compressed, unregistered, restarted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import Process, Ros
from geometry_msgs.msg import Quaternion, TransformStamped, Vector3
from hand_camera import HandCamera
from onlooker import Diagnostics, set_parameters, set_together
from sensor_msgs.msg import Image, PointCloud2

from fafnet_ros.outputs import POINT
from fafnet_ros.qos import LATCHED_QOS

SMALL: dict[str, Any] = {"width": 128, "height": 96, "frames": 4, "rate": 10.0}
SHIFT = "[0.05, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]"
"""How the synthetic depth camera stands in the colour camera's frame."""


def pixels(image: Image) -> Any:
    return np.frombuffer(image.data, np.uint8).reshape(image.height, image.width)


def test_compressed_images_are_labelled_by_the_camera_matrix_of_a_parameter(ros: Ros) -> None:
    labels = ros.collect(Image, "fafnet/labels")
    node = ros.start(
        "segment_node",
        remap={"rgb/camera_info": "/nowhere"},
        transport="compressed",
        camera_matrix="[110.0, 110.0, 63.5, 47.5]",
    )
    for compression in ("png", "rvl"):
        camera = ros.start(
            "synthetic_camera", transport="compressed", depth_compression=compression, **SMALL
        )
        ros.wait_for(lambda: len(labels) > 2, f"labels of {compression}")
        assert (labels[0].width, labels[0].height) == (128, 96)
        assert camera.stop() == 0
        labels.clear()
    assert "[ERROR]" not in node.output


def test_unregistered_depth_is_registered_by_the_parameter_or_named(ros: Ros) -> None:
    """Two nodes with one camera: only one of them knows where depth is seen from."""
    clouds = ros.collect(PointCloud2, "told/points")
    labels = ros.collect(Image, "fafnet/labels")
    said = Diagnostics(ros)
    options = {"registered": False, "faults": 0.0, "calibration_error_px": 0.0, **SMALL}
    ros.start("synthetic_camera", **options)
    told = ros.start(
        "segment_node", remap={"__node": "told"}, depth_to_color=SHIFT, points_organized=True
    )
    untold = ros.start("segment_node")

    def value(name: str, key: str) -> float:
        statuses = [report.status[0] for report in said.reports if name in report.status[0].name]
        values = {each.key: each.value for each in statuses[-1].values} if statuses else {}
        return float(values.get(key, "0"))

    ros.wait_for(lambda: len(clouds) > 1 and labels, "clouds, and labels all the same")
    ros.wait_for(lambda: value("told", "frames: registered here") > 0, "the count")
    assert value("told", "register p50 (ms)") > 0
    assert "is not known" not in told.output
    cloud = np.frombuffer(clouds[-1].data, POINT)
    assert 0.5 < np.isfinite(cloud["z"]).mean() < 1  # what only one camera sees is a hole
    ros.wait_for(lambda: any("set depth_to_color" in text for text in said.messages), "the remedy")
    ros.wait_for(lambda: value("fafnet", "frames: doubtful") > 0, "the count")
    assert "the transform from 'camera_depth_optical_frame'" in untold.output


def test_unregistered_depth_is_registered_and_gravity_known_by_the_frames_of_tf(ros: Ros) -> None:
    """The tree of a driver and of the robot that carries it, each latched by its own publisher."""
    pytest.importorskip("tf2_ros", reason="tf2_ros is not installed")
    from tf2_msgs.msg import TFMessage

    optical = (-0.5, 0.5, -0.5, 0.5)
    trees = (
        (("base_link", "camera_link", (0.1, 0.0, 0.3), (0.0, 0.1, 0.0, 0.995)),),
        (
            ("camera_link", "camera_color_frame", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
            ("camera_color_frame", "camera_color_optical_frame", (0.0, 0.0, 0.0), optical),
            ("camera_link", "camera_depth_frame", (0.0, -0.05, 0.0), (0.0, 0.0, 0.0, 1.0)),
            ("camera_depth_frame", "camera_depth_optical_frame", (0.0, 0.0, 0.0), optical),
        ),
    )
    clouds = ros.collect(PointCloud2, "fafnet/points")
    said = Diagnostics(ros)
    exact: dict[str, Any] = {"registered": False, "faults": 0.0, "calibration_error_px": 0.0}
    ros.start("synthetic_camera", **exact, **SMALL)
    node = ros.start("segment_node", points_organized=True, gravity="tf")
    said.wait_for("TF has no way from 'base_link'", "neither /tf_static nor /tf has it")
    for tree in trees:
        message = TFMessage()
        for parent, child, (x, y, z), (qx, qy, qz, qw) in tree:
            transform = TransformStamped(child_frame_id=child)
            transform.header.frame_id = parent
            transform.transform.translation = Vector3(x=x, y=y, z=z)
            transform.transform.rotation = Quaternion(x=qx, y=qy, z=qz, w=qw)
            message.transforms.append(transform)
        ros.node.create_publisher(TFMessage, "/tf_static", LATCHED_QOS).publish(message)
    said.wait_for_number("frames: registered here", 1)
    said.refresh()
    ros.wait_for(lambda: not said.has("TF"), "that nothing is missing any more")
    clouds.clear()
    ros.wait_for(lambda: clouds, "a cloud")
    cloud = np.frombuffer(clouds[-1].data, POINT)
    assert 0.5 < np.isfinite(cloud["z"]).mean() < 1  # what only one camera sees is a hole
    assert node.is_running


def test_settings_change_while_it_runs_all_at_once_or_not_at_all(ros: Ros) -> None:
    labels = ros.collect(Image, "fafnet/labels")
    masks = ros.collect(Image, "fafnet/mask/night_stand")
    ros.start("synthetic_camera", **SMALL)
    node = ros.start("segment_node")
    ros.wait_for(lambda: labels, "labels")
    refused = set_together(ros, output_scale=0.5, mask_classes=["chiar"])
    assert not refused.successful
    assert "chair" in refused.reason
    accepted = set_together(ros, output_scale=0.5, mask_classes=["night stand", "wall"])
    assert accepted.successful, accepted.reason
    ros.wait_for(lambda: masks, "the new mask")
    labels.clear()
    ros.wait_for(lambda: labels, "labels")
    assert (labels[-1].width, labels[-1].height) == (64, 48)
    assert set(np.unique(pixels(masks[-1]))) <= {0, 255}
    assert set_parameters(ros, confidence_threshold=1.0, mask_classes=[])[0].successful
    ros.wait_for(lambda: ros.node.count_publishers("/fafnet/mask/night_stand") == 0, "no mask")
    ros.wait_for(lambda: bool((pixels(labels[-1]) == 255).all()), "nothing is that sure")
    out_of_range, wrong_kind = set_parameters(ros, slop=-1.0, max_rate="fast")
    assert not out_of_range.successful
    assert not wrong_kind.successful
    assert "Wrong parameter type" in wrong_kind.reason  # in rclpy's words
    assert node.is_running


CAUSES = (
    "published",
    "unwatched",
    "replaced by a newer one",
    "over max_rate",
    "over max_latency",
    "refused",
    "failed",
    "without camera_info",
    "left at deactivation",
)


def test_every_pair_is_accounted_for(ros: Ros) -> None:
    said = Diagnostics(ros)
    camera = ros.start("synthetic_camera", width=320, height=240, frames=4, rate=30.0)
    ros.start("segment_node", max_rate=4.0, threads=1)
    said.wait_for_number("frames: unwatched", 5)
    assert "frames: published" not in said.values  # nothing is computed for nobody
    labels = ros.collect(Image, "fafnet/labels")
    said.wait_for_number("frames: published", 8)
    assert said.number("frames: over max_rate") > 8
    assert said.number("published rate (Hz)") <= 4.5
    assert set_parameters(ros, max_rate=0.0)[0].successful
    for _ in range(6):  # while a frame is in the network, and another waits for it
        labels.clear()
        ros.wait_for(lambda: len(labels) > 1, "labels")
        assert ros.change_state("deactivate")
        assert ros.change_state("activate")
    assert set_parameters(ros, max_latency=0.000001)[0].successful
    said.wait_for_number("frames: over max_latency", 5)
    camera.stop()

    def are_accounted_for() -> bool:
        counted = sum(said.number(f"frames: {cause}") for cause in CAUSES)
        return counted == said.number("frames: paired") > 50

    ros.wait_for(are_accounted_for, "a cause for every pair")


@dataclass(frozen=True)
class Looped:
    """A node without /clock, and a camera whose time the test decides; tests share both."""

    ros: Ros
    node: Process
    camera: HandCamera
    labels: list[Image]
    said: Diagnostics

    def label(self, start: float, send: Callable[[float], None] | None = None) -> float:
        """Send frames at 10 Hz until one has labels; return its stamp less the first one's.

        By stamps: how long a frame is in the network is up to the machine.
        """
        self.labels.clear()
        stamp = start
        while True:
            assert stamp < start + 10, "no labels in a hundred frames"
            (send or self.camera.take)(stamp)
            for message in self.labels:
                labelled: float = message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec
                if start - 0.05 < labelled < stamp + 0.05:  # none of those before
                    return labelled - start
            stamp += 0.1


@pytest.fixture(scope="module")
def looped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looped]:
    ros = Ros(tmp_path_factory.mktemp("looped"))
    labels = ros.collect(Image, "fafnet/labels")
    said = Diagnostics(ros)
    node = ros.start("segment_node", use_sim_time=True, queue_size=30)
    camera = HandCamera(ros, "rgb/camera_info", "rgb/image", "depth/image")
    yield Looped(ros, node, camera, labels, said)
    ros.close()


def test_time_that_jumps_back_and_a_camera_that_changes_are_got_over(looped: Looped) -> None:
    ros, camera, said = looped.ros, looped.camera, looped.said
    points = ros.collect(PointCloud2, "fafnet/points")
    looped.label(1000.0)
    assert looped.label(10.0) <= 1.0  # a bag that loops
    said.wait_for_number("pairing: jumps", 1)
    assert "frames: calibration changes" not in said.values
    # The camera comes back with another lens, and with another size.
    points.clear()
    looped.label(30.0, lambda stamp: camera.take(stamp, focal=120.0))
    ros.wait_for(lambda: points, "a cloud")
    x = np.frombuffer(points[-1].data, POINT)["x"]
    np.testing.assert_allclose(np.abs(x).max(), 2.0 * 32.5 / 120, rtol=0.05)
    assert looped.label(40.0, lambda stamp: camera.take(stamp, width=80)) <= 1.0
    assert looped.labels[-1].width == 80
    said.wait_for_number("frames: calibration changes", 2)
    output = looped.node.output
    assert "64x48, fx 120, fy 120, cx 31.5, cy 23.5 (was 64x48, fx 60," in output
    assert "Traceback" not in output


def test_a_bag_shorter_than_a_second_loops_with_a_long_queue(looped: Looped) -> None:
    looped.label(2000.0)
    looped.said.refresh()
    before = {name: looped.said.number(f"pairing: {name}") for name in ("jumps", "pairs")}
    for _ in range(4):
        for i in range(9):
            looped.camera.take(2020.0 + 0.1 * i)
    # Counted, not timed: a second passes in at most ten frames, however slow the machine.
    looped.said.wait_for_number("pairing: jumps", before["jumps"] + 3)
    # Half of each loop at the least: it takes up to 0.4 s to tell a jump from late images.
    looped.said.wait_for_number("pairing: pairs", before["pairs"] + 9 + 3 * 4)
    assert looped.said.number("pairing: jumps") == before["jumps"] + 3


def test_a_clock_that_runs_below_zero_is_a_clock(looped: Looped) -> None:
    # rclpy's own Time raises for it, which would end the process.
    looped.label(-50.0)
    assert looped.labels[-1].header.stamp.sec < 0
    looped.label(2.0**31 - 20)
    assert looped.label(10.0) <= 1.0
    assert looped.node.is_running
    assert "[ERROR]" not in looped.node.output
