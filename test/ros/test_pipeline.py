"""The mailbox before the worker, without topics."""

from __future__ import annotations

import signal
import threading

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from fafnet_ros.node.worker import LatestWorker


class Work:
    """A worker that is busy until it is let go."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.go = threading.Event()
        self._begun = threading.Event()
        self.worker: LatestWorker[int] = LatestWorker(self._handle, "test")
        assert not self.worker.put(0)
        assert self._begun.wait(10)

    def _handle(self, job: int) -> None:
        self._begun.set()
        self.go.wait(10)
        self.done.append(job)


def test_a_stop_that_is_interrupted_can_be_made_again() -> None:
    # Ctrl-C while the node deactivates: the frame in hand is still to be waited for.
    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    work = Work()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            work.worker.stop()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert work.done == []
    threading.Timer(0.2, work.go.set).start()
    work.worker.stop()
    assert work.done == [0]


def test_the_newest_job_wins_and_every_other_one_is_accounted_for() -> None:
    work = Work()
    replaced = [work.worker.put(job) for job in range(1, 100)]
    assert replaced == [False] + 98 * [True]
    assert work.worker.put(100)
    work.go.set()
    while len(work.done) < 2:
        threading.Event().wait(0.01)
    assert not work.worker.stop()
    assert not work.worker.put(101)
    assert work.worker.stop()  # nobody is there any more to take it
    assert work.done == [0, 100]
