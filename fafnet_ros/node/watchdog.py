"""Ends the process when a frame never ends or the node no longer answers.

A thread that is stuck in a native call cannot be ended by itself, and where that call keeps the
interpreter's lock no other line of Python runs either. So the end is left to a thread of
`faulthandler`, which needs neither: it writes the stacks of all threads to standard error and ends
the process with status 1. Whoever started it (`respawn` of a launch file, systemd) starts it again.
"""

from __future__ import annotations

import faulthandler

from fafnet_ros.diagnostics.state import FrameInWork

_FIRST_FRAME = 10.0
"""How many times as long the first frame of a size may take: a runtime may compile for it."""

_CLOSING_S = 12.0
"""Seconds for the last frame once the node is told to end; a launch file kills after some more."""

_SOON_S = 0.05
_STDERR = 2
"""The descriptor, whatever Python writes to."""


class Watchdog:
    """Has to be fed now and then, or the process ends. There can be one in a process.

    Args:
        limit_s: the parameter `watchdog`, in seconds; 0: it never bites.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s

    def limit_of(self, *, is_first: bool) -> float:
        """Return how long a frame may take, in seconds; 0: for ever.

        Args:
            is_first: no frame of its size has had labels before.
        """
        return self.limit_s * (_FIRST_FRAME if is_first else 1.0)

    def feed(self, frame: FrameInWork) -> None:
        """Tell that the node answers, and how long its frame has been in work."""
        if frame.limit_s > 0:
            _end_in(frame.limit_s - frame.seconds)
        else:
            self.rest()

    def rest(self) -> None:
        """Watch no longer."""
        faulthandler.cancel_dump_traceback_later()

    @staticmethod
    def watch_the_end() -> None:
        """Give the process some seconds to end by itself."""
        _end_in(_CLOSING_S)


def _end_in(seconds: float) -> None:
    faulthandler.dump_traceback_later(max(seconds, _SOON_S), exit=True, file=_STDERR)
