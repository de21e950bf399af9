"""Log files must not decide whether a node runs: a full disk, or one that is read only."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

_NO_FILES = ("--ros-args", "--disable-external-lib-logs")


def log_folder() -> Path:
    """Return where ROS writes log files."""
    if folder := os.environ.get("ROS_LOG_DIR"):
        return Path(folder).expanduser()
    return Path(os.environ.get("ROS_HOME") or "~/.ros").expanduser() / "log"


def arguments_for_logs() -> tuple[str, ...]:
    """Return ROS arguments that switch log files off where none can be written, and say so.

    rclpy would not start. Standard error and the topic `/rosout` have the lines all the same.
    """
    folder = log_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\n" * 4096)
    except OSError as error:
        print(
            f"no log files: {folder}: {error.strerror or error}; make room there, or set"
            " ROS_LOG_DIR to a folder that can be written",
            file=sys.stderr,
        )
        return _NO_FILES
    return ()
