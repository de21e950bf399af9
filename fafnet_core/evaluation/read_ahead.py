"""Reads frames and prepares them (size, HHA) while the network is busy with earlier ones.

Threads and not processes: they start at once, share memory, and OpenCV and NumPy, which decode and
encode, run outside Python's lock.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset

T = TypeVar("T")


def read_ahead(
    dataset: RgbdSegmentationDataset,
    indices: Sequence[int],
    workers: int,
    prepare: Callable[[RgbdSample], T],
) -> Generator[tuple[int, T], None, None]:
    """Yield each index with what is made of its frame, in order, some made ahead in threads.

    Args:
        dataset: read by several threads at once.
        indices: of the frames.
        workers: threads; twice as many frames wait at most. 0: none, each is read when asked for.
        prepare: makes of a frame what is wanted; called by several threads at once.

    What goes wrong with a frame is raised in its turn. Close the generator where it is left early.
    """
    todo = iter(indices)
    # Alone: a data set may open its files with the first frame.
    for index in itertools.islice(todo, 1 if workers else None):
        yield index, prepare(dataset.read(index))
    if workers == 0:
        return

    def read(index: int) -> T:
        return prepare(dataset.read(index))

    waiting: deque[tuple[int, Future[T]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="read") as pool:

        def start(count: int) -> None:
            for index in itertools.islice(todo, count):
                waiting.append((index, pool.submit(read, index)))

        try:
            start(2 * workers)
            while waiting:
                index, reading = waiting.popleft()
                prepared = reading.result()
                start(1)
                yield index, prepared
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
