"""`segment_node` as its users meet it: other processes, over DDS."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

import rclpy
from conftest import Process, Ros
from diagnostic_msgs.msg import DiagnosticArray
from hand_camera import HandCamera
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import String

from fafnet_core.inference import Segmenter
from fafnet_core.labels import NYU40
from fafnet_core.messages.images import image_to_depth_m, image_to_rgb
from fafnet_core.resampling import sampled
from fafnet_ros.node.lifecycle import SturdyLifecycleNode, transition
from fafnet_ros.outputs import LATCHED_QOS

SMALL: dict[str, Any] = {"width": 128, "height": 96, "frames": 4}
ENCODINGS = {
    "labels": ("mono8", 1),
    "overlay": ("rgb8", 3),
    "color": ("rgb8", 3),
    "confidence": ("32FC1", 4),
    "hha": ("rgb8", 3),
}


def header(message: Image) -> tuple[int, int, str]:
    return message.header.stamp.sec, message.header.stamp.nanosec, message.header.frame_id


def set_parameter(ros: Ros, name: str, kind: int, **value: Any) -> Any:
    parameter = Parameter(name=name, value=ParameterValue(type=kind, **value))
    request = SetParameters.Request(parameters=[parameter])
    return ros.call(SetParameters, "/fafnet/set_parameters", request).results[0]


def test_every_frame_comes_back_labelled_under_its_own_header(ros: Ros, frame_folder: Path) -> None:
    colour = ros.collect(Image, "rgb/image")
    ros.collect(Image, "depth/image")
    outputs = {topic: ros.collect(Image, f"fafnet/{topic}") for topic in ENCODINGS}
    node = ros.start("segment_node")
    ros.wait_for(lambda: "active: waiting" in node.output, "activation")
    ros.wait_for(
        lambda: all(ros.node.count_publishers(f"/fafnet/{topic}") for topic in ENCODINGS),
        "discovery of the outputs",
    )
    # Slow enough for a busy machine: a frame that is overtaken would be dropped, as it should.
    player = ros.start(
        "frame_player", folder=frame_folder, rate=1.5, loop=False, wait_for_subscribers=2
    )
    ros.wait_for(lambda: not player.is_running, "the end of the folder")
    ros.wait_for(lambda: all(len(m) >= 6 for m in outputs.values()), "six of each output")
    assert player.wait() == 0
    assert len(colour) == 6
    for topic, (encoding, pixel) in ENCODINGS.items():
        images = outputs[topic]
        assert [header(image) for image in images] == [header(image) for image in colour]
        for image in images:
            assert (image.encoding, image.width, image.height) == (encoding, 128, 96)
            assert (image.step, len(image.data)) == (128 * pixel, 128 * 96 * pixel)
    labels = np.frombuffer(outputs["labels"][-1].data, np.uint8)
    shown = np.frombuffer(outputs["color"][-1].data, np.uint8).reshape(-1, 3)
    assert labels.max() < len(NYU40)
    np.testing.assert_array_equal(shown, NYU40.colourise(labels))
    confidence = np.frombuffer(outputs["confidence"][-1].data, np.float32)
    assert 1 / 40 <= confidence.min() <= confidence.max() <= 1
    # What the checkpoint is not for is said once.
    assert node.output.count("random weights") == 1


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_working_node_ends_cleanly_with_status_0(ros: Ros, how: signal.Signals) -> None:
    labels = ros.collect(Image, "fafnet/labels")
    ros.start("synthetic_camera", **SMALL)
    node = ros.start("segment_node")
    ros.wait_for(lambda: len(labels) > 2, "labels")
    assert node.stop(how) == 0
    assert "Traceback" not in node.output


def test_transitions_in_any_order_leave_the_node_alive(ros: Ros) -> None:
    labels = ros.collect(Image, "fafnet/labels")
    ros.start("synthetic_camera", **SMALL)
    node = ros.start("segment_node", autostart=False)
    assert ros.state() == "unconfigured"
    for impossible in ("activate", "deactivate", "cleanup", "nonsense"):
        assert not ros.change_state(impossible)
    # A bare id that is not possible now ends the process in plain rclpy of Jazzy.
    request = ChangeState.Request()
    request.transition.id = 3
    assert not ros.call(ChangeState, "/fafnet/change_state", request).success
    assert ros.change_state("configure")
    assert not ros.change_state("configure")
    assert ros.state() == "inactive"
    for _ in range(2):
        assert ros.change_state("activate")
        labels.clear()
        ros.wait_for(lambda: len(labels) > 1, "labels while active")
        assert ros.change_state("deactivate")
        ros.spin(0.3)
        labels.clear()
        ros.spin(0.7)
        assert labels == []
    assert ros.change_state("cleanup")
    assert ros.state() == "unconfigured"
    assert ros.change_state("configure")
    assert ros.change_state("activate")
    assert ros.change_state("shutdown")
    assert ros.state() == "finalized"
    assert not ros.change_state("activate")
    assert node.is_running
    assert node.stop() == 0


def test_a_bad_checkpoint_fails_to_configure_and_can_be_mended(ros: Ros, tmp_path: Path) -> None:
    bad = tmp_path / "weights.pth"
    bad.write_bytes(b"\x80\x04 not a checkpoint")
    reports = ros.collect(DiagnosticArray, "/diagnostics")
    node = ros.start("segment_node", checkpoint=bad)
    ros.wait_for(lambda: "on_configure failed" in node.output, "the refusal")
    assert "not a safetensors file" in node.output
    assert ros.state() == "unconfigured"
    ros.wait_for(lambda: reports, "diagnostics")
    said = reports[-1].status[0]
    assert "not a safetensors file" in said.message
    assert "unconfigured" in said.message
    assert "ros2 lifecycle set /fafnet configure" in said.message
    assert said.level == b"\x02"
    assert set_parameter(
        ros, "checkpoint", ParameterType.PARAMETER_STRING, string_value="default"
    ).successful
    assert ros.change_state("configure")
    assert ros.change_state("activate")


def test_a_parameter_file_works_under_any_name_and_its_mistakes_are_named(
    ros: Ros, tmp_path: Path
) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(
        "/**:\n  ros__parameters:\n    overlay_opacity: 1\n    slopp: 0.1\n"
        "    queue_size: many\n    reliability: sometimes\n    slop: -1.0\n"
        "    camera_matrix: [110, 110, 63, 47]\n    mask_classes: wall\n    points_classes: []\n"
        "    fixed_gravity: [0.0, 1.0]\n"
    )
    remap = {"__ns": "/robot/left", "__node": "eyes"}
    node = ros.start("segment_node", remap=remap, params_file=file)
    ros.wait_for(lambda: "active: waiting" in node.output, "activation")
    for mistake in (
        "unknown parameter 'slopp': did you mean 'slop'?",
        "queue_size is 'many'; it has to be a whole number",
        "unknown value 'sometimes': known: auto, best_effort, reliable",
        "slop is -1; it has to be at least 0",
        "fixed_gravity is [0.0, 1.0]; it has to be a list of 3 numbers",
    ):
        assert mistake in node.output
    assert "points_classes" not in node.output
    names = ["overlay_opacity", "queue_size", "camera_matrix", "mask_classes"]
    request = GetParameters.Request(names=names)
    answer = ros.call(GetParameters, "/robot/left/eyes/get_parameters", request)
    assert answer.values[0].double_value == 1.0
    assert answer.values[1].integer_value == 10
    assert list(answer.values[2].double_array_value) == [110.0, 110.0, 63.0, 47.0]
    assert answer.values[3].string_array_value == ["wall"]
    assert "/robot/left/rgb/image" in node.output


def test_arguments_that_rcl_refuses_are_named_with_what_to_write(ros: Ros, tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("/**:\n  ros__parameters:\n    depth_to_color: [0.05, 0, 0, 0, 0, 0, 1]\n")
    mixed = ros.start("segment_node", params_file=file)
    missing = ros.start("segment_node", params_file=tmp_path / "nowhere.yaml")
    assert (mixed.wait(60), missing.wait(60)) == (1, 1)
    assert "Write all numbers of a list alike: [0.05, 0.0, 1.0]" in mixed.output
    assert "Error opening YAML file" in missing.output
    assert "Traceback" not in mixed.output + missing.output


def of_stamp(messages: list[Any], stamp: Any) -> Any:
    return next((each for each in messages if each.header.stamp == stamp), None)


def test_the_network_sees_its_input_size_and_hha_lies_on_the_labels(ros: Ros) -> None:
    names = ("rgb/image", "depth/image", "fafnet/labels", "fafnet/hha")
    images = {name: ros.collect(Image, name) for name in names}
    infos = ros.collect(CameraInfo, "rgb/camera_info")
    reports = ros.collect(DiagnosticArray, "/diagnostics")
    node = ros.start("segment_node", input_size="96x72", gravity_smoothing=0.0, precision="float32")
    ros.wait_for(lambda: "active: waiting" in node.output, "activation")
    assert "input size 96x72" in node.output
    ros.start("synthetic_camera", **{**SMALL, "rate": 3.0})

    def whole() -> list[list[Any]]:
        frames = [[of_stamp(images[n], m.header.stamp) for n in names] for m in images[names[2]]]
        return [frame for frame in frames if all(frame)]

    ros.wait_for(lambda: infos and len(whole()) > 1, "two frames with labels and HHA")
    colour, depth, labels, hha = whole()[-1]
    rgb, depth_m = image_to_rgb(colour), image_to_depth_m(depth)
    matrix = np.array(infos[0].k).reshape(3, 3)
    segmenter = Segmenter.from_checkpoint(
        "untrained:fafnet-nano", "cpu", "float32", input_size=(72, 96)
    )
    wanted = segmenter.segment(rgb, depth_m, matrix)
    assert wanted.hha.shape == (72, 96, 3)
    found = np.frombuffer(labels.data, np.uint8).reshape(96, 128)
    assert (found == wanted.labels).mean() > 0.99
    shown = np.frombuffer(hha.data, np.uint8).reshape(96, 128, 3)
    assert (shown == sampled(wanted.hha, (96, 128))).mean() > 0.99
    aside = cv2.resize(wanted.hha, (128, 96), interpolation=cv2.INTER_NEAREST)
    assert (shown == aside).mean() < 0.95

    def scale() -> list[str]:
        return [v.value for v in reports[-1].status[0].values if v.key == "input scale"]

    ros.wait_for(lambda: reports and scale() == ["0.75"], "the true input scale")


def test_an_input_size_that_cannot_be_is_refused_and_can_be_mended(ros: Ros) -> None:
    node = ros.start("segment_node", autostart=False, input_size="240")
    ros.wait_for(lambda: "'240' is no input size; wanted WIDTHxHEIGHT" in node.output, "a warning")
    text = ParameterType.PARAMETER_STRING
    refused = set_parameter(ros, "input_size", text, string_value="320 by 240")
    assert not refused.successful
    assert "input_size: '320 by 240' is no input size" in refused.reason
    assert set_parameter(ros, "input_size", text, string_value="320x32").successful
    assert not ros.change_state("configure")
    assert "input_size is 320x32 (width x height), too small for this network" in node.output
    for right in ("image", "", "64x48"):
        assert set_parameter(ros, "input_size", text, string_value=right).successful
    assert ros.change_state("configure")
    assert "input size 64x48" in node.output
    assert not set_parameter(ros, "input_size", text, string_value="image").successful


def test_a_camera_matrix_that_is_none_fails_to_activate(ros: Ros) -> None:
    node = ros.start("segment_node", camera_matrix="[0.0, 500.0, 320.0, 240.0]")
    ros.wait_for(lambda: "on_activate failed: camera_matrix is [0.0," in node.output, "the refusal")
    assert ros.state() == "inactive"


class Hasty(SturdyLifecycleNode):
    """A node whose configuration fails, maybe because the process is being shut down."""

    is_ending = False

    @transition
    def on_configure(self, state: LifecycleState) -> None:
        """Fail."""
        if self.is_ending:
            self.context.shutdown()
        raise RuntimeError("cannot make a publisher")


def test_a_transition_that_a_signal_ends_is_no_fault(
    ros: Ros, capfd: pytest.CaptureFixture[str]
) -> None:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros.domain)
    node = Hasty("hasty", context=context)
    state = LifecycleState("unconfigured", 1)
    assert node.on_configure(state) == TransitionCallbackReturn.FAILURE
    # One line for diagnostics; the traceback is the log's.
    said = "on_configure failed: RuntimeError: cannot make a publisher; see the log"
    assert node.failure == f"{said} for the traceback"
    assert f"{node.failure}\nTraceback" in capfd.readouterr().err
    node.is_ending = True
    assert node.on_configure(state) == TransitionCallbackReturn.FAILURE
    assert "Traceback" not in capfd.readouterr().err
    node.destroy_node()


def test_reliability_follows_what_the_camera_offers(ros: Ros) -> None:
    labels = ros.collect(Image, "fafnet/labels")
    ros.start("synthetic_camera", reliability="best_effort", **SMALL)
    ros.start("segment_node")
    ros.wait_for(lambda: len(labels) > 2, "labels")
    mine = [
        info
        for info in ros.node.get_subscriptions_info_by_topic("/rgb/image")
        if info.node_name == "fafnet"
    ]
    assert [info.qos_profile.reliability for info in mine] == [ReliabilityPolicy.BEST_EFFORT]


CAMERA = ("rgb/camera_info", "rgb/image", "depth/image")


@dataclass(frozen=True)
class Watched:
    """An active node with a camera in the test's hands, for tests that need none of their own."""

    ros: Ros
    node: Process
    camera: HandCamera
    labels: list[Image]
    reports: list[DiagnosticArray]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    ros = Ros(tmp_path_factory.mktemp("watched"))
    labels = ros.collect(Image, "fafnet/labels")
    reports = ros.collect(DiagnosticArray, "/diagnostics")
    node = ros.start("segment_node")
    camera = HandCamera(ros, *CAMERA)
    camera.send_info("rgb/camera_info", 0.0)
    yield Watched(ros, node, camera, labels, reports)
    ros.close()


def test_label_names_reach_those_who_come_late(watched: Watched) -> None:
    ros = watched.ros
    names = ros.collect(String, "fafnet/label_names", LATCHED_QOS)
    ros.wait_for(lambda: names, "label names")
    assert json.loads(names[0].data)["names"] == list(NYU40.names)
    assert json.loads(names[0].data)["ignore_index"] == 255


def test_parameters_are_described_checked_and_refused_with_a_reason(watched: Watched) -> None:
    ros = watched.ros
    names = ["overlay_opacity", "precision"]
    request = DescribeParameters.Request(names=names)
    answer = ros.call(DescribeParameters, "/fafnet/describe_parameters", request)
    opacity, precision = answer.descriptors
    assert opacity.description
    assert opacity.floating_point_range[0].to_value == 1.0
    assert "bfloat16" in precision.additional_constraints
    double = ParameterType.PARAMETER_DOUBLE
    assert set_parameter(ros, "overlay_opacity", double, double_value=0.25).successful
    too_much = set_parameter(ros, "overlay_opacity", double, double_value=1.5)
    assert not too_much.successful
    active = set_parameter(ros, "device", ParameterType.PARAMETER_STRING, string_value="cpu")
    assert not active.successful
    assert "deactivate" in active.reason


def test_a_list_cannot_be_deleted(watched: Watched) -> None:
    ros, texts = watched.ros, ParameterType.PARAMETER_STRING_ARRAY
    assert set_parameter(ros, "mask_classes", texts, string_array_value=["wall"]).successful
    # What `ros2 param delete` asks for.
    nothing = SetParameters.Request(parameters=[Parameter(name="mask_classes")])
    (result,) = ros.call(SetParameters, "/fafnet/set_parameters", nothing).results
    assert not result.successful
    assert result.reason == "mask_classes cannot be deleted; its default is []"
    assert set_parameter(ros, "mask_classes", texts, string_array_value=["chair"]).successful
    ros.wait_for(lambda: ros.node.count_publishers("/fafnet/mask/chair"), "the new mask")


def test_a_bad_frame_is_reported_once_counted_and_passed_over(watched: Watched) -> None:
    ros, node, camera = watched.ros, watched.node, watched.camera
    labels, reports = watched.labels, watched.reports
    labels.clear()
    camera.send(1, depth_width=32)
    ros.wait_for(lambda: "depth cannot be registered" in node.output, "the refusal")
    camera.send(2, depth_width=32)
    ros.wait_for(
        lambda: any(r.status[0].level == b"\x02" for r in reports), "an error in diagnostics"
    )
    worst = next(r for r in reports if r.status[0].level == b"\x02").status[0]
    assert "depth is 32x48, colour 64x48" in worst.message
    assert "/rgb/image and /depth/image: " in worst.message
    camera.send(3)
    ros.wait_for(lambda: labels, "labels of the good frame")
    assert labels[0].header.stamp.sec == 3
    assert node.output.count("depth cannot be registered") == 1

    def refused() -> list[str]:
        return [v.value for v in reports[-1].status[0].values if v.key == "frames: refused"]

    ros.wait_for(lambda: refused() == ["2"], "two refusals counted")


def test_depth_of_another_frame_is_labelled_and_named(watched: Watched) -> None:
    watched.labels.clear()
    watched.camera.send(11, depth_frame="depth_optical_frame")
    watched.ros.wait_for(lambda: watched.labels, "labels all the same")
    assert "depth is in frame 'depth_optical_frame', colour in 'colour'" in watched.node.output


def test_a_camera_info_that_comes_late_and_once_is_enough(ros: Ros) -> None:
    labels = ros.collect(Image, "fafnet/labels")
    reports = ros.collect(DiagnosticArray, "/diagnostics")
    ros.start("segment_node")
    camera = HandCamera(ros, *CAMERA)
    camera.send(1)
    assert labels == []
    camera.send_info("rgb/camera_info", 0.0)
    ros.wait_for(lambda: labels, "labels")
    assert labels[0].header.stamp.sec == 1  # the pair has waited for it
    tenths = itertools.count(20)

    def is_content() -> bool:
        camera.send(next(tenths) / 10)
        return len(reports) > 4 and reports[-1].status[0].message.startswith("segmenting")

    ros.wait_for(is_content, "OK")
    assert reports[-1].status[0].level == b"\x00"


def test_an_activation_that_fails_leaves_nothing_behind_and_can_be_mended(ros: Ros) -> None:
    # The colour topic's name for camera_info: one topic cannot have two types.
    node = ros.start("segment_node", remap={"rgb/camera_info": "rgb/image"})
    ros.wait_for(lambda: "on_activate failed" in node.output, "the failure")
    assert ros.state() == "inactive"
    assert not ros.change_state("activate")
    ros.spin(0.5)
    assert ros.node.count_subscribers("/rgb/image") == 0
    assert ros.node.count_subscribers("/depth/image") == 0
    assert ros.change_state("cleanup")
    assert node.stop() == 0


def test_a_missing_camera_info_of_depth_is_named_only_where_depth_needs_it(ros: Ros) -> None:
    ros.collect(Image, "fafnet/labels")
    reports = ros.collect(DiagnosticArray, "/diagnostics")
    node = ros.start("segment_node", remap={"depth/camera_info": "/wrist/depth/info"})
    ros.wait_for(lambda: "active: waiting" in node.output, "activation")
    camera = HandCamera(ros, *CAMERA)
    camera.send_info("rgb/camera_info", 0.0)
    tenths = itertools.count(10)

    def message_after_a_frame(depth_frame: str) -> str:
        camera.send(next(tenths) / 10, depth_frame=depth_frame)
        return str(reports[-1].status[0].message) if reports else ""

    def is_segmenting() -> bool:
        return message_after_a_frame("colour").startswith("segmenting")

    def is_named(text: str) -> bool:
        return text in message_after_a_frame("depth")

    ros.wait_for(is_segmenting, "labels of registered depth, though depth has no camera_info")
    ros.wait_for(lambda: is_named("/wrist/depth/info has no publisher"), "the missing publisher")
    topic = "(camera_info of depth: /wrist/depth/info)"
    said = reports[-1].status[0].message
    assert "no camera_info of depth came" in said
    assert topic in said
    publisher = ros.node.create_publisher(CameraInfo, "/wrist/depth/info", 1)
    silent = "/wrist/depth/info has a publisher but is silent"
    ros.wait_for(lambda: is_named(silent), "the silent publisher")
    publisher.publish(CameraInfo(width=32, height=48))
    ros.wait_for(lambda: is_named("the camera is not calibrated"), "what is wrong with what came")
    assert topic in reports[-1].status[0].message
    assert silent not in reports[-1].status[0].message


def test_nothing_is_computed_for_nobody(ros: Ros) -> None:
    reports = ros.collect(DiagnosticArray, "/diagnostics")
    ros.start("synthetic_camera", **SMALL)
    ros.start("segment_node")

    def counted() -> dict[str, str]:
        return {v.key: v.value for v in reports[-1].status[0].values} if reports else {}

    ros.wait_for(lambda: int(counted().get("frames: unwatched", 0)) > 5, "unwatched frames")
    assert "frames: published" not in counted()
    ros.collect(Image, "fafnet/color")
    ros.wait_for(lambda: int(counted().get("frames: published", 0)) > 0, "work on demand")
