"""The transform between the cameras: a parameter, the driver's topic, or TF."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import Ros
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rclpy.node import Node

from fafnet_core.registration import Extrinsics
from fafnet_ros.inputs.extrinsics import HeardExtrinsics, Turns, extrinsics_source
from fafnet_ros.inputs.parameters import ExtrinsicsParameters
from fafnet_ros.inputs.transform_buffer import TransformBuffer, transform_to_extrinsics
from fafnet_ros.qos import LATCHED_QOS

# A quarter turn about z: x goes to y, and y to -x. Its transpose is another rotation.
QUARTER = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
QUARTER_QUATERNION = (0.0, 0.0, 0.5**0.5, 0.5**0.5)


def quarter_message(**changes: Any) -> Any:
    """What a RealSense would say for QUARTER: its nine numbers run down the columns."""
    down_the_columns = [0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    values = {"rotation": down_the_columns, "translation": [0.015, 0.0, -0.002]} | changes
    return SimpleNamespace(**{name: np.array(value) for name, value in values.items()})


def test_a_transform_message_takes_its_childs_points_to_its_parent() -> None:
    x, y, z, w = QUARTER_QUATERNION
    message = Transform(
        translation=Vector3(x=1.0, y=2.0, z=3.0), rotation=Quaternion(x=x, y=y, z=z, w=w)
    )
    extrinsics = transform_to_extrinsics(message)
    np.testing.assert_allclose(extrinsics.rotation @ (1, 0, 0) + extrinsics.translation, (1, 3, 3))
    with pytest.raises(ValueError, match="length 0"):
        transform_to_extrinsics(Transform(rotation=Quaternion(w=0.0)))


def test_the_parameter_beats_all_else_whatever_the_frames(ros: Ros) -> None:
    for length in (0.9901, 1.0, 1.0099):  # few digits are enough
        quaternion = tuple(length * part for part in QUARTER_QUATERNION)
        pose = ExtrinsicsParameters(depth_to_color=(0.1, 0.2, 0.3, *quaternion))
        source = extrinsics_source(ros.node, pose)
        for frames in (("depth", "colour"), ("", ""), ("one", "one")):
            found = source.depth_to_color(*frames)
            assert found is not None
            np.testing.assert_allclose(found.rotation, QUARTER, atol=1e-15)
            np.testing.assert_array_equal(found.translation, (0.1, 0.2, 0.3))
        assert source.finding() is None
        source.destroy()
    for quaternion in ((0.0,) * 4, (0.0, 0.0, 0.0, 1.011), (1.0, 0.0, 0.0, 1.0)):
        with pytest.raises(ValueError, match=r"depth_to_color.*w comes last"):
            extrinsics_source(
                ros.node, ExtrinsicsParameters(depth_to_color=(0.0, 0.0, 0.0, *quaternion))
            )
    assert ros.node.count_subscribers("/tf_static") == 0


def test_the_drivers_message_counts_until_it_says_otherwise(ros: Ros) -> None:
    source = HeardExtrinsics(ros.node)
    assert source.depth_to_color("depth", "colour") is None
    source.on_extrinsics(quarter_message())
    first = source.depth_to_color("depth", "colour")
    assert first is not None
    np.testing.assert_array_equal(first.rotation @ (1, 0, 0), (0, 1, 0))
    np.testing.assert_array_equal(first.translation, (0.015, 0.0, -0.002))
    # One frame id for all streams is no reason to disbelieve it.
    assert source.depth_to_color("one", "one") == first
    assert source.finding() is None
    source.on_extrinsics(quarter_message(translation=[0.0, 0.0, 0.0]))
    second = source.depth_to_color("depth", "colour")
    assert second is not None
    assert second.translation.tolist() == [0.0, 0.0, 0.0]
    # A driver that is not calibrated says zeros: what it said before stands.
    source.on_extrinsics(quarter_message(rotation=[0.0] * 9))
    assert source.depth_to_color("depth", "colour") == second
    source.destroy()


def test_what_is_missing_is_named_with_both_frames_and_the_remedies(ros: Ros) -> None:
    source = HeardExtrinsics(ros.node)
    assert source.finding() is None  # nobody has asked: depth may well be registered
    assert source.depth_to_color("colour_frame", "colour_frame") is None
    assert source.finding() is None
    assert source.depth_to_color("depth_frame", "colour_frame") is None
    finding = source.finding()
    assert finding is not None
    for part in ("'depth_frame'", "'colour_frame'", "set depth_to_color to [x, y, z,", "remap"):
        assert part in finding
    time.sleep(0.05)
    assert source.finding(within_s=0.01) is None
    assert source.finding(within_s=5.0) == finding  # a slow camera: the next frame is not yet due
    source.destroy()
    assert ros.node.count_subscribers("/tf_static") == 0


def test_what_costs_takes_turns_while_it_is_wanted() -> None:
    turns = Turns(5.0, 15.0)
    assert not turns.at(0.0, wanted=False)
    assert [second for second in range(60) if turns.at(float(second), wanted=True)] == [
        *range(5),
        *range(20, 25),
        *range(40, 45),
    ]
    # Found at 61 s, and lost again: what came and went does not begin a turn each time.
    assert turns.at(60.0, wanted=True)
    assert not turns.at(61.0, wanted=False)
    assert turns.at(62.0, wanted=True)
    assert not turns.at(70.0, wanted=True)
    assert turns.at(80.0, wanted=True)


def test_a_transform_that_only_tf_has_is_heard_there_and_kept(ros: Ros) -> None:
    pytest.importorskip("tf2_ros", reason="tf2_ros is not installed")
    from tf2_msgs.msg import TFMessage

    source = HeardExtrinsics(ros.node)
    moving = ros.node.create_publisher(TFMessage, "/tf", 10)
    source.follow()
    assert ros.node.count_subscribers("/tf") == 0  # no frame asks for a transform
    assert source.depth_to_color("depth", "colour") is None
    source.follow()
    ros.wait_for(moving.get_subscription_count, "a subscription to /tf")
    moving.publish(TFMessage(transforms=[stamped("colour", "depth", 0.015, 100)]))
    ros.wait_for(lambda: source.depth_to_color("depth", "colour"), "the transform")
    source.follow()
    ros.wait_for(lambda: not moving.get_subscription_count(), "the end of the subscription")
    found = source.depth_to_color("depth", "colour")
    assert found == Extrinsics(np.eye(3), np.array((0.015, 0.0, 0.0)))
    source.destroy()


def stamped(parent: str, child: str, x: float, second: int = 0) -> TransformStamped:
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id, message.header.stamp.sec = parent, second
    message.transform.translation.x = x
    return message


def publishers_of_tf(ros: Ros) -> tuple[Any, Any]:
    """Those of /tf_static, latched as robots have it, and of /tf; they have a subscription each."""
    from tf2_msgs.msg import TFMessage

    static = ros.node.create_publisher(TFMessage, "/tf_static", LATCHED_QOS)
    moving = ros.node.create_publisher(TFMessage, "/tf", 10)
    ros.wait_for(
        lambda: static.get_subscription_count() and moving.get_subscription_count(),
        "subscriptions",
    )
    return static, moving


def test_a_clock_that_jumps_back_is_seen_in_tf_itself(ros: Ros) -> None:
    """A bag in a loop: /tf may be back before the images are, or go on behind them."""
    pytest.importorskip("tf2_ros", reason="tf2_ros is not installed")
    from tf2_msgs.msg import TFMessage

    buffer = TransformBuffer(ros.node, dynamic=True)
    static, moving = publishers_of_tf(ros)

    def send(*seconds: int) -> None:
        for second in seconds:
            moving.publish(TFMessage(transforms=[stamped("odom", "arm", float(second), second)]))

    def place(second: float) -> float | None:
        found = buffer.lookup("odom", "colour", round(second * 1e9))
        return None if found is None else float(found.translation[0])

    static.publish(TFMessage(transforms=[stamped("arm", "colour", 0.0)]))
    send(100, 101)
    ros.wait_for(lambda: place(101) == 101, "the transform")
    send(1, 2)
    ros.wait_for(lambda: place(0) == 2, "transforms after the jump")
    assert place(1.5) == pytest.approx(1.5)  # nothing of it is lost
    send(100, 101)  # ahead by itself, and then an image of the beginning comes first
    ros.wait_for(lambda: place(101) == 101, "the end again")
    assert place(1) is None
    send(102, 1, 2)  # and what was still under way from the end
    ros.wait_for(lambda: place(0) == 2, "transforms after the second jump")
    assert place(1.5) == pytest.approx(1.5)
    buffer.destroy()


def test_a_transform_that_is_not_finite_is_none(ros: Ros) -> None:
    """TF itself refuses NaN, but not infinity: a chain has NaN then."""
    pytest.importorskip("tf2_ros", reason="tf2_ros is not installed")
    from tf2_msgs.msg import TFMessage

    buffer = TransformBuffer(ros.node, dynamic=True)
    static, _ = publishers_of_tf(ros)
    infinite, finite = stamped("colour", "depth", float("inf")), stamped("colour", "imu", 1.0)
    static.publish(TFMessage(transforms=[infinite, finite]))
    ros.wait_for(lambda: buffer.lookup("colour", "imu"), "the other transform")
    assert buffer.lookup("colour", "depth") is None
    buffer.destroy()


def test_a_volatile_publisher_of_tf_static_is_named(ros: Ros) -> None:
    pytest.importorskip("tf2_ros", reason="tf2_ros is not installed")
    from tf2_msgs.msg import TFMessage

    source = HeardExtrinsics(ros.node)
    assert source.depth_to_color("/depth", "/colour") is None
    finding = source.finding()
    assert finding is not None
    # tf2_echo refuses ROS 1's slashes.
    assert "(neither /tf_static nor /tf has it; see: ros2 run tf2_ros tf2_echo colour d" in finding
    ros.participant("bridge", make=Node).create_publisher(TFMessage, "/tf_static", 10)
    named = "bridge publishes /tf_static volatile; wanted transient local"
    ros.wait_for(lambda: named in (source.finding(5.0) or ""), "its name")
    source.destroy()


def test_transforms_come_from_tf_at_the_stamp_and_follow_a_clock_that_jumps_back(ros: Ros) -> None:
    pytest.importorskip("tf2_ros", reason="tf2_ros is not installed")
    from tf2_msgs.msg import TFMessage

    buffer = TransformBuffer(ros.node, dynamic=True)
    source = HeardExtrinsics(ros.node)
    static = ros.node.create_publisher(TFMessage, "/tf_static", LATCHED_QOS)
    moving = ros.node.create_publisher(TFMessage, "/tf", 10)
    ros.wait_for(
        lambda: static.get_subscription_count() == 2 and moving.get_subscription_count() == 1,
        "subscriptions",
    )
    static.publish(TFMessage(transforms=[stamped("colour", "depth", 0.015)]))
    for second in (100, 101):
        moving.publish(TFMessage(transforms=[stamped("odom", "colour", float(second), second)]))
    ros.wait_for(lambda: source.depth_to_color("depth", "colour"), "the static transform")
    assert source.depth_to_color("depth", "colour") == Extrinsics(
        np.eye(3), np.array((0.015, 0.0, 0.0))
    )
    assert source.finding() is None

    def place(second: float) -> float | None:
        found = buffer.lookup("odom", "/colour", round(second * 1e9))
        return None if found is None else float(found.translation[0])

    ros.wait_for(lambda: place(101) == 101, "the moving transform")
    assert place(100.5) == pytest.approx(100.5)
    assert place(200) == place(0) == 101  # not there yet: the latest
    assert place(1) is None  # 200 seconds back: what moved is forgotten
    assert buffer.lookup("odom", "", 0) is None
    assert buffer.lookup("colour", "depth") is not None
    moving.publish(TFMessage(transforms=[stamped("odom", "colour", 1.0, 1)]))
    ros.wait_for(lambda: place(1) == 1, "transforms after the jump")
    buffer.destroy()
    source.destroy()
    assert ros.node.count_subscribers("/tf_static") == 0
