"""One labelled RGB-D frame, and the interface of every data set: what training and evaluation see.

Pixels without depth have one policy everywhere, the node included: depth 0, NaN or infinite means
none, and their HHA is (0, 0, 0) (`fafnet_core.hha.NO_DEPTH`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.hha import HHAEncoder
from fafnet_core.labels import LabelSet

Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class RgbdSample:
    """One labelled frame. It has metric depth with its camera matrix, or ready HHA, or both.

    If it has both, the HHA is what `encode_hha` makes of this depth: transforms that change the
    depth have it made anew, and training must not see two kinds of HHA.

    Attributes:
        rgb: (H, W, 3) uint8.
        label: (H, W) uint8, class ids 0..C-1; 255 is ignored.
        depth_m: (H, W) float32, metres along the optical axis; 0: none. In-painted where the data
            set is.
        missing: (H, W) bool, True where in-painting invented the depth; None: not known.
        camera: of the colour image.
        hha: (H, W, 3) uint8, disparity, height and angle; ready-made by the data set.
        gravity: (3,) float64, the downward direction in the camera's optical frame, where known.
        sensor: what recorded it ("kv1", "kv2", "realsense", "xtion", "synthetic"), or "".
        name: the frame's name in its data set.
    """

    rgb: NDArray[np.uint8]
    label: NDArray[np.uint8]
    depth_m: NDArray[np.float32] | None = None
    missing: NDArray[np.bool_] | None = None
    camera: Camera | None = None
    hha: NDArray[np.uint8] | None = None
    gravity: NDArray[np.float64] | None = None
    sensor: str = ""
    name: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self.label.shape
        return height, width

    def with_hha(self) -> RgbdSample:
        """Return the sample with its HHA; itself where it is there already.

        Raises:
            SampleError: neither HHA nor metric depth with a camera.
        """
        if self.hha is not None:
            return self
        if self.depth_m is None or self.camera is None:
            raise SampleError(
                self.name,
                "neither HHA nor metric depth with a camera; a data set gives one of them",
            )
        encoder = HHAEncoder(self.camera)
        hha = encoder.encode(self.depth_m, missing=self.missing, gravity=self.gravity)
        return replace(self, hha=hha)


class SampleError(ValueError):
    """A sample lacks what is needed of it, or does not fit.

    Attributes:
        name: the sample's name, which the message begins with; may be empty.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.name = name

    def __str__(self) -> str:
        return f"{self.name or 'a sample'}: {self.args[1]}"


class RgbdSegmentationDataset(ABC):
    """Labelled frames of one split, read one at a time; a process that forks or spawns may read it.

    Attributes:
        label_set: the classes of `label`.
        names: the frames' names, in order, known without reading the frames.
        sensors: what recorded each frame, in the same order; "" where not known.
        notices: lines to show to the user who opens the data set.
        layout: the name of its files' layout in a configuration; "" where there is no choice.
    """

    label_set: LabelSet
    names: Sequence[str]
    sensors: Sequence[str]
    notices: Sequence[str] = ()
    layout: str = ""

    @abstractmethod
    def read(self, index: int) -> RgbdSample:
        """Read one frame, 0 <= index < len(self).

        Raises:
            ValueError: the frame's files are damaged; the message names the file.
            OSError: a file is gone or cannot be read.
        """

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> RgbdSample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        return self.read(index % len(self))

    def __iter__(self) -> Iterator[RgbdSample]:
        return (self.read(index) for index in range(len(self)))
