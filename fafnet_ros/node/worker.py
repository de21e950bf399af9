"""One worker thread with a one-slot mailbox: the newest job wins, the executor never waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestWorker(Generic[T]):
    """Runs `handle` on the newest job in a thread of its own.

    Args:
        handle: does a job; it must handle its own exceptions.
        name: the thread's name, as debuggers show it.
    """

    def __init__(self, handle: Callable[[T], None], name: str) -> None:
        self._handle = handle
        self._ready = threading.Condition()
        self._job: T | None = None
        self._begun: float | None = None
        self._stopping = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, job: T) -> bool:
        """Hand over a job; True if it took the place of one that had not been begun."""
        with self._ready:
            replaced = self._job is not None
            self._job = job
            self._ready.notify()
        return replaced

    @property
    def busy_s(self) -> float:
        """Seconds for which the job in work has been in work; 0 without one."""
        begun = self._begun
        return 0.0 if begun is None else time.monotonic() - begun

    def stop(self) -> bool:
        """Finish the job in work and end the thread; True if a job that waited is lost."""
        with self._ready:
            self._stopping = True
            lost, self._job = self._job is not None, None
            self._ready.notify()
        # A join that Ctrl-C interrupts takes the thread for ended, and the next one returns at once
        # (Python 3.11): the process would end in the middle of a frame, by abort.
        self._ended.wait()
        self._thread.join()
        return lost

    def _run(self) -> None:
        try:
            while (job := self._next()) is not None:
                self._begun = time.monotonic()
                self._handle(job)
                self._begun = None
        finally:
            self._ended.set()

    def _next(self) -> T | None:
        """Wait for a job; None once the worker is to stop."""
        with self._ready:
            self._ready.wait_for(lambda: self._stopping or self._job is not None)
            job, self._job = self._job, None
            return None if self._stopping else job
