"""`segment.launch.py` as `ros2 launch` runs it; needs launch_testing and the package built.

In a namespace, with a driver of the camera's own.
"""

from __future__ import annotations

import atexit
import os
import random
import shutil
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("launch_testing", reason="launch_testing is not installed (not on PyPI)")
packages = pytest.importorskip("ament_index_python.packages")
try:
    SHARE = Path(packages.get_package_share_directory("fafnet_ros"))
except (LookupError, OSError):
    pytest.skip("fafnet_ros is not built and sourced (colcon build)", allow_module_level=True)

import launch_testing
import rclpy
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_testing.actions import ReadyToTest
from launch_testing.asserts import assertExitCodes
from rcl_interfaces.srv import GetParameters
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import String

# A driver's package: its launch file has a `namespace` and a `device` of its own, as many have.
DRIVER = """
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

def generate_launch_description():
    return LaunchDescription([
        DeclareLaunchArgument("namespace", default_value="camera"),
        DeclareLaunchArgument("device", default_value="160"),
        DeclareLaunchArgument("rate", default_value="30.0"),
        Node(
            package="fafnet_ros",
            executable="synthetic_camera",
            namespace=LaunchConfiguration("namespace"),
            parameters=[{
                "width": LaunchConfiguration("device"), "height": 120, "frames": 4,
                "rate": LaunchConfiguration("rate"), "frame_id": "driver_frame",
            }],
        ),
    ])
"""
CAMERAS = """
stand_in:
  rgb: camera/rgb/image
  rgb_info: camera/rgb/camera_info
  depth: camera/depth/image
  depth_info: camera/depth/camera_info
  driver: ros2 launch stand_in_driver camera.launch.py rate:=5.0
  parameters: {slop: 0.07, queue_size: 7, device: cuda}
"""
# Keyed by the node's own name, which is the strongest key that a file can have.
PARAMETERS = "/driven/fafnet: {ros__parameters: {queue_size: 9, device: 'cuda:1'}}\n"


@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    """A launch without RViz, in a domain of its own."""
    os.environ["ROS_DOMAIN_ID"] = str(random.randint(1, 100))
    folder = Path(tempfile.mkdtemp(prefix="fafnet-launch-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # the launch reads it all the time
    share = folder / "share" / "stand_in_driver"
    index = folder / "share" / "ament_index" / "resource_index" / "packages"
    for made in (share, index):
        made.mkdir(parents=True)
    (index / "stand_in_driver").touch()
    (share / "camera.launch.py").write_text(DRIVER)
    os.environ["AMENT_PREFIX_PATH"] = f"{folder}:{os.environ['AMENT_PREFIX_PATH']}"
    (folder / "cameras.yaml").write_text(CAMERAS)
    (folder / "parameters.yaml").write_text(PARAMETERS)
    driven = {
        "camera": "stand_in",
        "cameras_file": str(folder / "cameras.yaml"),
        "params_file": str(folder / "parameters.yaml"),
        "driver": "true",
        "device": "cpu",
        "for": "hydra",
    }
    source = PythonLaunchDescriptionSource(str(SHARE / "launch" / "segment.launch.py"))
    given = {"rviz": "false", "namespace": "driven", **driven}
    included = IncludeLaunchDescription(source, launch_arguments=given.items())
    return LaunchDescription([included, ReadyToTest()])


class TestRunning(unittest.TestCase):
    """While they run."""

    def setUp(self) -> None:
        rclpy.init()
        self.node = rclpy.create_node("onlooker")

    def tearDown(self) -> None:
        self.node.destroy_node()
        rclpy.shutdown()

    def wait_for(self, condition: Callable[[], Any], seconds: float, what: str) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                self.fail(f"no {what} within {seconds:g} s")
            rclpy.spin_once(self.node, timeout_sec=0.1)

    def collect(self, kind: type, topic: str, qos: Any = 10) -> list[Any]:
        messages: list[Any] = []
        self.node.create_subscription(kind, topic, messages.append, qos)
        return messages

    def test_labels_of_the_drivers_images_come_within_10_s(self) -> None:
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        names = self.collect(String, "/driven/fafnet/label_names", latched)
        self.wait_for(lambda: names, 90, "active node")  # PyTorch is still being imported
        labels = self.collect(Image, "/driven/semantic/image_raw")  # its name with for:=hydra
        self.wait_for(lambda: labels, 10, "labels")
        first = labels[0]
        self.assertEqual((first.width, first.height, first.encoding), (160, 120, "16SC1"))
        self.assertEqual(first.header.frame_id, "driver_frame")

    def test_the_driver_gets_none_of_our_arguments_and_all_of_its_own(self) -> None:
        infos = self.collect(CameraInfo, "/driven/camera/rgb/camera_info")
        self.wait_for(lambda: len(infos) > 5, 60, "camera_info of the driver")
        stamps = [m.header.stamp.sec + m.header.stamp.nanosec / 1e9 for m in infos]
        self.assertEqual(infos[0].width, 160)  # our `device` is cpu
        self.assertGreater((stamps[-1] - stamps[0]) / (len(stamps) - 1), 0.1)  # 5 Hz, not 30

    def test_command_line_beats_file_beats_preset(self) -> None:
        client = self.node.create_client(GetParameters, "/driven/fafnet/get_parameters")
        self.wait_for(client.service_is_ready, 90, "parameter service")
        request = GetParameters.Request(names=["slop", "queue_size", "device"])
        answer = client.call_async(request)
        self.wait_for(answer.done, 30, "answer")
        slop, queue_size, device = answer.result().values
        self.assertEqual(slop.double_value, 0.07)
        self.assertEqual(queue_size.integer_value, 9)
        self.assertEqual(device.string_value, "cpu")


@launch_testing.post_shutdown_test()
class TestShutdown(unittest.TestCase):
    """After they were interrupted."""

    def test_every_process_ended_with_status_0(self, proc_info: Any) -> None:
        assertExitCodes(proc_info, allowable_exit_codes=[0])
        names = sorted(proc_info.process_names())
        self.assertEqual(len(names), 2, names)
