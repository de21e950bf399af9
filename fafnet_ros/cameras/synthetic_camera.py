"""The node `/synthetic_camera`: a moving RGB-D camera in a synthetic room, for trying things out.

The camera goes back and forth on its path. Frames are ray-cast the first time they are needed and
then kept, so the first round is slower than `rate` on a small machine.

Depth is registered to colour, as a driver does it, or left as the depth camera sees it: that camera
stands `baseline_m` to the right of the colour camera and looks the same way.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import Imu
from std_msgs.msg import Header

from fafnet_core.camera import Camera
from fafnet_core.frame import RgbdFrame
from fafnet_core.rooms import SensorConfig, Tour, pinhole
from fafnet_core.rooms.camera import Pose
from fafnet_core.rooms.dataset import photograph
from fafnet_core.rooms.sensor import calibration_error
from fafnet_ros.cameras.rgbd_camera import (
    CameraParameters,
    PreparedFrame,
    RgbdCamera,
)
from fafnet_ros.parameters import declare_parameters, parameter, read_parameters
from fafnet_ros.running import run

_IMU_RATE = 100.0
_STANDARD_GRAVITY = 9.80665
_UNKNOWN = -1.0
"""As the first number of a covariance: the message does not have this quantity."""


@dataclass(frozen=True)
class SyntheticCameraParameters(CameraParameters):
    """The parameters of `synthetic_camera`."""

    width: Annotated[int, "16 <= x <= 4096"] = parameter(640, "Columns of the images.")
    height: Annotated[int, "16 <= x <= 4096"] = parameter(480, "Rows of the images.")
    frames: Annotated[int, "2 <= x <= 5000"] = parameter(
        60, "Different frames along the path; each 640x480 one takes 2 MB."
    )
    seed: Annotated[int, "0 <= x <= 2147483647"] = parameter(0, "Which room.")
    baseline_m: Annotated[float, "0 <= x <= 0.5"] = parameter(
        0.05, "Metres between the two cameras."
    )
    calibration_error_px: Annotated[float, "0 <= x <= 32"] = parameter(
        2.0, "Error of depth registered to colour, in pixels of a 640 pixels wide image."
    )
    faults: Annotated[float, "0 <= x <= 4"] = parameter(
        1.0, "Factor on noise, steps of depth and holes; 0: none, at any range."
    )
    registered: bool = parameter(
        True, "Depth is registered to colour; false: as the depth camera itself sees it."
    )
    imu: bool = parameter(False, "Publish imu at 100 Hz, in the frame of the colour camera.")
    depth_frame_id: str = parameter(
        "camera_depth_optical_frame", "Frame id of depth that is not registered."
    )
    depth_encoding: Literal["16UC1", "32FC1"] = parameter("16UC1", "Encoding of depth.")


class SyntheticCamera(Node):
    """Publishes what a colour and a depth camera see of a synthetic room."""

    def __init__(self) -> None:
        super().__init__("synthetic_camera")
        declare_parameters(self, SyntheticCameraParameters)
        self._settings = settings = read_parameters(self, SyntheticCameraParameters)
        self._tour = Tour.of(settings.seed)
        self._sensor = _sensor(settings)
        self._view = pinhole(settings.width, settings.height)
        # One calibration, and so one error, as a camera has.
        rng = np.random.default_rng(settings.seed)
        self._error, _ = calibration_error(self._sensor, self._view, rng)
        self._rendered: dict[int, PreparedFrame] = {}
        self._ticks = 0
        self._camera = RgbdCamera(self, settings, settings.depth_encoding)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1 / settings.rate, self._tick, clock=steady)
        if settings.imu:
            self._imu = self.create_publisher(Imu, "imu", 10)
            self.create_timer(1 / _IMU_RATE, self._publish_imu, clock=steady)
        self.get_logger().info(
            f"{settings.width}x{settings.height} at {settings.rate:g} Hz on"
            f" {' and '.join(self._camera.topics)}"
        )
        if not settings.registered:
            # The true transform, whatever `calibration_error_px` does to registered depth. A
            # decimal point in each number: ROS refuses a list of mixed types.
            pose = (settings.baseline_m, 0, 0, 0, 0, 0, 1)
            numbers = ", ".join(f"{value:.4f}" for value in pose)
            self.get_logger().info(
                f'depth is not registered; its transform: -p depth_to_color:="[{numbers}]"'
            )

    def _tick(self) -> None:
        frame = self._frame(self._index())
        self._ticks += 1
        self._camera.publish(frame, self.get_clock().now())

    def _index(self) -> int:
        """Which frame is next: 0, 1, ... last, last - 1, ... 1, 0, and again."""
        last = self._settings.frames - 1
        return last - abs(self._ticks % (2 * last) - last)

    def _pose(self, index: int) -> Pose:
        # Half of the path in two seconds of 30 Hz is a calm walk.
        return self._tour.pose(0.5 * index / self._settings.frames)

    def _frame(self, index: int) -> PreparedFrame:
        if index not in self._rendered:
            settings = self._settings
            noise = np.random.default_rng([settings.seed, index])
            seen = photograph(
                self._tour.room.scene, self._view, self._pose(index), self._sensor, noise
            )
            registered = settings.registered
            depth_m = seen.registered(self._sensor, self._error) if registered else seen.depth_m
            self._rendered[index] = self._camera.prepare(
                RgbdFrame(
                    rgb=seen.rgb,
                    depth_m=depth_m,
                    camera=Camera.from_matrix(self._view.matrix, depth_m.shape),
                    frame_id=settings.frame_id,
                ),
                None if registered else settings.depth_frame_id,
            )
        return self._rendered[index]

    def _publish_imu(self) -> None:
        pose = self._pose(self._index())
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._settings.frame_id)
        message = Imu(header=header)
        for unknown in (message.orientation_covariance, message.angular_velocity_covariance):
            unknown[0] = _UNKNOWN
        force = message.linear_acceleration
        force.x, force.y, force.z = specific_force(pose)
        self._imu.publish(message)


def specific_force(pose: Pose) -> tuple[float, float, float]:
    """Return what an accelerometer at rest measures, in m/s^2 in the camera's frame: upwards."""
    right, down, forward = (_STANDARD_GRAVITY * float(axis[2]) for axis in pose.axes)
    return right, down, forward


def _sensor(settings: SyntheticCameraParameters) -> SensorConfig:
    error, faults = settings.calibration_error_px, settings.faults
    return replace(
        SensorConfig() if faults else SensorConfig.perfect(),
        baseline_m=settings.baseline_m,
        calibration_error_px=(error, error),
        depth_noise=faults,
        quantisation=faults,
        dropout=faults,
        colour_noise=faults,
    )


def main() -> int:
    """Run the node."""
    return run(SyntheticCamera)


if __name__ == "__main__":
    sys.exit(main())
