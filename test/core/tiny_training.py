"""A training that takes a second: a very small network, and a data set of coloured squares."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from fafnet_core.augmentation import TransformConfig
from fafnet_core.checkpoints.checkpoint import read_metadata
from fafnet_core.evaluation.evaluate import EvaluateConfig
from fafnet_core.labels import LabelSet
from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset, Split
from fafnet_core.training.config import Config, ModelConfig, TrainConfig
from fafnet_core.training.schedule import ScheduleConfig

LABELS = LabelSet(
    "tiny", ("red", "green", "blue", "grey"), ((9, 0, 0), (0, 9, 0), (0, 0, 9), (9, 9, 9))
)
SIDE = 40
Event = Callable[[], None]


class Squares(RgbdSegmentationDataset):
    """Sixteen squares a frame; colour and HHA tell their class. Some frames are hardly labelled.

    Attributes:
        reads: how many frames were read.
    """

    def __init__(self, count: int, seed: int, event: tuple[int, Event] | None = None) -> None:
        self.label_set = LABELS
        self.names = [f"{seed}-{index}" for index in range(count)]
        self.sensors = ["synthetic"] * count
        self.reads = 0
        self._seed, self._event = seed, event

    def read(self, index: int) -> RgbdSample:
        if self._event is not None and self.reads == self._event[0]:
            self._event[1]()
        self.reads += 1
        rng = np.random.default_rng((self._seed, index))
        label = np.kron(rng.integers(0, 4, (4, 4)), np.ones((10, 10), int)).astype(np.uint8)
        noise = rng.integers(0, 20, (2, SIDE, SIDE, 3), np.uint8)
        levels = np.array([[20, 90, 160, 230], [230, 20, 160, 90]], np.uint8)
        rgb, hha = levels[:, label][..., None] + noise
        label[rng.random(label.shape) < 0.3 * (index % 4)] = 255
        return RgbdSample(rgb=rgb, label=label, hha=hha, sensor="synthetic", name=self.names[index])


@dataclass(kw_only=True)
class SquaresData:
    """The `data` section of `Squares`.

    Attributes:
        train: frames to train on.
        val: frames to validate on.
        events: by split, a read and what happens before it.
        opened: the data sets that were opened, by split.
    """

    train: int = 10
    val: int = 5
    events: dict[str, tuple[int, Event]] = field(default_factory=dict, init=False, compare=False)
    opened: dict[str, Squares] = field(default_factory=dict, init=False, compare=False)

    @classmethod
    def at(cls, split: Split, read: int, event: Event) -> SquaresData:
        """The data, with an event at a read of a split."""
        data = cls()
        data.events[split] = (read, event)
        return data

    def open(self, split: Split) -> RgbdSegmentationDataset:
        count, seed = {"train": (self.train, 1), "val": (self.val, 2)}[split]  # "test" is not read
        self.opened[split] = Squares(count, seed, self.events.get(split))
        return self.opened[split]


def terminate() -> None:
    """Ask this process to stop, as a scheduler does."""
    os.kill(os.getpid(), signal.SIGTERM)


def damaged() -> None:
    """What a damaged file does to a read."""
    raise ValueError("label/3.png is cut short")


def tiny_config(
    data: SquaresData | None = None, model: Mapping[str, Any] | None = None, **train: Any
) -> Config:
    """A training of 20 iterations; `model` are fields of FAFNetConfig, `train` of TrainConfig."""
    changes = {"width_multiplier": 1 / 16, "decoder_channels": 8, **(model or {})}
    settings: dict[str, Any] = {
        "iterations": 20,
        "batch_size": 4,
        "schedule": ScheduleConfig(rate=0.05),
        "validate_every": 10,
        "save_every": 5,
        "log_every": 4,
        "pictures": 2,
        "workers": 0,
        "threads": 1,
        **train,
    }
    return Config(
        data=data or SquaresData(),
        model=ModelConfig(changes=changes),
        transform=TransformConfig(crop=(33, 33), scale=(0.8, 1.2)),
        train=TrainConfig(**settings),
        evaluate=EvaluateConfig(workers=0),
    )


def state(out: Path, iteration: int) -> Path:
    """Where the state after so many iterations is."""
    return out / f"states/{iteration:08d}.safetensors"


def tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file."""
    with safe_open(path, framework="pt") as file:
        # Copies: what safetensors gives changes with the file.
        return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118


def numbers(path: Path) -> dict[str, Any]:
    """What a training state holds beside its tensors, without the versions it was made by."""
    with safe_open(path, framework="pt") as file:
        values: dict[str, Any] = json.loads(file.metadata()["values"])
    del values["notes"]
    return values


def largest_difference(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> float:
    """The largest absolute difference of any value; the names have to be the same."""
    assert first.keys() == second.keys()
    return max(float((first[name].double() - second[name].double()).abs().max()) for name in first)


def same_bits(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    """Whether names and all values are equal."""
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def assert_same_training(first: Path, second: Path) -> None:
    """Both have the same state after 20 iterations, bit for bit, and the same networks."""
    assert same_bits(tensors(state(first, 20)), tensors(state(second, 20)))
    assert numbers(state(first, 20)) == numbers(state(second, 20))
    for name in ("last.safetensors", "best.safetensors"):
        assert same_bits(tensors(first / name), tensors(second / name))
        one, other = (read_metadata(out / name).notes for out in (first, second))
        assert {**one, "versions": None} == {**other, "versions": None}
