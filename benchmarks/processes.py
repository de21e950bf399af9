"""Processes of ROS beside this one, as on a robot: what `node.py` and `faults.py` share."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from fafnet_ros.dds import use_large_image_profile

STARTUP_S = 60.0
"""Within this time a node says or sends something for the first time."""


def use_own_domain() -> None:
    """Let this process and those that it starts hear each other, and nobody else."""
    os.environ["ROS_DOMAIN_ID"] = str(random.randint(1, 100))
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    use_large_image_profile()


def start(stack: ExitStack, *arguments: str, quiet: bool = False) -> None:
    """Start Python with these arguments; it is interrupted, and waited for, when the stack closes.

    Args:
        stack: closes when the measurement ends.
        arguments: of Python.
        quiet: its standard error is not shown.
    """
    stderr = subprocess.DEVNULL if quiet else None
    process = subprocess.Popen([sys.executable, *arguments], stderr=stderr)
    stack.callback(process.wait)
    stack.callback(process.send_signal, signal.SIGINT)


def ros_arguments(parameters: Sequence[str], namespace: str = "/") -> list[str]:
    """Return the arguments of a node that set parameters, each `NAME:=VALUE`, and its namespace."""
    set_them = [part for one in parameters for part in ("-p", one)]
    return ["--ros-args", "-r", f"__ns:={namespace}", *set_them]
