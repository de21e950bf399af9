"""The way every node of ours runs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from fafnet_ros.dds import use_large_image_profile


def run(make_node: Callable[[], Node], arguments: list[str] | None = None) -> int:
    """Run a node until it is interrupted or ends by itself; return the process's exit status."""
    use_large_image_profile()
    try:
        rclpy.init(args=arguments)
    except RuntimeError as error:  # RCLError and others that rclpy does not export
        remedy = ""
        if "Sequence should be of same type" in str(error):
            remedy = ". Write all numbers of a list alike: [0.05, 0.0, 1.0], not [0.05, 0, 1]"
        print(f"arguments: {error}{remedy}", file=sys.stderr)
        return 1
    node = None
    try:
        node = make_node()
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        # `ros2 launch` interrupts a second time while we are still tidying up.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ParameterException as error:  # rclpy's own parameters, e.g. use_sim_time:=1
        print(f"parameters: {error}", file=sys.stderr)
        return 1
    except SystemExit as end:  # how a node ends by itself
        return int(end.code or 0)
    except Exception:
        # A callback that was publishing when the signal came finds its publisher gone.
        if rclpy.ok():
            raise
    finally:
        if node is not None:
            getattr(node, "close", lambda: None)()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
