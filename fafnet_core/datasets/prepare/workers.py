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
"""What a damaged original raises; anything else is a mistake in the program."""

_MOST_DEATHS = 8
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class FrameToMake:
    """One frame to make: a place in a split's data set, and what its record says besides."""

    split: OfficialSplit
    index: int
    name: str
    sensor: str
    scene: str


@dataclass(frozen=True)
class FrameOutcome:
    """What became of a job: a record, or what went wrong.

    Attributes:
        job: the frame.
        record: of the finished frame; None where it failed.
        error: what is wrong with the original.
        write_error: why the output cannot be written; no other frame will fare better.
        died: the worker that had it died; it is tried again.
        seconds: by stage: read, hha, png, write.
        sizes: of its pictures in bytes, of a trial.
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
    """What all jobs have in common; goes to each worker once."""

    root: Path
    datasets: Mapping[str, RgbdSegmentationDataset]
    label_set: LabelSet


class _Worker:
    """A worker process's own state."""

    def __init__(self, task: PreparationTask) -> None:
        self._task = task
        self._encoder = FrameEncoder(task.label_set)

    def make(self, job: FrameToMake, *, trial: bool) -> FrameOutcome:
        """Read and encode one frame, and write it unless that is only a trial."""
        begun = time.perf_counter()
        try:
            sample = self._task.datasets[job.split].read(job.index)
            read = time.perf_counter()
            frame = self._encoder.encode(sample)
        except _READING_ERRORS as error:
            return FrameOutcome(job, error=str(error) or type(error).__name__)
        except Exception as error:
            raise RuntimeError(
                f"a mistake in the program, at frame {job.name}: {error!r}"
            ) from error
        encoded = time.perf_counter()
        if trial:
            return FrameOutcome(job, sizes=tuple(map(len, frame.pictures.values())))
        try:
            record = write_frame(
                self._task.root, frame,
                name=job.name, split=job.split, sensor=job.sensor, scene=job.scene,
            )  # fmt: skip
        except OSError as error:
            return FrameOutcome(job, write_error=str(error))
        seconds = {
            "read": read - begun,
            "hha": frame.hha_seconds,
            "png": frame.png_seconds,
            "write": time.perf_counter() - encoded,
        }
        return FrameOutcome(job, record, seconds=seconds)


_worker: _Worker | None = None  # one a process, set when it starts


def _start(task: PreparationTask) -> None:
    global _worker
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = _Worker(task)


def _end_with_parent() -> None:
    """End this process when its parent is killed: it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make(job: FrameToMake, trial: bool) -> FrameOutcome:
    if _worker is None:
        raise RuntimeError("a worker has to be started first")
    return _worker.make(job, trial=trial)


def run_jobs(
    task: PreparationTask,
    jobs: Sequence[FrameToMake],
    processes: int | None,
    *,
    trial: bool = False,
) -> Generator[FrameOutcome, None, None]:
    """Make frames in worker processes; yield the outcome of each as it ends, in any order.

    When a worker dies, those that it and its neighbours were at are tried again at the end, one at
    a time, so that only the frame that is to blame fails.

    Args:
        task: what the frames are made from and where they go.
        jobs: the frames.
        processes: worker processes at most; one for each core if None.
        trial: write nothing; outcomes have only the sizes.

    Raises:
        OSError: workers go on dying.
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
                    f"worker processes died {deaths} times, last at {_names(lost)}: too little"
                    " memory most often. What is done is kept: run it again, with fewer --jobs"
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
    """Work until nothing waits, or until a worker dies: return what was being made then."""
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
            # No more than there are workers: so the frames that a death hits are known.
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


def _names(jobs: Sequence[FrameToMake]) -> str:
    return ", ".join(job.name for job in jobs) or "no frame"


@contextmanager
def _for_children() -> Iterator[None]:
    """Let processes that start meanwhile have one thread each, and no part in Ctrl-C.

    They inherit both; one that is just starting would print a traceback at Ctrl-C.
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
