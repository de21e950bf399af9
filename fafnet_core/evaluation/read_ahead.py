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
    """Yield each index with its prepared frame, in order; threads prepare the next ones meanwhile.

    The error of a frame is raised in its turn. Close the generator if you leave it early.

    Args:
        dataset: read by several threads at once.
        indices: of the frames.
        workers: threads; at most twice as many frames wait. 0: none, each is read when asked for.
        prepare: called by several threads at once.
    """

    def read(index: int) -> T:
        return prepare(dataset.read(index))

    todo = iter(indices)
    # The first one alone: a data set may open its files with it.
    for index in itertools.islice(todo, 1 if workers else None):
        yield index, read(index)
    if workers == 0:
        return
    waiting: deque[tuple[int, Future[T]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="read") as pool:
        try:
            while True:
                for index in itertools.islice(todo, 2 * workers - len(waiting)):
                    waiting.append((index, pool.submit(read, index)))
                if not waiting:
                    return
                index, prepared = waiting.popleft()
                yield index, prepared.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
