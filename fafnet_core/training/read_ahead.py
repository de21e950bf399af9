"""Reads frames and encodes their HHA while the network is busy with earlier ones.

Threads and not processes: they start at once, share memory, and OpenCV and NumPy, which decode and
encode, run outside Python's lock.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from fafnet_core.data.samples import RgbdSample, RgbdSegmentationDataset


def read_ahead(
    dataset: RgbdSegmentationDataset, indices: Sequence[int], workers: int
) -> Generator[tuple[int, RgbdSample], None, None]:
    """Yield each index with its frame and HHA, in order, some of them read ahead in threads.

    Args:
        dataset: read by several threads at once.
        indices: of the frames.
        workers: threads; twice as many frames wait at most. 0: none, each is read when asked for.

    What goes wrong with a frame is raised in its turn. Close the generator where it is left early.
    """
    todo = iter(indices)
    # Alone: a data set may open its files with the first frame.
    for index in itertools.islice(todo, 1 if workers else None):
        yield index, _read(dataset, index)
    if workers == 0:
        return
    waiting: deque[tuple[int, Future[RgbdSample]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="read") as pool:

        def start(count: int) -> None:
            for index in itertools.islice(todo, count):
                waiting.append((index, pool.submit(_read, dataset, index)))

        try:
            start(2 * workers)
            while waiting:
                index, reading = waiting.popleft()
                sample = reading.result()
                start(1)
                yield index, sample
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _read(dataset: RgbdSegmentationDataset, index: int) -> RgbdSample:
    return dataset.read(index).with_hha()
