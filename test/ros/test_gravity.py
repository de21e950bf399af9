"""Which way is down: fixed, from an IMU over DDS, or from TF."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import Ros
from rclpy.node import Node
from sensor_msgs.msg import Imu

from fafnet_core.accelerometer import STANDARD_GRAVITY as G
from fafnet_core.accelerometer import Reading
from fafnet_core.registration import Extrinsics
from fafnet_ros.diagnostics.statistics import Statistics
from fafnet_ros.inputs.gravity import (
    FixedGravity,
    GravitySource,
    against_z,
    describe,
    gravity_source,
)
from fafnet_ros.inputs.parameters import GravityParameters
from fafnet_ros.inputs.transform_buffer import open_transforms

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
    """An IMU driver in the test's hands: a node of its own, heard over DDS."""

    def __init__(self, ros: Ros) -> None:
        self._ros = ros
        self._node = Node("imu_driver", context=ros.node.context)
        self._publisher: Any = None
        self.stamp_ns = 1_700_000_000 * NS

    def appear(self) -> None:
        self._publisher = self._node.create_publisher(Imu, "imu", 100)
        self._ros.wait_for(self._publisher.get_subscription_count, "the subscription")

    def send(
        self,
        acceleration: tuple[float, float, float],
        *,
        times: int = 1,
        frame_id: str = COLOUR,
        covariance: float = 0.0,
    ) -> None:
        for _ in range(times):
            self.stamp_ns += 5_000_000
            message = Imu()
            message.header.frame_id = frame_id
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(self.stamp_ns, NS)
            force = message.linear_acceleration
            force.x, force.y, force.z = acceleration
            message.linear_acceleration_covariance[0] = covariance
            self._publisher.publish(message)

    def destroy(self) -> None:
        self._node.destroy_node()


@pytest.fixture
def driver(ros: Ros) -> Iterator[Driver]:
    made = Driver(ros)
    yield made
    made.destroy()


def up(down: tuple[float, float, float]) -> tuple[float, float, float]:
    """What an accelerometer reads at rest."""
    x, y, z = down
    return (-G * x, -G * y, -G * z)


def hear(ros: Ros, statistics: Statistics, messages: int) -> None:
    ros.wait_for(lambda: statistics.event("imu").count >= messages, f"{messages} messages")


def imu_source(ros: Ros, **parameters: Any) -> tuple[GravitySource, Statistics]:
    statistics = Statistics()
    settings = GravityParameters(gravity="imu", **parameters)
    return gravity_source(ros.node, settings, statistics), statistics


def down_of(source: GravitySource, stamp_ns: int, frame_id: str = COLOUR) -> NDArray[np.float64]:
    """Return the direction; there has to be one."""
    down = source.direction(stamp_ns, frame_id)
    assert down is not None
    return down


def finding_of(source: GravitySource) -> str:
    """Return what is wrong now; something has to be."""
    finding = source.finding()
    assert finding is not None
    return finding


def test_to_estimate_is_to_say_nothing(ros: Ros) -> None:
    source = gravity_source(ros.node, GravityParameters(), Statistics())
    assert source.direction(0, COLOUR) is None
    assert source.finding() is None
    source.destroy()


@pytest.mark.parametrize("down", [(0.0, 1.0, 0.0), PITCHED, (0.0, 2 * COSINE, 2 * SINE)])
def test_a_fixed_direction_of_any_length_is_a_unit_vector(down: tuple[float, ...]) -> None:
    source = FixedGravity(down)
    expected = np.array(down) / np.linalg.norm(down)
    np.testing.assert_allclose(down_of(source, 5, "any"), expected, atol=1e-15)


@pytest.mark.parametrize(
    "down",
    [(0.0, 0.0, 0.0), (0.0, math.nan, 0.0), (0.0, math.inf, 0.0), (0.0, 1.0), ((0.0, 1.0, 0.0),)],
)
def test_a_fixed_direction_that_is_none_is_refused(down: Any) -> None:
    with pytest.raises(ValueError, match="fixed_gravity is"):
        FixedGravity(down)


def test_each_way_is_taken_by_its_parameter_and_refuses_its_own_nonsense(ros: Ros) -> None:
    fixed = GravityParameters(gravity="fixed", fixed_gravity=PITCHED)
    source = gravity_source(ros.node, fixed, Statistics())
    np.testing.assert_allclose(down_of(source, 0), PITCHED, atol=1e-15)
    assert source.finding() is None
    refused: list[tuple[str, dict[str, Any]]] = [
        ("fixed_gravity", {"gravity": "fixed", "fixed_gravity": (0.0, 0.0, 0.0)}),
        ("imu_to_color", {"gravity": "imu", "imu_to_color": (0.0, 0.0, 0.0, 0.0)}),
        ("imu_to_color", {"gravity": "imu", "imu_to_color": (0.0, 0.0, 1.0)}),
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


def test_an_imu_in_the_cameras_own_frame_says_down_at_the_images_stamp(
    ros: Ros, driver: Driver
) -> None:
    source, statistics = imu_source(ros)
    assert source.direction(driver.stamp_ns, COLOUR) is None
    assert source.finding() is None  # a moment's grace
    driver.appear()
    driver.send(up((0.0, 1.0, 0.0)), times=50)
    hear(ros, statistics, 50)
    level_ns = driver.stamp_ns
    np.testing.assert_allclose(down_of(source, level_ns), (0, 1, 0), atol=1e-12)
    for batch in range(1, 7):  # 300 messages, 1.5 s by their stamps, as much as a queue can hold
        driver.send(up(PITCHED), times=50)
        hear(ros, statistics, 50 + 50 * batch)
    # Three time constants: 95 % of the step, and of the angle.
    late = down_of(source, driver.stamp_ns)
    assert 18.5 < math.degrees(math.atan2(late[2], late[1])) < 20
    assert np.linalg.norm(late) == pytest.approx(1)
    # The image of then, and one whose clock has nothing to do with the IMU's.
    np.testing.assert_allclose(down_of(source, level_ns), (0, 1, 0), atol=1e-12)
    np.testing.assert_array_equal(down_of(source, 42), late)
    assert source.finding() is None
    source.destroy()
    ros.wait_for(lambda: not ros.node.count_subscribers("/imu"), "the end of the subscription")


def test_an_imu_whose_clock_runs_below_zero_is_heard(ros: Ros, driver: Driver) -> None:
    source, statistics = imu_source(ros)
    driver.stamp_ns = -1_000_000_000
    driver.appear()
    driver.send(up((0.0, 1.0, 0.0)), times=50)
    hear(ros, statistics, 50)
    np.testing.assert_allclose(down_of(source, driver.stamp_ns), (0, 1, 0), atol=1e-12)
    source.destroy()


def test_an_imu_of_another_frame_is_turned_by_the_parameter_or_named(
    ros: Ros, driver: Driver
) -> None:
    """An IMU with its z axis up when level, in a camera that looks 20 degrees down."""
    turned, statistics = imu_source(ros, imu_to_color=TO_OPTICAL_QUATERNION)
    unknown, heard = imu_source(ros)
    rotation = Extrinsics.from_quaternion((0.0, 0.0, 0.0), TO_OPTICAL_QUATERNION).rotation
    np.testing.assert_allclose(rotation, TO_OPTICAL, atol=1e-15)
    driver.appear()
    ros.wait_for(lambda: ros.node.count_subscribers("/imu") == 2, "both subscriptions")
    ros.spin(0.2)
    down = TO_OPTICAL.T @ PITCHED  # ahead and down, for a sensor that is pitched too
    np.testing.assert_allclose(down, (SINE, 0, -COSINE), atol=1e-15)
    driver.send(up(tuple(down)), times=3, frame_id=IMU)
    hear(ros, statistics, 1)
    hear(ros, heard, 1)
    np.testing.assert_allclose(down_of(turned, driver.stamp_ns), PITCHED, atol=1e-12)
    assert turned.finding() is None
    assert unknown.direction(driver.stamp_ns, COLOUR) is None
    finding = finding_of(unknown)
    for part in (f"'{IMU}'", f"'{COLOUR}'", "set imu_to_color", "estimated from the depth image"):
        assert part in finding
    time.sleep(0.05)
    assert unknown.finding(within_s=0.01) is None
    assert unknown.finding(within_s=5.0) == finding  # a slow camera: the next frame is not due
    np.testing.assert_allclose(down_of(unknown, driver.stamp_ns, IMU), down, atol=1e-12)
    assert unknown.finding() is None
    turned.destroy()
    unknown.destroy()


def test_an_imu_that_is_silent_or_useless_is_named_with_the_remedy(
    ros: Ros, driver: Driver
) -> None:
    source, statistics = imu_source(ros)
    ros.wait_for(source.finding, "the finding", 3)
    assert "/imu has no publisher" in finding_of(source)
    assert "unite_imu_method:=2" in finding_of(source)
    driver.appear()
    assert "/imu has a publisher but is silent" in finding_of(source)
    sent = 0
    for acceleration, covariance, said in (
        ((0.0, 0.0, 0.0), 0.0, "holds no acceleration, as a gyroscope's own topic does"),
        ((0.0, -G, 0.0), -1.0, "has no accelerometer"),
        ((0.0, -1.0, 0.0), 0.0, "reports g, where ROS wants m/s^2"),
        ((0.1, 0.0, 0.0), 0.0, "takes gravity out"),
        ((0.0, -2 * G, 0.0), 0.0, "19.6 m/s^2 where gravity alone is 9.8: the camera is shaken"),
    ):
        driver.send(acceleration, covariance=covariance)
        sent += 1
        hear(ros, statistics, sent)
        assert said in finding_of(source)
        assert source.direction(driver.stamp_ns, COLOUR) is None
    assert statistics.event("imu without use").count == sent
    driver.send(up(PITCHED))
    hear(ros, statistics, sent + 1)
    assert source.finding() is None
    np.testing.assert_allclose(down_of(source, driver.stamp_ns), PITCHED, atol=1e-12)
    ros.spin(1.1)  # silent again: what it said is too old
    assert source.direction(driver.stamp_ns, COLOUR) is None
    assert "silent" in finding_of(source)
    source.destroy()


def test_stamps_that_go_back_and_forth_are_named() -> None:
    assert "back and forth" in describe(Reading.LATE, (0.0, -G, 0.0))


def test_gravity_from_tf_says_what_it_lacks(ros: Ros) -> None:
    settings = GravityParameters(gravity="tf")
    source = gravity_source(ros.node, settings, Statistics())
    assert source.direction(NS, COLOUR) is None
    finding = finding_of(source)
    if (transforms := open_transforms(ros.node, dynamic=False)) is None:
        assert "tf2_ros is not installed here" in finding
    else:
        transforms.destroy()
        assert "'base_link'" in finding
        assert f"'{COLOUR}'" in finding
    assert "estimated from the depth image" in finding
    source.destroy()
    assert ros.node.count_subscribers("/tf") == 0


def test_gravity_from_tf_is_against_the_frames_z_axis(ros: Ros) -> None:
    pytest.importorskip("tf2_ros", reason="tf2_ros is not installed")
    from geometry_msgs.msg import Quaternion, TransformStamped
    from tf2_msgs.msg import TFMessage

    source = gravity_source(ros.node, GravityParameters(gravity="tf"), Statistics())
    static = ros.node.create_publisher(TFMessage, "/tf_static", 10)
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
