"""A request to stop: SIGTERM or Ctrl-C let the running iteration end, the second one does not."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Within `with`, the first SIGTERM or SIGINT is noted; the second does what it always does.

    Outside the main thread, where Python allows no handlers, it notes nothing.

    Attributes:
        signal: the name of the signal that came, or None.
    """

    def __init__(self) -> None:
        self.signal: str | None = None
        self._process = os.getpid()
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = {name: signal.signal(name, self._note) for name in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for name, handler in self._before.items():
            signal.signal(name, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        # Ctrl-C reaches the processes that read data too; the one that trains ends them.
        if os.getpid() != self._process:
            return
        self.signal = signal.Signals(number).name
        for name in self._before:
            signal.signal(name, signal.SIG_DFL)
