"""Which way is down: fixed, from an IMU over DDS, or from TF."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import Ros
from hand_camera import HandCamera

from fafnet_core.accelerometer import STANDARD_GRAVITY as G
from fafnet_ros.diagnostics.statistics import Statistics
from fafnet_ros.inputs.gravity import GravitySource, against_z, gravity_source
from fafnet_ros.inputs.parameters import GravityParameters
from fafnet_ros.qos import LATCHED_QOS

NS = 1_000_000_000
COLOUR = "camera_color_optical_frame"
IMU = "camera_imu_optical_frame"

# From a frame with x ahead, y left, z up to an optical one: x right, y down, z ahead.
TO_OPTICAL = np.array(((0.0, -1.0, 0.0), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0)))
TO_OPTICAL_QUATERNION = (0.5, -0.5, 0.5, 0.5)

SINE, COSINE = math.sin(math.radians(20)), math.cos(math.radians(20))
PITCHED = (0.0, COSINE, SINE)
"""Down for a camera that looks 20 degrees below the horizon."""


class Driver:
    """An IMU driver in the test's hands, heard over DDS."""

    def __init__(self, ros: Ros) -> None:
        self._ros = ros
        self._heard = 0
        self._imu = HandCamera(ros, "imu")
        self.stamp_ns = 1_700_000_000 * NS

    def send(
        self,
        statistics: Statistics,
        acceleration: tuple[float, float, float],
        *,
        times: int = 1,
        frame: str = COLOUR,
    ) -> None:
        """Send messages 5 ms apart and wait until they are counted."""
        for _ in range(times):
            self.stamp_ns += 5_000_000
            self._imu.send_imu(self.stamp_ns / NS, acceleration, frame=frame)
        self._heard += times
        self._ros.wait_for(lambda: statistics.event("imu").count >= self._heard, "the messages")


def up(down: tuple[float, float, float]) -> tuple[float, float, float]:
    """What an accelerometer reads at rest."""
    x, y, z = down
    return (-G * x, -G * y, -G * z)


def imu_source(ros: Ros, **parameters: Any) -> tuple[GravitySource, Statistics]:
    statistics = Statistics()
    settings = GravityParameters(gravity="imu", **parameters)
    return gravity_source(ros.node, settings, statistics), statistics


def down_of(source: GravitySource, stamp_ns: int, frame_id: str = COLOUR) -> NDArray[np.float64]:
    """Return the direction; there has to be one."""
    down = source.direction(stamp_ns, frame_id)
    assert down is not None
    return down


def test_each_way_is_taken_by_its_parameter_and_refuses_its_own_nonsense(ros: Ros) -> None:
    estimated = gravity_source(ros.node, GravityParameters(), Statistics())
    assert estimated.direction(0, COLOUR) is None
    for length in (1.0, 2.0):
        down = tuple(length * part for part in PITCHED)
        settings = GravityParameters(gravity="fixed", fixed_gravity=down)
        fixed = gravity_source(ros.node, settings, Statistics())
        np.testing.assert_allclose(down_of(fixed, 5, "any"), PITCHED, atol=1e-15)
        assert estimated.finding() is fixed.finding() is None
    refused: list[tuple[str, dict[str, Any]]] = [
        ("fixed_gravity", {"gravity": "fixed", "fixed_gravity": (0.0, 0.0, 0.0)}),
        ("imu_to_color", {"gravity": "imu", "imu_to_color": (0.0, 0.0, 0.0, 0.0)}),
        ("gravity_frame", {"gravity": "tf", "gravity_frame": ""}),
    ]
    for named, parameters in refused:
        with pytest.raises(ValueError, match=named):
            gravity_source(ros.node, GravityParameters(**parameters), Statistics())
    # What is refused leaves nothing behind.
    assert ros.node.count_subscribers("/imu") == ros.node.count_subscribers("/tf") == 0


def test_against_the_z_axis_of_a_level_robot_is_down_for_its_pitched_camera() -> None:
    np.testing.assert_array_equal(against_z(TO_OPTICAL), (0, 1, 0))
    pitch = np.array(((1.0, 0.0, 0.0), (0.0, COSINE, -SINE), (0.0, SINE, COSINE)))
    np.testing.assert_allclose(against_z(pitch @ TO_OPTICAL), PITCHED, atol=1e-15)


def test_an_imu_in_the_cameras_own_frame_says_down_at_the_images_stamp(ros: Ros) -> None:
    source, statistics = imu_source(ros)
    assert source.direction(0, COLOUR) is None
    assert source.finding() is None  # a moment's grace
    driver = Driver(ros)
    driver.send(statistics, up((0.0, 1.0, 0.0)), times=50)
    level_ns = driver.stamp_ns
    np.testing.assert_allclose(down_of(source, level_ns), (0, 1, 0), atol=1e-12)
    for _ in range(6):  # 300 messages, 1.5 s by their stamps, as much as a queue can hold
        driver.send(statistics, up(PITCHED), times=50)
    # Three time constants: 95 % of the step, and of the angle.
    late = down_of(source, driver.stamp_ns)
    assert 18.5 < math.degrees(math.atan2(late[2], late[1])) < 20
    assert np.linalg.norm(late) == pytest.approx(1)
    # The image of then, and one whose clock has nothing to do with the IMU's.
    np.testing.assert_allclose(down_of(source, level_ns), (0, 1, 0), atol=1e-12)
    np.testing.assert_array_equal(down_of(source, 42), late)
    # A clock that runs below zero is one too.
    driver.stamp_ns = -NS
    driver.send(statistics, up((0.0, 1.0, 0.0)), times=50)
    np.testing.assert_allclose(down_of(source, driver.stamp_ns), (0, 1, 0), atol=1e-12)
    assert source.finding() is None
    # Silence makes what it said too old.
    ros.wait_for(lambda: source.direction(driver.stamp_ns, COLOUR) is None, "no direction", 3)
    source.destroy()
    ros.wait_for(lambda: not ros.node.count_subscribers("/imu"), "the end of the subscription")


def test_an_imu_of_another_frame_is_turned_by_the_parameter_or_named(ros: Ros) -> None:
    """An IMU with its z axis up when level, in a camera that looks 20 degrees down."""
    turned, _ = imu_source(ros, imu_to_color=TO_OPTICAL_QUATERNION)
    unknown, heard = imu_source(ros)
    driver = Driver(ros)
    ros.wait_for(lambda: ros.node.count_subscribers("/imu") == 2, "both subscriptions")
    down = TO_OPTICAL.T @ PITCHED  # ahead and down, for a sensor that is pitched too
    np.testing.assert_allclose(down, (SINE, 0, -COSINE), atol=1e-15)
    driver.send(heard, up(tuple(down)), frame=IMU)
    ros.wait_for(lambda: turned.direction(driver.stamp_ns, COLOUR) is not None, "a direction")
    np.testing.assert_allclose(down_of(turned, driver.stamp_ns), PITCHED, atol=1e-12)
    assert turned.finding() is None
    assert unknown.direction(driver.stamp_ns, COLOUR) is None
    finding = unknown.finding()
    assert finding is not None
    for part in (f"'{IMU}'", f"'{COLOUR}'", "set imu_to_color", "estimated from the depth image"):
        assert part in finding
    time.sleep(0.05)
    assert unknown.finding(within_s=0.01) is None
    assert unknown.finding(within_s=5.0) == finding  # a slow camera: the next frame is not due
    np.testing.assert_allclose(down_of(unknown, driver.stamp_ns, IMU), down, atol=1e-12)
    assert unknown.finding() is None
    turned.destroy()
    unknown.destroy()


def test_gravity_from_tf_is_against_the_frames_z_axis(ros: Ros) -> None:
    pytest.importorskip("tf2_ros", reason="tf2_ros is not installed")
    from geometry_msgs.msg import Quaternion, TransformStamped
    from tf2_msgs.msg import TFMessage

    source = gravity_source(ros.node, GravityParameters(gravity="tf"), Statistics())
    static = ros.node.create_publisher(TFMessage, "/tf_static", LATCHED_QOS)
    ros.wait_for(static.get_subscription_count, "the subscription")
    message = TransformStamped(child_frame_id=COLOUR)
    message.header.frame_id = "base_link"
    x, y, z, w = TO_OPTICAL_QUATERNION  # the way back: of the optical frame in the robot's
    message.transform.rotation = Quaternion(x=-x, y=-y, z=-z, w=w)
    static.publish(TFMessage(transforms=[message]))
    ros.wait_for(lambda: source.direction(5 * NS, COLOUR) is not None, "the transform")
    np.testing.assert_allclose(down_of(source, 5 * NS), (0, 1, 0), atol=1e-12)
    assert source.finding() is None
    source.destroy()
    assert ros.node.count_subscribers("/tf") == 0


def test_gravity_from_tf_that_has_stopped_is_not_taken_for_ever(ros: Ros) -> None:
    """What is fixed is said once; what moves and is silent may have moved since."""
    pytest.importorskip("tf2_ros", reason="tf2_ros is not installed")
    from geometry_msgs.msg import TransformStamped
    from tf2_msgs.msg import TFMessage

    source = gravity_source(ros.node, GravityParameters(gravity="tf"), Statistics())
    moving = ros.node.create_publisher(TFMessage, "/tf", 10)
    ros.wait_for(moving.get_subscription_count, "the subscription")
    message = TransformStamped(child_frame_id=COLOUR)
    message.header.frame_id = "base_link"
    for message.header.stamp.sec in (100, 101):
        moving.publish(TFMessage(transforms=[message]))
    # An image whose clock has nothing to do with TF's.
    ros.wait_for(lambda: source.direction(5 * NS, COLOUR) is not None, "the transform")
    assert source.finding() is None
    ros.wait_for(lambda: source.direction(5 * NS, COLOUR) is None, "that it is too old")
    finding = source.finding()
    assert finding is not None
    for part in ("'base_link'", f"'{COLOUR}'", "ros2 topic hz /tf", "estimated from the depth"):
        assert part in finding
    message.header.stamp.sec = 102
    moving.publish(TFMessage(transforms=[message]))
    ros.wait_for(lambda: source.direction(5 * NS, COLOUR) is not None, "the transform again")
    assert source.finding() is None
    source.destroy()


def test_an_imu_across_a_joint_is_turned_by_tf_while_that_speaks(ros: Ros) -> None:
    """The IMU stays in the robot's body, the camera is on an arm."""
    pytest.importorskip("tf2_ros", reason="tf2_ros is not installed")
    from geometry_msgs.msg import Quaternion, TransformStamped
    from tf2_msgs.msg import TFMessage

    source, statistics = imu_source(ros)
    driver = Driver(ros)
    moving = ros.node.create_publisher(TFMessage, "/tf", 10)
    ros.wait_for(moving.get_subscription_count, "the subscription")
    level_ns = driver.stamp_ns
    joint = TFMessage()
    for second, quaternion in ((0, TO_OPTICAL_QUATERNION), (1, (0.0, 0.0, 0.0, 1.0))):
        x, y, z, w = quaternion
        message = TransformStamped(child_frame_id=f"/{COLOUR}")
        message.header.frame_id = f"/{IMU}"
        message.header.stamp.sec = level_ns // NS + second
        message.transform.rotation = Quaternion(x=-x, y=-y, z=-z, w=w)
        joint.transforms.append(message)
    moving.publish(joint)
    down = TO_OPTICAL.T @ PITCHED

    def is_known(stamp_ns: int) -> bool:
        driver.send(statistics, up(tuple(down)), frame=IMU)
        return source.direction(stamp_ns, COLOUR) is not None

    ros.wait_for(lambda: is_known(level_ns + NS), "the transforms")
    np.testing.assert_allclose(down_of(source, level_ns), PITCHED, atol=1e-12)
    np.testing.assert_allclose(down_of(source, level_ns + NS), down, atol=1e-12)
    ros.wait_for(lambda: not is_known(level_ns + 9 * NS), "that TF is too old")
    finding = source.finding()
    assert finding is not None
    for part in (f"'{IMU}'", f"'{COLOUR}'", "ros2 topic hz /tf", "estimated from the depth"):
        assert part in finding
    source.destroy()
