"""What the worker does with a pair, without topics: smaller inputs, and the mailbox before it."""

from __future__ import annotations

import signal
import threading

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from fafnet_ros.load import SMALLEST_SIDE, reduced_size
from fafnet_ros.pipeline import reduced
from fafnet_ros.worker import LatestWorker


@pytest.mark.parametrize("shape", [(480, 640), (481, 643), (97, 131), (70, 300)])
@pytest.mark.parametrize("scale", [0.75, 0.5, 0.375, 0.25])
def test_a_smaller_frame_shows_the_same_rays(shape: tuple[int, int], scale: float) -> None:
    rows, columns = np.indices(shape, dtype=np.float32)
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    matrix = np.array(((500.0, 0.0, 300.3), (0.0, 480.0, 33.7), (0.0, 0.0, 1.0)))
    for axis, position in ((0, columns), (1, rows)):
        small, depth_m, smaller = reduced(rgb, position, matrix, scale)
        assert small.shape[:2] == depth_m.shape == reduced_size(*shape, scale)
        assert min(depth_m.shape) >= min(SMALLEST_SIDE, *shape)
        here = np.indices(depth_m.shape)[1 - axis]
        there = (here - smaller[axis, 2]) / smaller[axis, axis] * matrix[axis, axis]
        there += matrix[axis, 2]
        assert np.abs(depth_m - there).max() <= 0.5 + 1e-3  # the nearest pixel
        # Colour is a mean around the ray: of the mirror image, the mirror image.
        mirrored = reduced(np.flip(rgb, 1 - axis), position, matrix, scale)[0]
        apart = np.abs(np.flip(mirrored, 1 - axis).astype(int) - small)
        assert apart.max() <= 1
        assert abs(small.mean() - rgb.mean()) < 0.5


def test_a_frame_at_full_size_or_too_small_stays_as_it_is() -> None:
    for shape, scale in (((96, 128), 1.0), ((48, 64), 0.25), ((1, 1), 0.25)):
        rgb, depth_m = np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.float32)
        matrix = np.eye(3)
        same = reduced(rgb, depth_m, matrix, scale)
        assert same[0] is rgb
        assert same[1] is depth_m
        assert same[2] is matrix


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
