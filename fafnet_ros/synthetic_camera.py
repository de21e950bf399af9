"""The node `/synthetic_camera`: a moving RGB-D camera in a synthetic room, for trying things out.

The camera goes back and forth on its path. Frames are ray-cast the first time they are needed and
then kept, so the first round is slower than `rate` on a small machine.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from fafnet_core.data import RgbdFrame
from fafnet_core.data.synthetic import PinholeCamera, SensorConfig, Tour
from fafnet_core.data.synthetic.dataset import photograph
from fafnet_core.data.synthetic.sensor import calibration_error
from fafnet_ros.lifecycle import run
from fafnet_ros.parameters import declare_parameters, parameter, read_parameters
from fafnet_ros.rgbd_camera import DEPTH_ENCODINGS, RELIABILITIES, RgbdCamera


@dataclass(frozen=True)
class SyntheticCameraParameters:
    """The parameters of `synthetic_camera`."""

    rate: float = parameter(30.0, "Frames per second.", minimum=0.1, maximum=240.0)
    width: int = parameter(640, "Columns of the images.", minimum=16, maximum=4096)
    height: int = parameter(480, "Rows of the images.", minimum=16, maximum=4096)
    frames: int = parameter(
        60,
        "Different frames along the path; each 640x480 one takes 2 MB.",
        minimum=2,
        maximum=5000,
    )
    seed: int = parameter(0, "Which room.", minimum=0, maximum=2**31 - 1)
    baseline_m: float = parameter(0.05, "Metres between the two cameras.", minimum=0.0, maximum=0.5)
    calibration_error_px: float = parameter(
        2.0, "Error of depth registered to colour, in pixels 640 wide.", minimum=0.0, maximum=32.0
    )
    faults: float = parameter(
        1.0,
        "Factor on noise, steps of depth and holes; 0: none, at any range.",
        minimum=0.0,
        maximum=4.0,
    )
    frame_id: str = parameter("camera_color_optical_frame", "Frame id of all messages.")
    depth_encoding: str = parameter("16UC1", "Encoding of depth.", choices=DEPTH_ENCODINGS)
    reliability: str = parameter("reliable", "What its publishers offer.", choices=RELIABILITIES)


class SyntheticCamera(Node):
    """Publishes what a colour and a depth camera see of a synthetic room."""

    def __init__(self) -> None:
        super().__init__("synthetic_camera")
        declare_parameters(self, SyntheticCameraParameters)
        self._settings = settings = read_parameters(self, SyntheticCameraParameters)
        self._tour = Tour.of(settings.seed)
        self._sensor = _sensor(settings)
        self._view = PinholeCamera(settings.width, settings.height)
        # One calibration, and so one error, as a camera has.
        rng = np.random.default_rng(settings.seed)
        self._error, _ = calibration_error(self._sensor, self._view, rng)
        self._rendered: dict[int, RgbdFrame] = {}
        self._ticks = 0
        self._camera = RgbdCamera(self, settings.reliability, settings.depth_encoding)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1 / settings.rate, self._tick, clock=steady)
        self.get_logger().info(
            f"{settings.width}x{settings.height} at {settings.rate:g} Hz on"
            f" {self._camera.topic('rgb/image')} and {self._camera.topic('depth/image')}"
        )

    def _tick(self) -> None:
        frame = self._frame(self._ticks)
        self._camera.publish(frame, self.get_clock().now())
        self._ticks += 1

    def _frame(self, tick: int) -> RgbdFrame:
        last = self._settings.frames - 1
        index = last - abs(tick % (2 * last) - last)  # 0, 1, ... last, last - 1, ... 1, 0
        if index not in self._rendered:
            # Half of the path in two seconds of 30 Hz is a calm walk.
            pose = self._tour.pose(0.5 * index / self._settings.frames)
            noise = np.random.default_rng([self._settings.seed, index])
            seen = photograph(self._tour.room.scene, self._view, pose, self._sensor, noise)
            self._rendered[index] = RgbdFrame(
                seen.rgb,
                seen.registered(self._sensor, self._error),
                self._view.camera_matrix,
                frame_id=self._settings.frame_id,
            )
        return self._rendered[index]


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
