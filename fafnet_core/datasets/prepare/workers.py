"""Worker processes that make frames, and what happens when one of them dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from fafnet_core.datasets.prepare.frame import FrameEncoder, write_frame
from fafnet_core.datasets.prepare.layout import OfficialSplit
from fafnet_core.datasets.prepare.records import FrameRecord
from fafnet_core.labels import LabelSet
from fafnet_core.samples import RgbdSegmentationDataset

_READING_ERRORS = (ValueError, OSError, MemoryError, cv2.error)
"""What a damaged original raises; anything else is a bug."""

_MOST_DEATHS = 8
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class FrameToMake:
    """One frame to make: its index in a split's data set, and what its record says."""

    split: OfficialSplit
    index: int
    name: str
    sensor: str
    scene: str


@dataclass(frozen=True)
class FrameOutcome:
    """The outcome of a job: a record, or what went wrong.

    Attributes:
        job: the frame.
        record: of the finished frame; None if it failed.
        error: what is wrong with the original.
        write_error: why the output cannot be written; other frames would fail too.
        died: its worker died; it is tried again.
        seconds: by stage: read, hha, png, write.
        sizes: of its pictures in bytes, if it was a trial.
    """

    job: FrameToMake
    record: FrameRecord | None = None
    error: str = ""
    write_error: str = ""
    died: bool = False
    seconds: Mapping[str, float] = field(default_factory=dict)
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class PreparationTask:
    """What all jobs have in common; sent to each worker once."""

    root: Path
    datasets: Mapping[str, RgbdSegmentationDataset]
    label_set: LabelSet


_worker: tuple[PreparationTask, FrameEncoder] | None = None  # set by `_start` in each worker


def _start(task: PreparationTask) -> None:
    global _worker
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the parent
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = task, FrameEncoder(task.label_set)


def _end_with_parent() -> None:
    """End this process when its parent is killed; else it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make(job: FrameToMake, trial: bool) -> FrameOutcome:
    """Read and encode one frame, and write it unless this is a trial."""
    assert _worker is not None
    task, encoder = _worker
    begun = time.perf_counter()
    try:
        sample = task.datasets[job.split].read(job.index)
        read = time.perf_counter()
        frame = encoder.encode(sample)
    except _READING_ERRORS as error:
        return FrameOutcome(job, error=str(error) or type(error).__name__)
    except Exception as error:
        raise RuntimeError(f"a bug, at frame {job.name}: {error!r}") from error
    encoded = time.perf_counter()
    if trial:
        return FrameOutcome(job, sizes=tuple(map(len, frame.pictures.values())))
    try:
        record = write_frame(
            task.root, frame, name=job.name, split=job.split, sensor=job.sensor, scene=job.scene
        )
    except OSError as error:
        return FrameOutcome(job, write_error=str(error))
    seconds = {
        "read": read - begun,
        "hha": frame.hha_seconds,
        "png": frame.png_seconds,
        "write": time.perf_counter() - encoded,
    }
    return FrameOutcome(job, record, seconds=seconds)


def run_jobs(
    task: PreparationTask,
    jobs: Sequence[FrameToMake],
    processes: int | None,
    *,
    trial: bool = False,
) -> Generator[FrameOutcome, None, None]:
    """Make frames in worker processes; yield each outcome when it is known, in any order.

    When a worker dies, all frames that were being made are tried again at the end, one at a time,
    so that only the frame that ends its worker fails.

    Args:
        task: what the frames are made from and where they go.
        jobs: the frames.
        processes: most worker processes; None: one for each core.
        trial: write nothing; outcomes have only the sizes.

    Raises:
        OSError: workers die again and again.
    """
    deaths = 0
    processes = min(processes or os.cpu_count() or 1, max(len(jobs), 1))
    waiting, alone = deque(jobs), False
    while waiting:
        suspects: list[FrameToMake] = []
        while waiting:
            lost = yield from _until_death(task, waiting, 1 if alone else processes, trial)
            if lost is None:
                break
            deaths += 1
            if deaths >= _MOST_DEATHS:
                raise OSError(
                    f"worker processes died {deaths} times, last at"
                    f" {', '.join(job.name for job in lost) or 'no frame'}: the usual cause is too"
                    " little memory. What is done is kept: run it again with fewer --jobs"
                )
            for job in lost:
                if alone:
                    yield FrameOutcome(job, error="the worker process that made it died, twice")
                else:
                    suspects.append(job)
                    yield FrameOutcome(job, died=True)
        waiting, alone = deque(suspects), True


def _until_death(
    task: PreparationTask, waiting: deque[FrameToMake], processes: int, trial: bool
) -> Generator[FrameOutcome, None, list[FrameToMake] | None]:
    """Work until no job is left (None), or a worker dies: return the jobs that it interrupted."""
    running: dict[Future[FrameOutcome], FrameToMake] = {}
    pool = ProcessPoolExecutor(
        processes,
        # Not a fork: OpenCV's and BLAS's threads do not survive one.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(task,),
    )
    try:
        while waiting or running:
            # One job for each worker, so that it is known which jobs a death interrupts.
            while waiting and len(running) < processes:
                with _for_children():
                    running[pool.submit(_make, waiting[0], trial)] = waiting[0]
                waiting.popleft()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                outcome = future.result()
                del running[future]
                yield outcome
    except BrokenProcessPool:
        for future in list(running):
            if future.exception() is None:  # waits: a broken pool ends them all
                del running[future]
                yield future.result()
        return list(running.values())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return None


@contextmanager
def _for_children() -> Iterator[None]:
    """Make processes that are started here have one thread each, and ignore Ctrl-C.

    They inherit both. A process that is just starting would print a traceback at Ctrl-C.
    """
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    masks = hasattr(signal, "pthread_sigmask")
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masks else set()
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
