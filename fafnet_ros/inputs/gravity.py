"""Which way is down for the colour camera: by the depth image, fixed, by an IMU, or by TF.

Gravity is a direction: of the transforms between frames only the rotation counts.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Imu

from fafnet_core.accelerometer import STALE_AFTER_S, STANDARD_GRAVITY, GravityFilter, Reading
from fafnet_core.messages.protocols import stamp_ns
from fafnet_core.registration import Extrinsics
from fafnet_ros.diagnostics.statistics import SILENT_AFTER, Statistics
from fafnet_ros.inputs.extrinsics import unit_quaternion
from fafnet_ros.inputs.parameters import GravityParameters
from fafnet_ros.inputs.transform_buffer import NOT_INSTALLED, echo, open_transforms

Direction = NDArray[np.float64]

_MEANWHILE = "; until then gravity is estimated from the depth image"
_STOPPED = "whoever publishes it on /tf has stopped; see: ros2 topic hz /tf"
_REALSENSE = "RealSense: enable_accel:=true enable_gyro:=true unite_imu_method:=2"

# Deeper than the usual profile for sensors, which holds 5: an executor that is busy for a moment
# would lose most of what a gyroscope sends at 400 Hz.
_IMU_QOS = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)


class GravitySource:
    """Knows which way is down, or says why not; this one leaves it to the depth image."""

    def direction(self, stamp_ns: int, frame_id: str) -> Direction | None:
        """Return the unit vector that pointed down then; None: estimate it from the depth image.

        May be called from another thread than the executor's.

        Args:
            stamp_ns: of the colour image.
            frame_id: the colour camera's optical frame, in which the answer is.
        """
        return None

    def finding(self, within_s: float = SILENT_AFTER) -> str | None:
        """Return what is wrong now, with the remedy; None: nothing.

        Args:
            within_s: seconds for which what the last frame lacked counts as now.
        """
        return None

    def destroy(self) -> None:
        """End the subscriptions."""


def gravity_source(
    node: Node, parameters: GravityParameters, statistics: Statistics
) -> GravitySource:
    """Return what the parameter `gravity` asks for.

    Raises:
        ValueError: a parameter of its own is no direction, rotation or frame.
    """
    if parameters.gravity == "fixed":
        return FixedGravity(parameters.fixed_gravity)
    if parameters.gravity == "imu":
        rotation = None
        if parameters.imu_to_color:
            quaternion = unit_quaternion("imu_to_color", parameters.imu_to_color)
            rotation = Extrinsics.from_quaternion((0.0, 0.0, 0.0), quaternion).rotation
        return ImuGravity(node, rotation, statistics)
    if parameters.gravity == "tf":
        return TransformGravity(node, parameters.gravity_frame)
    return GravitySource()


class FixedGravity(GravitySource):
    """One direction for ever: a camera that is never tilted.

    Args:
        down: of any length, in the colour camera's optical frame: x right, y down, z ahead.

    Raises:
        ValueError: all zero.
    """

    def __init__(self, down: Sequence[float]) -> None:
        length = math.hypot(*down)
        if length == 0.0:
            raise ValueError(
                "fixed_gravity is all zero; it has to point down in the colour camera's optical"
                " frame (x right, y down, z ahead): 0, 1, 0 for a camera that looks straight ahead"
            )
        self._down: Direction = np.array(down) / length

    def direction(self, stamp_ns: int, frame_id: str) -> Direction:
        """Return it, whatever the stamp and the frame."""
        return self._down


class TransformGravity(GravitySource):
    """Down is against the z axis of a frame of the robot, as TF has it at the image's stamp.

    Raises:
        ValueError: no frame is named.
    """

    def __init__(self, node: Node, gravity_frame: str) -> None:
        if not gravity_frame:
            raise ValueError(
                "gravity_frame is empty; it has to be a frame whose z axis points up, e.g."
                " base_link, or odom where the robot climbs"
            )
        self._gravity_frame = gravity_frame
        self._missing: tuple[str, bool, float] | None = None  # frame, whether TF stopped, when
        self._transforms = open_transforms(node, dynamic=True)

    def direction(self, stamp_ns: int, frame_id: str) -> Direction | None:
        """Return down at the stamp, or by the latest transform where that is not there yet.

        None where that has been the latest for too long: the robot may have tilted since.
        """
        transforms = self._transforms
        if transforms is None:
            return None
        transform = transforms.lookup(frame_id, self._gravity_frame, stamp_ns)
        has_stopped = transforms.has_stopped(frame_id, self._gravity_frame)
        if transform is None or has_stopped:
            self._missing = (frame_id, has_stopped, time.monotonic())
            return None
        self._missing = None
        return against_z(transform.rotation)

    def finding(self, within_s: float = SILENT_AFTER) -> str | None:
        """Return why there is no direction."""
        transforms, missing = self._transforms, self._missing
        if transforms is None:
            return f"gravity is 'tf', but {NOT_INSTALLED}{_MEANWHILE}"
        if missing is None or time.monotonic() - missing[2] > within_s:
            return None
        frame_id, has_stopped, _ = missing
        if has_stopped:
            problem = (
                f"the transform from '{self._gravity_frame}' (gravity_frame) to '{frame_id}', the"
                f" colour image's frame, is old: {_STOPPED}"
            )
        else:
            unheard = transforms.unheard()
            problem = (
                f"TF has no way from '{self._gravity_frame}' (gravity_frame) to '{frame_id}', the"
                f" colour image's frame{f' ({unheard})' if unheard else ''}; see:"
                f" {echo(frame_id or '<colour>', self._gravity_frame)}"
            )
        return f"gravity is 'tf', but {problem}{_MEANWHILE}"

    def destroy(self) -> None:
        """End the subscriptions."""
        if self._transforms is not None:
            self._transforms.destroy()
            self._transforms = None


def against_z(rotation: NDArray[np.float64]) -> Direction:
    """Return the direction against the z axis of the frame that this rotation turns from."""
    return -rotation[:, 2]


class ImuGravity(GravitySource):
    """Down is against what an accelerometer measures, once the shaking is out.

    Args:
        node: subscribes to `imu`, best effort.
        rotation: (3, 3) from the IMU's frame to the colour camera's; None: both are one frame,
            or TF knows.
        statistics: counts the messages as "imu", those of no use as "imu without use".
    """

    def __init__(
        self, node: Node, rotation: NDArray[np.float64] | None, statistics: Statistics
    ) -> None:
        self._node = node
        self._rotation = rotation
        self._statistics = statistics
        self._lock = threading.Lock()  # the worker asks while the executor listens
        self._filter = GravityFilter()
        self._frame_id: str | None = None
        self._heard_ns = self._used_ns = time.monotonic_ns()  # a moment's grace at the beginning
        self._useless = ""
        self._unrotated: tuple[str, bool, float] | None = None  # as TransformGravity's _missing
        self._subscription = node.create_subscription(Imu, "imu", self._on_imu, _IMU_QOS)
        self._transforms = open_transforms(node, dynamic=True) if rotation is None else None

    def direction(self, stamp_ns: int, frame_id: str) -> Direction | None:
        """Return down at the stamp; None without usable messages or a known rotation."""
        with self._lock:
            down = self._filter.down(stamp_ns, time.monotonic_ns())
            imu_frame = self._frame_id
        if down is None or imu_frame is None:
            return None
        rotation = self._rotation_to(frame_id, imu_frame, stamp_ns)
        has_stopped = self._has_stopped(frame_id, imu_frame)
        if rotation is None or has_stopped:
            self._unrotated = (frame_id, has_stopped, time.monotonic())
            return None
        self._unrotated = None
        return rotation @ down

    def finding(self, within_s: float = SILENT_AFTER) -> str | None:
        """Return why there is no direction: silence, useless messages, or an unknown rotation."""
        now = time.monotonic_ns()
        topic = self._subscription.topic_name
        unrotated = self._unrotated
        if now - self._heard_ns > STALE_AFTER_S * 1e9:
            problem = self._silence(topic)
        elif now - self._used_ns > STALE_AFTER_S * 1e9:
            problem = f"{topic} {self._useless}"
        elif unrotated is not None and time.monotonic() - unrotated[2] < within_s:
            problem = self._no_rotation(unrotated[0], has_stopped=unrotated[1])
        else:
            return None
        return f"gravity is 'imu', but {problem}{_MEANWHILE}"

    def destroy(self) -> None:
        """End the subscriptions."""
        self._node.destroy_subscription(self._subscription)
        if self._transforms is not None:
            self._transforms.destroy()
            self._transforms = None

    def _on_imu(self, message: Imu) -> None:
        now = time.monotonic_ns()
        self._heard_ns = now
        self._statistics.count("imu")
        force, turn = message.linear_acceleration, message.angular_velocity
        acceleration = (force.x, force.y, force.z)
        if message.linear_acceleration_covariance[0] == -1:  # sensor_msgs: "not measured"
            self._useless = (
                "has no accelerometer (its linear_acceleration_covariance says -1): remap imu to"
                " one that has"
            )
            self._statistics.count("imu without use")
            return
        with self._lock:
            if message.header.frame_id != self._frame_id:
                self._filter.reset()
                self._frame_id = message.header.frame_id
            reading = self._filter.add(
                stamp_ns(message.header),  # rclpy's Time refuses what lies below 0
                now,
                acceleration,
                (turn.x, turn.y, turn.z),
            )
        if reading is Reading.USED:
            self._used_ns = now
        else:
            self._useless = describe(reading, acceleration)
            self._statistics.count("imu without use")

    def _rotation_to(
        self, frame_id: str, imu_frame: str, stamp_ns: int
    ) -> NDArray[np.float64] | None:
        if self._rotation is not None:
            return self._rotation
        if frame_id and frame_id == imu_frame:
            return np.eye(3)
        transforms = self._transforms
        transform = transforms.lookup(frame_id, imu_frame, stamp_ns) if transforms else None
        return None if transform is None else transform.rotation

    def _has_stopped(self, frame_id: str, imu_frame: str) -> bool:
        transforms = self._transforms
        return transforms is not None and transforms.has_stopped(frame_id, imu_frame)

    def _no_rotation(self, frame_id: str, *, has_stopped: bool) -> str:
        """Return why the IMU's frame is not turned into the colour image's."""
        frames = (
            f"the rotation from the IMU's frame '{self._frame_id}' to the colour image's"
            f" '{frame_id}' is"
        )
        if has_stopped:
            return f"{frames} old: {_STOPPED}"
        remedy = "set imu_to_color to its quaternion [x, y, z, w], or have TF say it"
        if self._transforms is None:
            return f"{frames} not known: {remedy}: {NOT_INSTALLED}"
        unheard = self._transforms.unheard()
        return f"{frames} not known: {remedy}{f' ({unheard})' if unheard else ''}"

    def _silence(self, topic: str) -> str:
        if not self._node.count_publishers(topic):
            return (
                f"{topic} has no publisher: switch the camera's IMU on ({_REALSENSE}) or remap imu"
            )
        return f"{topic} has a publisher but is silent: check it with ros2 topic hz {topic}"


def describe(reading: Reading, acceleration: tuple[float, float, float]) -> str:
    """Return what is wrong with such a reading, and what to do."""
    if reading is Reading.ABSENT:
        return f"holds no acceleration, as a gyroscope's own topic does: unite both ({_REALSENSE})"
    if reading is Reading.DISTURBED:
        magnitude = math.hypot(*acceleration)
        remedy = "the camera is shaken"
        if 0.8 < magnitude < 1.2:
            remedy = "its driver reports g, where ROS wants m/s^2"
        elif magnitude < 0.5 * STANDARD_GRAVITY:
            remedy = "its driver takes gravity out: have it publish the raw acceleration"
        return f"says {magnitude:.1f} m/s^2 where gravity alone is {STANDARD_GRAVITY:.1f}: {remedy}"
    return "has stamps that go back and forth: let one publisher alone write to it"
