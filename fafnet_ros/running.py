"""The way every node of ours runs."""

from __future__ import annotations

import faulthandler
import signal
import sys
import time
import traceback
from collections.abc import Callable

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from fafnet_ros.dds import use_large_image_profile
from fafnet_ros.logs import arguments_for_logs
from fafnet_ros.shared_memory import remove_dead_segments

_REST_S = 0.5
"""Seconds that a node waits after an exception, most of all for memory to become free."""

_LONGEST_TROUBLE_S = 30.0
"""Seconds of exceptions without a longer break after which the process ends."""


def run(make_node: Callable[[], Node], arguments: list[str] | None = None) -> int:
    """Run a node until it is interrupted or ends by itself; return the process's exit status."""
    use_large_image_profile()
    remove_dead_segments()
    given = sys.argv if arguments is None else arguments
    try:
        rclpy.init(args=[*given, *arguments_for_logs()])
    except RuntimeError as error:  # RCLError and others that rclpy does not export
        remedy = ""
        if "Sequence should be of same type" in str(error):
            remedy = ". Write all numbers of a list alike: [0.05, 0.0, 1.0], not [0.05, 0, 1]"
        print(f"arguments: {error}{remedy}", file=sys.stderr)
        return 1
    node = None
    try:
        node = make_node()
        _spin(node)
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
        # What a node's `close` set: libraries may take long to end, and end by themselves.
        faulthandler.cancel_dump_traceback_later()
    return 0


def _spin(node: Node) -> None:
    """Spin until the node is interrupted; one exception is logged, and the node goes on.

    A message for which there was no memory, as a rule: rclpy raises out of the executor.

    Raises:
        Exception: as the last one of many in a row.
    """
    begun = last = -_LONGEST_TROUBLE_S
    while True:
        try:
            rclpy.spin(node)
        except ExternalShutdownException:
            raise
        except Exception as error:
            now = time.monotonic()
            if now - last > 4 * _REST_S:
                begun = now
            last = now
            if not rclpy.ok() or now - begun > _LONGEST_TROUBLE_S:
                raise
            getattr(node, "on_exception", _log)(error)
            time.sleep(_REST_S)
        else:
            return


def _log(error: Exception) -> None:
    print("".join(traceback.format_exception(error)), file=sys.stderr)
