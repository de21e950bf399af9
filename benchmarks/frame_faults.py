"""Faults of a pair of images, planted in frames without faults.

NYU-Depth V2's depth is in-painted: it has no holes. The sensor model of the synthetic rooms makes
them (noise, steps of disparity, grazing angles, range), and blobs are added until the wanted share
of the frame has no depth. Random draws depend on the frame's number alone, so a run over some
frames plants the same faults in them as a run over all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.rooms.sensor import SensorConfig, measure_depth
from fafnet_core.samples import RgbdSample

Change = Callable[[RgbdSample, np.random.Generator], RgbdSample]

_SEED = 20_000
_BLOB = 1 / 12
"""Size of the blobs, in widths of the image."""

_NOISE_ONLY = SensorConfig(dropout=0.0, range_m=(0.0, 1000.0))
_SENSOR = SensorConfig()


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        name: of the fault, in tables.
        change: plants it in a frame that has metric depth and a camera matrix.
    """

    name: str
    change: Change

    def planted(self, sample: RgbdSample, index: int) -> RgbdSample:
        """Return frame `index` with the fault; all faults of one frame have the same draws."""
        return self.change(sample, np.random.default_rng((_SEED, index)))


def unchanged(sample: RgbdSample, rng: np.random.Generator) -> RgbdSample:
    """Return the frame as it is."""
    return sample


def noisy(sample: RgbdSample, rng: np.random.Generator) -> RgbdSample:
    """Return the frame with a Kinect's noise and steps on top of its depth, without holes."""
    return _with_depth(sample, _measured(sample, _NOISE_ONLY, rng))


def without_depth(sample: RgbdSample, rng: np.random.Generator) -> RgbdSample:
    """Return the frame without any depth."""
    assert sample.depth_m is not None
    return _with_depth(sample, np.zeros_like(sample.depth_m))


def black(sample: RgbdSample, rng: np.random.Generator) -> RgbdSample:
    """Return the frame with black colour."""
    return replace(sample, rgb=np.zeros_like(sample.rgb))


@dataclass(frozen=True)
class Holes:
    """Plants the sensor's own loss of depth, and blobs without depth up to a share of the frame.

    Where the sensor alone loses more, no blob is added. The holes of a smaller share are part of
    those of a larger one.

    Attributes:
        share: of the frame's pixels without depth, 0 to 1.
    """

    share: float

    def __call__(self, sample: RgbdSample, rng: np.random.Generator) -> RgbdSample:
        """Return the frame with holes."""
        depth_m = _measured(sample, _SENSOR, rng)
        there = depth_m > 0
        surplus = int(there.sum()) - round((1 - self.share) * there.size)
        if surplus > 0:
            landscape = np.where(there, _landscape(depth_m.shape, rng), -np.inf)
            highest = np.argpartition(landscape, landscape.size - surplus, axis=None)
            depth_m.flat[highest[landscape.size - surplus :]] = 0
        return _with_depth(sample, depth_m)


WHOLE = Fault("as it is", unchanged)
NO_DEPTH = Fault("no depth at all", without_depth)
NO_COLOUR = Fault("colour black", black)
FAULTS = (
    WHOLE,
    Fault("depth: noise only", noisy),
    Fault("depth: holes, 25 %", Holes(0.25)),
    Fault("depth: holes, 50 %", Holes(0.5)),
    NO_DEPTH,
    NO_COLOUR,
)


def _measured(
    sample: RgbdSample, sensor: SensorConfig, rng: np.random.Generator
) -> NDArray[np.float32]:
    assert sample.depth_m is not None
    assert sample.camera is not None
    no_glass = np.zeros_like(sample.depth_m)  # it is not labelled
    return measure_depth(sample.depth_m, no_glass, sensor, sample.camera.fx, rng)


def _landscape(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return smooth random heights (H, W) float32; the highest are blobs."""
    height, width = shape
    size = _BLOB * width
    peaks = (math.ceil(height / size) + 1, math.ceil(width / size) + 1)
    coarse = rng.standard_normal(peaks, np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


def _with_depth(sample: RgbdSample, depth_m: NDArray[np.float32]) -> RgbdSample:
    # Ready HHA and the mask of in-painted pixels belong to the depth before.
    return replace(sample, depth_m=depth_m, hha=None, missing=None)
