"""A request to stop: the first SIGTERM or Ctrl-C lets the running iteration end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Whether this process was asked to stop.

    Attributes:
        signal: the name of the signal that came, or None.
    """

    signal: str | None = None


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Within `with`, note the first SIGTERM or SIGINT; the second does what it always does.

    Outside the main thread, where Python allows no handlers, nothing is noted.
    """
    request, process = StopRequest(), os.getpid()

    def note(number: int, frame: FrameType | None) -> None:
        # Ctrl-C reaches the processes that read data too; the one that trains ends them.
        if os.getpid() == process:
            request.signal = signal.Signals(number).name
            for name in _SIGNALS:
                signal.signal(name, signal.SIG_DFL)

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {name: signal.signal(name, note) for name in _SIGNALS}
    try:
        yield request
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
