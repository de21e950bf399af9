"""`segment_node` with cameras as robots have them: compressed, unregistered, restarted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import Ros
from diagnostic_msgs.msg import DiagnosticArray
from hand_camera import HandCamera
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from sensor_msgs.msg import Image, PointCloud2

from fafnet_ros.outputs import POINT

SMALL: dict[str, Any] = {"width": 128, "height": 96, "frames": 4, "rate": 10.0}
SHIFT = "[0.05, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]"
"""How the synthetic depth camera stands in the colour camera's frame."""


class Diagnostics:
    """The latest report of the node."""

    def __init__(self, ros: Ros) -> None:
        self._reports = ros.collect(DiagnosticArray, "/diagnostics")

    @property
    def values(self) -> dict[str, str]:
        if not self._reports:
            return {}
        return {value.key: value.value for value in self._reports[-1].status[0].values}

    @property
    def message(self) -> str:
        return str(self._reports[-1].status[0].message) if self._reports else ""

    def number(self, name: str) -> float:
        return float(self.values.get(name, "0"))


def parameter(name: str, value: Any) -> Parameter:
    kinds: dict[type, tuple[int, str]] = {
        float: (ParameterType.PARAMETER_DOUBLE, "double_value"),
        int: (ParameterType.PARAMETER_INTEGER, "integer_value"),
        str: (ParameterType.PARAMETER_STRING, "string_value"),
        list: (ParameterType.PARAMETER_STRING_ARRAY, "string_array_value"),
    }
    kind, field = kinds[type(value)]
    return Parameter(name=name, value=ParameterValue(type=kind, **{field: value}))


def set_parameters(ros: Ros, **values: Any) -> list[Any]:
    request = SetParameters.Request(parameters=[parameter(k, v) for k, v in values.items()])
    return list(ros.call(SetParameters, "/fafnet/set_parameters", request).results)


def set_together(ros: Ros, **values: Any) -> Any:
    request = SetParametersAtomically.Request(
        parameters=[parameter(k, v) for k, v in values.items()]
    )
    service = "/fafnet/set_parameters_atomically"
    return ros.call(SetParametersAtomically, service, request).result


def pixels(image: Image) -> Any:
    return np.frombuffer(image.data, np.uint8).reshape(image.height, image.width)


@pytest.mark.parametrize("compression", ["png", "rvl"])
def test_compressed_images_are_labelled(ros: Ros, compression: str) -> None:
    labels = ros.collect(Image, "fafnet/labels")
    ros.start("synthetic_camera", transport="compressed", depth_compression=compression, **SMALL)
    node = ros.start("segment_node", transport="compressed")
    ros.wait_for(lambda: len(labels) > 2, "labels")
    assert (labels[0].width, labels[0].height) == (128, 96)
    assert "[ERROR]" not in node.output


def test_unregistered_depth_is_registered_by_the_parameter(ros: Ros) -> None:
    points = ros.collect(PointCloud2, "fafnet/points")
    diagnostics = Diagnostics(ros)
    ros.start("synthetic_camera", registered=False, faults=0.0, calibration_error_px=0.0, **SMALL)
    node = ros.start("segment_node", depth_to_color=SHIFT, points_organized=True)
    ros.wait_for(lambda: len(points) > 1, "clouds")
    ros.wait_for(lambda: diagnostics.number("frames: registered here") > 0, "the count")
    assert diagnostics.number("register p50 (ms)") > 0
    assert "is not known" not in node.output
    cloud = np.frombuffer(points[-1].data, POINT)
    assert 0.5 < np.isfinite(cloud["z"]).mean() < 1  # what only one camera sees is a hole


def test_unregistered_depth_without_a_transform_is_labelled_and_named(ros: Ros) -> None:
    labels = ros.collect(Image, "fafnet/labels")
    diagnostics = Diagnostics(ros)
    ros.start("synthetic_camera", registered=False, **SMALL)
    node = ros.start("segment_node")
    ros.wait_for(lambda: labels, "labels all the same")
    ros.wait_for(lambda: "depth_to_color" in diagnostics.message, "the remedy")
    ros.wait_for(lambda: diagnostics.number("frames: doubtful") > 0, "the count")
    assert "the transform from 'camera_depth_optical_frame'" in node.output


def test_gravity_comes_from_the_imu(ros: Ros) -> None:
    labels = ros.collect(Image, "fafnet/labels")
    diagnostics = Diagnostics(ros)
    camera = ros.start("synthetic_camera", imu=True, **SMALL)
    ros.start("segment_node", gravity="imu")
    ros.wait_for(lambda: len(labels) > 2, "labels")
    ros.wait_for(lambda: diagnostics.message.startswith("segmenting"), "content")
    camera.stop()
    ros.start("synthetic_camera", **SMALL)
    ros.wait_for(lambda: "/imu" in diagnostics.message, "the silent accelerometer is named")


def test_a_camera_matrix_stands_in_for_camera_info(ros: Ros) -> None:
    labels = ros.collect(Image, "fafnet/labels")
    ros.start("synthetic_camera", **SMALL)
    ros.start(
        "segment_node",
        remap={"rgb/camera_info": "/nowhere"},
        camera_matrix="[110.0, 110.0, 63.5, 47.5]",
    )
    ros.wait_for(lambda: len(labels) > 1, "labels")


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
    assert "DOUBLE" in wrong_kind.reason
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
    diagnostics = Diagnostics(ros)
    camera = ros.start("synthetic_camera", width=320, height=240, frames=4, rate=30.0)
    ros.start("segment_node", max_rate=4.0, threads=1)
    ros.wait_for(lambda: diagnostics.number("frames: unwatched") > 5, "pairs for nobody")
    labels = ros.collect(Image, "fafnet/labels")
    ros.wait_for(lambda: diagnostics.number("frames: published") > 8, "labels")
    assert diagnostics.number("frames: over max_rate") > 8
    assert diagnostics.number("published rate (Hz)") <= 4.5
    assert set_parameters(ros, max_rate=0.0)[0].successful
    for _ in range(6):  # while a frame is in the network, and another waits for it
        assert ros.change_state("deactivate")
        assert ros.change_state("activate")
        ros.spin(0.7)
    assert set_parameters(ros, max_latency=0.000001)[0].successful
    ros.wait_for(lambda: diagnostics.number("frames: over max_latency") > 5, "pairs too old")
    labels.clear()
    ros.spin(0.5)
    assert labels == []
    camera.stop()

    def are_accounted_for() -> bool:
        counted = sum(diagnostics.number(f"frames: {cause}") for cause in CAUSES)
        return counted == diagnostics.number("frames: paired") > 50

    ros.wait_for(are_accounted_for, "a cause for every pair")


class Camera(HandCamera):
    """A camera whose calibration the test decides."""

    def __init__(self, ros: Ros) -> None:
        super().__init__(ros, "rgb/camera_info", "rgb/image", "depth/image")

    def take(self, stamp_s: float, *, focal: float = 60.0, width: int = 64) -> None:
        self.send_info("rgb/camera_info", stamp_s, width=width, focal=focal)
        self.send(stamp_s, width=width)


def next_labels(
    ros: Ros, labels: list[Image], send: Callable[[float], None], start: float
) -> float:
    """Send frames at 10 Hz until one has labels; return by how much its stamp is after the first's.

    By stamps, for how long a frame is in the network is up to the machine.
    """
    labels.clear()
    stamp = start
    while True:
        assert stamp < start + 10, "no labels in a hundred frames"
        send(stamp)
        for message in labels:
            labelled: float = message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec
            if start - 0.05 < labelled < stamp + 0.05:  # none of those before
                return labelled - start
        stamp += 0.1


def test_time_that_jumps_back_and_a_camera_that_changes_are_got_over(ros: Ros) -> None:
    labels = ros.collect(Image, "fafnet/labels")
    points = ros.collect(PointCloud2, "fafnet/points")
    diagnostics = Diagnostics(ros)
    node = ros.start("segment_node", use_sim_time=True)  # no /clock at all
    ros.wait_for(lambda: "active: waiting" in node.output, "activation")
    camera = Camera(ros)
    next_labels(ros, labels, camera.take, 1000.0)
    assert next_labels(ros, labels, camera.take, 10.0) <= 1.0  # a bag that loops
    ros.wait_for(lambda: diagnostics.number("pairing: jumps") == 1, "the count")
    assert "frames: calibration changes" not in diagnostics.values
    # The camera comes back with another lens, and with another size.
    points.clear()
    next_labels(ros, labels, lambda stamp: camera.take(stamp, focal=120.0), 30.0)
    ros.wait_for(lambda: points, "a cloud")
    x = np.frombuffer(points[-1].data, POINT)["x"]
    np.testing.assert_allclose(np.abs(x).max(), 2.0 * 32.5 / 120, rtol=0.05)
    assert next_labels(ros, labels, lambda stamp: camera.take(stamp, width=80), 40.0) <= 1.0
    assert labels[-1].width == 80
    ros.wait_for(lambda: diagnostics.number("frames: calibration changes") == 2, "both changes")
    assert "64x48, fx 120, fy 120, cx 31.5, cy 23.5 (was 64x48, fx 60," in node.output
    assert "Traceback" not in node.output


def test_a_bag_shorter_than_a_second_loops_with_a_long_queue(ros: Ros) -> None:
    diagnostics = Diagnostics(ros)
    node = ros.start("segment_node", queue_size=30)
    ros.wait_for(lambda: "active: waiting" in node.output, "activation")
    camera = Camera(ros)
    for _ in range(4):
        for i in range(9):
            camera.take(20.0 + 0.1 * i)
    # Counted, not timed: a second passes in at most ten frames, however slow the machine.
    ros.wait_for(lambda: diagnostics.number("pairing: jumps") == 3, "the count of loops")
    # Half of each loop at the least: it takes up to 0.4 s to tell a jump from late images.
    ros.wait_for(lambda: diagnostics.number("pairing: pairs") >= 9 + 3 * 4, "pairs of each loop")


def test_a_clock_that_runs_below_zero_is_a_clock(ros: Ros) -> None:
    # rclpy's own Time raises for it, which would end the process.
    labels = ros.collect(Image, "fafnet/labels")
    node = ros.start("segment_node")
    ros.wait_for(lambda: "active: waiting" in node.output, "activation")
    camera = Camera(ros)
    next_labels(ros, labels, camera.take, -50.0)
    assert labels[0].header.stamp.sec < 0
    next_labels(ros, labels, camera.take, 2.0**31 - 20)
    assert next_labels(ros, labels, camera.take, 10.0) <= 1.0
    assert node.is_running
    assert "[ERROR]" not in node.output
