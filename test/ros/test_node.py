"""`segment_node` as its users meet it: other processes, over DDS."""

from __future__ import annotations

import importlib.util
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

from conftest import Process, Ros
from hand_camera import HandCamera
from onlooker import ERROR, OK, Diagnostics, set_parameters, set_together
from rcl_interfaces.msg import Parameter
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import String

from fafnet_core.inference import Segmenter
from fafnet_core.labels import ADE20K_INDOOR, NYU40, load_mapping
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


def test_working_nodes_hear_their_camera_and_end_cleanly_with_status_0(ros: Ros) -> None:
    hows = {"one": signal.SIGINT, "two": signal.SIGTERM}
    labels = {name: ros.collect(Image, f"{name}/labels") for name in hows}
    ros.start("synthetic_camera", reliability="best_effort", **SMALL)
    nodes = {name: ros.start("segment_node", remap={"__node": name}) for name in hows}
    ros.wait_for(lambda: all(len(images) > 2 for images in labels.values()), "labels")
    subscriptions = ros.node.get_subscriptions_info_by_topic("/rgb/image")
    # What the camera offers: a reliable subscription would hear nothing.
    assert {each.qos_profile.reliability for each in subscriptions if each.node_name in hows} == {
        ReliabilityPolicy.BEST_EFFORT
    }
    for name, how in hows.items():
        assert nodes[name].stop(how) == 0
        assert "Traceback" not in nodes[name].output


def test_a_bad_checkpoint_fails_to_configure_and_can_be_mended(ros: Ros, tmp_path: Path) -> None:
    bad = tmp_path / "weights.pth"
    bad.write_bytes(b"\x80\x04 not a checkpoint")
    said = Diagnostics(ros)
    node = ros.start("segment_node", checkpoint=bad)
    said.wait_for(
        "on_configure failed",
        "not a safetensors file",
        "unconfigured: not segmenting until it is active",
        "ros2 lifecycle set /fafnet configure",
    )
    assert said.level == ERROR
    assert "not a safetensors file" in node.output
    assert ros.state() == "unconfigured"
    assert set_parameters(ros, checkpoint="default")[0].successful
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
        "queue_size is 'many'; wanted a whole number",
        "reliability is 'sometimes'; wanted one of auto, reliable, best_effort",
        "slop is -1.0; wanted a number x with 0 <= x",
        "fixed_gravity is [0.0, 1.0]; wanted a list of 3 numbers",
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
    said = Diagnostics(ros)
    options: dict[str, Any] = {
        "input_size": "96x72",
        "gravity_smoothing": 0.0,
        "precision": "float32",
    }
    node = ros.start("segment_node", runtime="auto", **options)
    ros.wait_for(lambda: "active: waiting" in node.output, "activation")
    taken = "openvino" if importlib.util.find_spec("openvino") else "torch"
    assert f"on cpu in float32 ({taken}), input size 96x72" in node.output
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
    ros.wait_for(lambda: said.values.get("input scale") == "0.75", "the true input scale")


def test_a_node_that_averages_frames_says_what_it_takes(ros: Ros) -> None:
    labels = ros.collect(Image, "fafnet/labels")
    said = Diagnostics(ros)
    node = ros.start("segment_node", temporal="camera")
    ros.wait_for(lambda: "active: waiting" in node.output, "activation")
    ros.start("synthetic_camera", **{**SMALL, "rate": 4.0})
    ros.wait_for(lambda: len(labels) > 4, "five frames")
    ros.wait_for(lambda: float(said.values.get("odometry p50 (ms)", 0)) > 0, "its time")
    assert said.level == OK
    assert "Traceback" not in node.output


def test_an_input_size_that_cannot_be_is_refused_and_can_be_mended(ros: Ros) -> None:
    node = ros.start("segment_node", autostart=False, input_size="240")
    ros.wait_for(lambda: "'240' is no input size; wanted WIDTHxHEIGHT" in node.output, "a warning")
    (refused,) = set_parameters(ros, input_size="320 by 240")
    assert not refused.successful
    assert "input_size: '320 by 240' is no input size" in refused.reason
    assert set_parameters(ros, input_size="320x32")[0].successful
    assert not ros.change_state("configure")
    assert "input_size is 320x32 (width x height), too small for this network" in node.output
    for right in ("image", "", "64x48"):
        assert set_parameters(ros, input_size=right)[0].successful
    assert ros.change_state("configure")
    assert "input size 64x48" in node.output
    assert not set_parameters(ros, input_size="image")[0].successful


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
    node = ros.participant("hasty", make=Hasty)
    state = LifecycleState("unconfigured", 1)
    assert node.on_configure(state) == TransitionCallbackReturn.FAILURE
    # One line for diagnostics; the traceback is the log's.
    said = "on_configure failed: RuntimeError: cannot make a publisher; see the log"
    assert node.failure == f"{said} for the traceback"
    assert f"{node.failure}\nTraceback" in capfd.readouterr().err
    node.is_ending = True
    assert node.on_configure(state) == TransitionCallbackReturn.FAILURE
    assert "Traceback" not in capfd.readouterr().err


CAMERA = ("rgb/camera_info", "rgb/image", "depth/image")


@dataclass(frozen=True)
class Watched:
    """An active node with a camera in the test's hands, for tests that need none of their own."""

    ros: Ros
    node: Process
    camera: HandCamera
    labels: list[Image]
    said: Diagnostics


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    ros = Ros(tmp_path_factory.mktemp("watched"))
    labels = ros.collect(Image, "fafnet/labels")
    said = Diagnostics(ros)
    node = ros.start("segment_node")
    camera = HandCamera(ros, *CAMERA)
    camera.send_info("rgb/camera_info", 0.0)
    yield Watched(ros, node, camera, labels, said)
    ros.close()


def test_parameters_are_described_checked_and_refused_with_a_reason(watched: Watched) -> None:
    ros = watched.ros
    names = ["overlay_opacity", "precision", "fixed_gravity"]
    request = DescribeParameters.Request(names=names)
    answer = ros.call(DescribeParameters, "/fafnet/describe_parameters", request)
    opacity, precision, gravity = answer.descriptors
    assert opacity.description
    assert opacity.floating_point_range[0].to_value == 1.0
    assert "bfloat16" in precision.additional_constraints
    assert gravity.additional_constraints == "a list of 3 numbers"
    assert set_parameters(ros, overlay_opacity=0.25)[0].successful
    assert not set_parameters(ros, overlay_opacity=1.5)[0].successful
    (active,) = set_parameters(ros, device="cpu")
    assert not active.successful
    assert "deactivate" in active.reason


def test_a_list_cannot_be_deleted(watched: Watched) -> None:
    ros = watched.ros
    assert set_parameters(ros, mask_classes=["wall"])[0].successful
    # What `ros2 param delete` asks for.
    nothing = SetParameters.Request(parameters=[Parameter(name="mask_classes")])
    (result,) = ros.call(SetParameters, "/fafnet/set_parameters", nothing).results
    assert not result.successful
    assert result.reason == "mask_classes cannot be deleted; its default is []"
    assert set_parameters(ros, mask_classes=["chair"])[0].successful
    ros.wait_for(lambda: ros.node.count_publishers("/fafnet/mask/chair"), "the new mask")


def test_other_classes_are_published_while_it_runs(watched: Watched) -> None:
    ros, labels = watched.ros, watched.labels
    names = ros.collect(String, "fafnet/label_names", LATCHED_QOS)
    assert set_parameters(ros, mask_classes=["chair"])[0].successful
    (refused,) = set_parameters(ros, label_map="ade20k-indoor")
    assert not refused.successful
    assert "mask_classes: unknown class 'chair'" in refused.reason
    (refused,) = set_parameters(ros, label_map="nowhere.yaml")
    assert "label_map: there is no file 'nowhere.yaml'" in refused.reason
    assert set_together(ros, label_map="ade20k-indoor", mask_classes=["Chair"]).successful
    ros.wait_for(
        lambda: names and json.loads(names[-1].data)["names"] == list(ADE20K_INDOOR.names), "names"
    )
    labels.clear()
    watched.camera.send(21)
    ros.wait_for(lambda: labels, "labels")
    reached = load_mapping("nyu40", "ade20k-indoor").table
    assert set(bytes(labels[0].data)) <= set(reached.tolist())
    watched.said.refresh()
    assert watched.said.values["label set"] == "ade20k-indoor"
    assert "labels are 20 classes of ade20k-indoor from now on" in watched.node.output
    assert set_together(ros, label_map="", mask_classes=[]).successful


def test_a_bad_frame_is_reported_once_counted_and_passed_over(watched: Watched) -> None:
    ros, node, camera = watched.ros, watched.node, watched.camera
    labels, said = watched.labels, watched.said
    labels.clear()
    camera.send(1, depth_width=32)
    ros.wait_for(lambda: "depth cannot be registered" in node.output, "the refusal")
    camera.send(2, depth_width=32)
    said.wait_for("/rgb/image and /depth/image: ", "depth is 32x48, colour 64x48")
    assert said.level == ERROR
    camera.send(3)
    ros.wait_for(lambda: labels, "labels of the good frame")
    assert labels[0].header.stamp.sec == 3
    assert node.output.count("depth cannot be registered") == 1
    said.wait_for_number("frames: refused", 2)


def test_depth_of_another_frame_is_labelled_and_named(watched: Watched) -> None:
    watched.labels.clear()
    watched.camera.send(11, depth_frame="depth_optical_frame")
    watched.ros.wait_for(lambda: watched.labels, "labels all the same")
    assert "depth is in frame 'depth_optical_frame', colour in 'colour'" in watched.node.output


def test_an_activation_that_fails_leaves_nothing_behind(ros: Ros) -> None:
    # The colour topic's name for camera_info: one topic cannot have two types.
    node = ros.start("segment_node", remap={"rgb/camera_info": "rgb/image"})
    ros.wait_for(lambda: "on_activate failed" in node.output, "the failure")
    assert ros.state() == "inactive"
    assert not ros.change_state("activate")
    for topic in ("/rgb/image", "/depth/image"):
        ros.wait_for(lambda: ros.node.count_subscribers(topic) == 0, "the end of subscriptions")  # noqa: B023
    assert ros.change_state("cleanup")
    assert node.stop() == 0


def test_camera_infos_may_come_late_and_only_the_needed_are_missed(ros: Ros) -> None:
    labels = ros.collect(Image, "fafnet/labels")
    said = Diagnostics(ros)
    ros.start("segment_node", remap={"depth/camera_info": "/wrist/depth/info"})
    camera = HandCamera(ros, *CAMERA)
    camera.send(1)
    assert labels == []
    camera.send_info("rgb/camera_info", 0.0)  # once is enough
    ros.wait_for(lambda: labels, "labels")
    assert labels[0].header.stamp.sec == 1  # the pair has waited for it
    tenths = itertools.count(20)

    def send_until(depth_frame: str, *parts: str) -> None:
        def is_said() -> bool:
            camera.send(next(tenths) / 10, depth_frame=depth_frame)
            return said.has(*parts)

        ros.wait_for(is_said, " ... ".join(parts))

    send_until("colour", "segmenting")  # registered depth needs no camera_info of its own
    assert said.level == OK
    topic = "(camera_info of depth: /wrist/depth/info)"
    missing = "no camera_info of depth came"
    send_until("depth", "/wrist/depth/info has no publisher", missing, topic)
    publisher = ros.node.create_publisher(CameraInfo, "/wrist/depth/info", 1)
    send_until("depth", "/wrist/depth/info has a publisher but is silent")
    publisher.publish(CameraInfo(width=32, height=48))
    send_until("depth", "the camera is not calibrated", topic)
    assert not said.has("silent")
