"""Batches for training, the same ones however they are read.

Which frame is where, and the random numbers of its augmentation, depend on nothing but the seed,
the iteration and the position in the batch. So a resumed run, one with more workers, and one
shared by several processes all see the same data.
"""

from __future__ import annotations

import os
import pickle
import signal
import traceback
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import active_children
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, default_collate, get_worker_info

from fafnet_core.augmentation import Batch
from fafnet_core.processes import deaf_to_sigterm, helper_context
from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset, SampleError

Transform = Callable[[RgbdSample, np.random.Generator], Batch]

_ORDER = 1
"""Keeps the random numbers of an epoch's order apart from those of the samples."""


_DYING_S = 5.0
"""Within this time after its last sign a worker that was killed is dead."""


class _Place(NamedTuple):
    """A frame, and its place in a batch."""

    frame: int
    iteration: int
    position: int


@dataclass(frozen=True)
class _Failure:
    """A frame that cannot be used, on its way from a worker to the process that trains."""

    kind: type[ValueError] | type[OSError]
    message: str
    traceback: str = ""

    def error(self) -> Exception:
        error = self.kind(self.message)
        if self.traceback:
            error.__cause__ = _TracebackOfWorker(self.traceback)
        return error


class _TracebackOfWorker(Exception):  # noqa: N818  only a cause
    """Shows, under the error, where in the worker it came from."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class _Augmented(Dataset["Batch | _Failure"]):
    """The data set as the workers see it: an index is a place, an item an augmented sample."""

    def __init__(
        self, dataset: RgbdSegmentationDataset, transform: Transform, seed: int, workers: int
    ) -> None:
        self._dataset = dataset
        self._transform = transform
        self._seed = seed
        # For each worker, its process and the frame it read last; in memory that outlives it.
        self._reading = torch.full((workers, 2), -1) if workers else None
        if self._reading is not None:
            self._reading.share_memory_()  # type: ignore[no-untyped-call]

    def last_read(self, processes: Collection[int]) -> list[str]:
        """The frames that these processes were reading or had read last."""
        read = [] if self._reading is None else self._reading.tolist()
        return [self._dataset.names[frame] for process, frame in read if process in processes]

    def __getitem__(self, place: _Place) -> Batch | _Failure:
        if self._reading is not None and (worker := get_worker_info()) is not None:
            self._reading[worker.id] = torch.tensor((os.getpid(), place.frame))
        entropy = [self._seed, place.iteration, place.position]
        rng = np.random.default_rng(np.random.SeedSequence(entropy))
        try:
            return self._transform(self._dataset.read(place.frame), rng)
        except (ValueError, OSError) as error:
            # PyTorch would put the traceback into the message; this way it stays one line.
            kind = OSError if isinstance(error, OSError) else ValueError
            name = "" if isinstance(error, SampleError) else self._dataset.names[place.frame]
            message = f"frame {name}: {error}" if name else str(error)
            return _Failure(kind, message, traceback.format_exc())


def training_batches(
    dataset: RgbdSegmentationDataset,
    transform: Transform,
    *,
    batch_size: int,
    seed: int,
    start: int,
    stop: int,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
    pin_memory: bool = False,
) -> Iterator[Batch]:
    """Read and augment one batch for each iteration start <= i < stop.

    Epochs are permutations laid end to end: no frame is left out at the end of one, and a batch may
    hold the last frames of an epoch and the first of the next.

    Args:
        dataset: the labelled frames; with workers, one that can be pickled.
        transform: what a sample goes through, e.g. `TrainTransform`.
        batch_size: frames of one iteration over all processes; a multiple of `world`.
        seed: 0 <= seed < 2**32; decides order and augmentation.
        start: the first iteration, above 0 in a resumed run.
        stop: one past the last iteration.
        rank: which of `world` processes this is; it gets its equal share of each batch, in order.
        world: processes that train together.
        workers: processes that read and augment; 0: this process does. They live until the
            iterator ends or is dropped. They are not forked from this process, which has threads,
            so a script that starts them needs its `if __name__ == "__main__":`.
        pin_memory: copy the batches to page-locked memory, which a GPU reads faster.

    Yields:
        `Batch`es of batch_size / world samples.

    Raises:
        ValueError: there are no frames; or, in its turn, a frame cannot be used: it is named.
        OSError: a frame cannot be read; or a worker died (ChildProcessError).
    """
    if len(dataset) == 0:
        raise ValueError("the data set has no frames; there is nothing to train on")
    share = batch_size // world
    positions = range(rank * share, (rank + 1) * share)
    augmented = _Augmented(dataset, transform, seed, workers)
    loader: DataLoader[Batch | _Failure] = DataLoader(
        augmented,
        batch_sampler=_places(len(dataset), batch_size, seed, range(start, stop), positions),
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=pin_memory,
        worker_init_fn=_prepare_worker if workers else None,
        # The server then imports PyTorch once, not each worker for itself.
        multiprocessing_context=helper_context([__name__]) if workers else None,
    )
    return _batches(loader, augmented)


def _places(
    frames: int, batch_size: int, seed: int, iterations: range, positions: range
) -> Iterator[list[_Place]]:
    """Which frames make this process's share of each batch."""
    # A batch may span two epochs, or more where there are few frames.
    permutation = lru_cache(maxsize=2)(lambda epoch: _permutation(frames, seed, epoch))
    for iteration in iterations:
        places = []
        for position in positions:
            epoch, index = divmod(iteration * batch_size + position, frames)
            places.append(_Place(int(permutation(epoch)[index]), iteration, position))
        yield places


def _permutation(frames: int, seed: int, epoch: int) -> NDArray[np.int64]:
    entropy = np.random.SeedSequence([seed, epoch], spawn_key=(_ORDER,))
    return np.random.default_rng(entropy).permutation(frames)


def _collate(samples: Sequence[Batch | _Failure]) -> Batch | _Failure:
    batch = []
    for sample in samples:
        if isinstance(sample, _Failure):
            return sample
        batch.append(sample)
    if len(sizes := {tuple(sample.label.shape) for sample in batch}) > 1:
        found = " and ".join(f"{width}x{height}" for height, width in sorted(sizes))
        return _Failure(ValueError, f"samples of one batch differ in size, {found}: set a crop")
    # It stacks directly into the memory that workers share with the process that trains.
    stacked: Batch = default_collate(batch)
    return stacked


def _batches(loader: DataLoader[Batch | _Failure], dataset: _Augmented) -> Iterator[Batch]:
    others = set(active_children())
    try:
        with warnings.catch_warnings(), deaf_to_sigterm():
            # PyTorch's advice here is to fork.
            warnings.filterwarnings("ignore", "Got pickle error")
            batches = iter(loader)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"the data set or the transform cannot be sent to worker processes ({error}): use one"
            " that can be pickled (without open files and local functions), or 0 workers"
        ) from error
    workers = set(active_children()) - others
    try:
        while (batch := _next(batches, workers, dataset)) is not None:
            if isinstance(batch, _Failure):
                raise batch.error()
            yield batch
    finally:
        # The workers end with it: now, not when the traceback of an error is freed.
        del batches


def _next(
    batches: Iterator[Batch | _Failure], workers: Collection[BaseProcess], dataset: _Augmented
) -> Batch | _Failure | None:
    """Return the next batch, or None; an error that a worker's death has caused tells of it."""
    try:
        return next(batches, None)
    except (RuntimeError, OSError, EOFError) as error:
        # One that dies while it sends breaks the connection before it is seen to be dead.
        if workers:
            wait([process.sentinel for process in workers], timeout=_DYING_S)
        dead = sorted(process.pid or 0 for process in workers if not process.is_alive())
        if not dead:
            raise
        names = dataset.last_read(dead)
        last = f"; the frame it read last is {' or '.join(names)}" if names else ""
        raise ChildProcessError(
            f"a worker process that reads training data died (process"
            f" {', '.join(map(str, dead))}{last}); if it printed no error above, it most likely ran"
            " out of memory: use fewer workers (0 reads in this process), or give more memory, in a"
            " container shared memory too (--shm-size)"
        ) from error


def _prepare_worker(worker: int) -> None:
    """One thread for each worker; Ctrl-C is for the process that trains, which ends them."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
