"""Training batches: the same for any number of readers; errors that name the frame."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from fafnet_core.augmentation import Batch, ColourJitter, TrainTransform, TransformConfig
from fafnet_core.labels import NYU40
from fafnet_core.normalisation import Normalisation
from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset
from fafnet_core.training.loader import training_batches


class Frames(RgbdSegmentationDataset):
    """Small frames of noise; every pixel of frame i is labelled i."""

    def __init__(self, count: int) -> None:
        self.label_set = NYU40
        self.names = [f"frame-{i}" for i in range(count)]
        self.sensors = [""] * count

    def read(self, index: int) -> RgbdSample:
        rng = np.random.default_rng(index)
        rgb, hha = rng.integers(0, 256, (2, 24, 32, 3), np.uint8)
        label = np.full((24, 32), index, np.uint8)
        return RgbdSample(rgb=rgb, label=label, hha=hha, name=self.names[index])


class EventfulFrames(Frames):
    """As `Frames`, but something happens when frame 3 is read."""

    def __init__(self, event: Callable[[], None]) -> None:
        super().__init__(10)
        self._event = event

    def read(self, index: int) -> RgbdSample:
        if index == 3:
            self._event()
        return super().read(index)


def damaged() -> None:
    raise ValueError("label/3.png is cut short")


def gone() -> None:
    raise FileNotFoundError("no image at rgb/frame-3.png")


def killed() -> None:
    """As by the kernel when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def terminated() -> None:
    """SIGTERM to the reader and to what it is forked from, as torchrun sends it to all."""
    for process in (os.getppid(), os.getpid()):
        os.kill(process, signal.SIGTERM)


AUGMENT = TrainTransform(
    TransformConfig(crop=(16, 16), colour_jitter=ColourJitter(brightness=0.3)), Normalisation()
)
PLAIN = TrainTransform(TransformConfig(scale=(1, 1), crop=None, flip=0.0), Normalisation())


def read(
    transform: Callable[[RgbdSample, np.random.Generator], Batch] = AUGMENT,
    dataset: RgbdSegmentationDataset | None = None,
    **arguments: Any,
) -> list[Batch]:
    defaults = {"batch_size": 4, "seed": 7, "start": 0, "stop": 12}
    return list(training_batches(dataset or Frames(10), transform, **(defaults | arguments)))


def frames_of(batches: list[Batch]) -> list[int]:
    return [int(label[0, 0]) for batch in batches for label in batch.label]


def assert_equal(first: list[Batch], second: list[Batch]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        for tensor, same in zip(one, other, strict=True):
            assert torch.equal(tensor, same)


def test_batches_have_the_promised_shapes_and_types() -> None:
    batches = read()
    assert len(batches) == 12
    batch = batches[0]
    assert batch.rgb.shape == batch.hha.shape == (4, 3, 16, 16)
    assert batch.label.shape == (4, 16, 16)
    assert (batch.rgb.dtype, batch.label.dtype) == (torch.float32, torch.int64)


def test_epochs_are_permutations_laid_end_to_end() -> None:
    frames = frames_of(read(PLAIN, stop=15))
    epochs = [frames[start : start + 10] for start in range(0, 60, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 6
    assert frames != frames_of(read(PLAIN, stop=15, seed=8))


def test_a_batch_may_hold_more_than_one_epoch() -> None:
    frames = frames_of(read(PLAIN, Frames(3), batch_size=8, stop=3))
    assert [sorted(frames[i : i + 3]) for i in range(0, 24, 3)] == [[0, 1, 2]] * 8


def test_a_resumed_run_sees_what_the_whole_one_saw() -> None:
    assert_equal(read(start=5), read()[5:])
    assert read(start=12) == []


@pytest.mark.parametrize("world", [2, 4])
def test_processes_share_a_batch_in_order(world: int) -> None:
    parts = [read(rank=rank, world=world) for rank in range(world)]
    joined = [
        Batch(*(torch.cat(tensors) for tensors in zip(*batches, strict=True)))
        for batches in zip(*parts, strict=True)
    ]
    assert_equal(joined, read())


def test_each_sample_has_random_numbers_of_its_own() -> None:
    """Those of (seed, iteration, position), so one frame twice in a batch looks different."""
    batch = read(dataset=Frames(1), stop=2)
    images = torch.cat([batch[0].rgb, batch[1].rgb])
    assert len({image.numpy().tobytes() for image in images}) == 8


def test_workers_change_nothing() -> None:
    assert_equal(read(workers=2), read())


def test_an_iterator_that_is_dropped_ends_its_workers() -> None:
    batches = training_batches(
        Frames(10), AUGMENT, batch_size=2, seed=0, start=0, stop=1000, workers=1
    )
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert not [p for p in torch.multiprocessing.active_children() if p.is_alive()]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        (damaged, ValueError, "frame frame-3: label/3.png is cut short"),
        (gone, OSError, "frame frame-3: no image at rgb/frame-3.png"),
    ],
)
def test_a_frame_that_cannot_be_read_is_named_in_one_line(
    workers: int, event: Callable[[], None], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        read(dataset=EventfulFrames(event), workers=workers)
    assert str(caught.value) == message
    # The traceback of the worker is kept.
    assert "in read" in "".join(traceback.format_exception(caught.value))


def test_a_frame_that_cannot_be_augmented_is_named_once() -> None:
    noisy = TrainTransform(TransformConfig(depth_noise=0.01), Normalisation())
    with pytest.raises(ValueError, match="metric depth") as refused:
        read(noisy, Frames(1), batch_size=1)
    assert str(refused.value).count("frame-0") == 1


def test_a_worker_that_is_killed_is_told_with_what_to_do() -> None:
    told = r"died \(process \d+; .* frame-3\).* fewer workers"
    with pytest.raises(ChildProcessError, match=told):
        read(dataset=EventfulFrames(killed), workers=2)


@pytest.mark.parametrize("delay_s", [0.0, 0.005, 0.01])
def test_a_worker_that_is_killed_while_it_sends_is_told_as_well(delay_s: float) -> None:
    """Then the connection breaks, maybe before the process is seen to be dead."""
    before = set(torch.multiprocessing.active_children())
    batches = training_batches(
        Frames(10), AUGMENT, batch_size=4, seed=7, start=0, stop=100_000, workers=1
    )
    next(batches)
    (worker,) = set(torch.multiprocessing.active_children()) - before
    threading.Timer(delay_s, worker.kill).start()
    with pytest.raises(ChildProcessError, match=rf"died \(process {worker.pid}; .*frame-\d"):
        for _ in batches:
            pass


@pytest.mark.skipif(
    "forkserver" not in torch.multiprocessing.get_all_start_methods(),
    reason="there the parent of a worker is the test itself",
)
def test_sigterm_is_for_the_process_that_trains() -> None:
    assert_equal(read(dataset=EventfulFrames(terminated), workers=1), read())
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_data_set_that_cannot_be_sent_to_workers_is_told() -> None:
    dataset = Frames(4)
    dataset.decode = lambda data: data  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="0 workers"):
        read(dataset=dataset, workers=1)


def test_samples_of_different_sizes_ask_for_a_crop() -> None:
    transform = TrainTransform(TransformConfig(crop=None), Normalisation())
    with pytest.raises(ValueError, match="set a crop"):
        read(transform)


def test_a_data_set_without_frames_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="no frames"):
        training_batches(Frames(0), AUGMENT, batch_size=4, seed=7, start=0, stop=12)
