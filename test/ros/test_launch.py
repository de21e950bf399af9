"""`segment.launch.py` as `ros2 launch` runs it; needs launch_testing and the package built."""

from __future__ import annotations

import os
import random
import time
import unittest
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
from sensor_msgs.msg import Image


@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    """A synthetic camera and the node in a namespace, without RViz, in a domain of their own."""
    os.environ["ROS_DOMAIN_ID"] = str(random.randint(1, 100))
    arguments = {"camera": "synthetic", "rviz": "false", "namespace": "left", "device": "cpu"}
    source = PythonLaunchDescriptionSource(str(SHARE / "launch" / "segment.launch.py"))
    included = IncludeLaunchDescription(source, launch_arguments=arguments.items())
    return LaunchDescription([included, ReadyToTest()])


class TestLabels(unittest.TestCase):
    """While it runs."""

    def test_labels_come_in_the_namespace(self) -> None:
        rclpy.init()
        node = rclpy.create_node("onlooker")
        labels: list[Image] = []
        node.create_subscription(Image, "/left/fafnet/labels", labels.append, 5)
        end = time.monotonic() + 30
        while not labels and time.monotonic() < end:
            rclpy.spin_once(node, timeout_sec=0.1)
        node.destroy_node()
        rclpy.shutdown()
        self.assertTrue(labels, "no labels within 30 s")
        self.assertEqual((labels[0].width, labels[0].height), (640, 480))


@launch_testing.post_shutdown_test()
class TestShutdown(unittest.TestCase):
    """After it was interrupted."""

    def test_every_process_ended_with_status_0(self, proc_info: Any) -> None:
        assertExitCodes(proc_info, allowable_exit_codes=[0])
