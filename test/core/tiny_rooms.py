"""A data set of small rooms made in memory, for tests of what works on any data set.

It can be made to go wrong: a damaged frame, one that ends the process, one that is large on disk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.labels import NYU40
from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset

SHAPE = (48, 64)
CAMERA_MATRIX = np.array([[52.0, 0, 31.5], [0, 52.0, 23.5], [0, 0, 1]])


class Room(NamedTuple):
    """What is seen in a frame."""

    rgb: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    label: NDArray[np.uint8]
    gravity: NDArray[np.float64]


def seen(number: int) -> Room:
    """The room of frame `number`: a floor, a wall, a corner without label, more or less tilted."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    u, v = (x - 31.5) / 52, (y - 23.5) / 52
    tilt = 0.1 + 0.02 * number
    down = v * np.cos(tilt) + np.sin(tilt)
    ahead = np.cos(tilt) - v * np.sin(tilt)
    inverse = np.maximum(np.maximum(down / 1.3, ahead / 3), 0.1 + 0.1 * u)
    label = np.where(down / 1.3 > ahead / 3, 1, number % 40).astype(np.uint8)
    label[:5, :7] = 255
    colours = np.random.default_rng(number).integers(0, 256, (40, 3), np.uint8)
    return Room(
        colours[np.minimum(label, 39)],
        (1 / inverse).astype(np.float32),
        label,
        np.array([0, np.cos(tilt), np.sin(tilt)]),
    )


@dataclass
class TinyRooms(RgbdSegmentationDataset):
    """Frames of `seen`, named "kv1/0001" and so on; every other one has gravity and a mask.

    Attributes:
        numbers: of the frames.
        damaged: names that cannot be read, with the message.
        deadly: names that end the process which reads them.
        noisy: names whose colours are noise: their PNG is large.
        seconds: how long reading takes.
    """

    numbers: Sequence[int]
    damaged: Mapping[str, str] = field(default_factory=dict)
    deadly: Sequence[str] = ()
    noisy: Sequence[str] = ()
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.label_set = NYU40
        self.names = [f"kv{1 + i % 2}/{i:04d}" for i in self.numbers]
        self.sensors = [f"kv{1 + i % 2}" for i in self.numbers]
        self.scenes = [f"kitchen_{i // 3}" for i in self.numbers]

    def read(self, index: int) -> RgbdSample:
        name, number = self.names[index], self.numbers[index]
        time.sleep(self.seconds)
        if name in self.damaged:
            raise ValueError(self.damaged[name])
        if name in self.deadly:
            os._exit(9)
        frame = seen(number)
        if name in self.noisy:
            noise = np.random.default_rng(number).integers(0, 256, frame.rgb.shape, np.uint8)
            frame = frame._replace(rgb=noise)
        known = number % 2 == 0
        missing = np.zeros(SHAPE, bool)
        missing[10:20, 30 : 40 + number % 5] = True
        return RgbdSample(
            rgb=frame.rgb,
            label=frame.label,
            depth_m=frame.depth_m,
            missing=missing if known else None,
            camera=Camera.from_matrix(CAMERA_MATRIX, SHAPE),
            gravity=frame.gravity if known else None,
            sensor=self.sensors[index],
            name=name,
        )


def tiny_splits(train: int = 6, test: int = 3, **trouble: object) -> dict[str, TinyRooms]:
    """Both official splits, training frames first; trouble as in `TinyRooms`."""
    return {
        "train": TinyRooms(range(train), **trouble),  # type: ignore[arg-type]
        "test": TinyRooms(range(train, train + test), **trouble),  # type: ignore[arg-type]
    }
