"""The mailbox before the worker, without topics."""

from __future__ import annotations

import signal
import threading

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from fafnet_ros.node.worker import LatestWorker


def test_a_stop_that_is_interrupted_can_be_made_again() -> None:
    # Ctrl-C while the node deactivates: the frame in hand is still to be waited for.
    begun, go = threading.Event(), threading.Event()
    done: list[int] = []

    def handle(job: int) -> None:
        begun.set()
        go.wait(10)
        done.append(job)

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    worker: LatestWorker[int] = LatestWorker(handle, "test")
    worker.put(1)
    assert begun.wait(10)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            worker.stop()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert done == []
    threading.Timer(0.2, go.set).start()
    worker.stop()
    assert done == [1]


def test_the_newest_job_wins_and_every_other_one_is_accounted_for() -> None:
    begun, go = threading.Event(), threading.Event()
    done: list[int] = []

    def handle(job: int) -> None:
        begun.set()
        go.wait(10)
        done.append(job)

    worker: LatestWorker[int] = LatestWorker(handle, "test")
    assert not worker.put(0)
    assert begun.wait(10)
    replaced = [worker.put(job) for job in range(1, 100)]
    assert replaced == [False] + 98 * [True]
    go.set()
    while len(done) < 2:
        assert worker._thread.is_alive()
    assert done == [0, 99]
    assert not worker.stop()
    assert not worker.put(100)
    assert worker.stop()  # nobody is there any more to take it
    assert done == [0, 99]
