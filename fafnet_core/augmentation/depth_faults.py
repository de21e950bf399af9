"""What goes wrong with depth on a real robot: holes, noise, and a sensor that is not aligned.

All faults happen to metric depth, before HHA is made from it, as on the robot. A sample with ready
HHA only can still be moved and lose depth in places; noise, depth edges and a limit need metres.
HHA that comes with depth is taken to be ours (see `RgbdSample`) and made anew; so folders with HHA
of another encoder give either it or depth, and no training mixes the two.

The noise is that of a structured-light sensor: Khoshelham and Elberink, "Accuracy and Resolution
of Kinect Depth Data for Indoor Mapping Applications", Sensors 12(2), 2012.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.augmentation.config import TransformConfig
from fafnet_core.samples import RgbdSample, SampleError

Image = NDArray[Any]

REFERENCE_WIDTH = 640
"""Strengths in pixels are for images of this width."""

STEPS_PER_DEVIATION = 2.0
"""Disparity comes in steps of twice the deviation of its noise (the same paper)."""

_EDGE = 0.05
"""A depth edge: the inverse depth of three neighbours is bent by more than this part of itself."""

_MASK_GRAIN = 4
"""Holes are made of squares of so many pixels."""

_BLOB_PX = (16, 64)
"""Smallest and largest size of the blobs, pixels at the reference width."""

_MOST_RECTANGLES = 3

_NEED_METRES = {
    "edge_dropout_px": "dropout along depth edges",
    "depth_noise": "noise",
    "depth_limit_m": "a limit of depth",
}


class DepthFaults:
    """Draws strengths and applies the faults of a configuration."""

    def __init__(self, config: TransformConfig) -> None:
        self._config = config
        self._moves = bool(
            config.misalignment_px or config.misalignment_deg or config.misalignment_scale
        )
        self._any = config.fault_probability > 0 and (
            self._moves
            or config.depth_dropout > 0
            or any(getattr(config, field) for field in _NEED_METRES)
        )

    def __call__(self, sample: RgbdSample, rng: np.random.Generator) -> RgbdSample:
        """Holes at edges, then noise, the limit, blobs and rectangles, then misalignment.

        Edges come first: far away, noise makes steps that look like edges. A changed sample has no
        HHA where it can be made again from the depth; an unchanged one is returned as it is.

        Raises:
            SampleError: the sample has no metric depth, and a fault needs it.
        """
        config = self._config
        if not self._any:
            return sample
        # For every sample: the first one tells, not the first one with a fault.
        for field, fault in _NEED_METRES.items():
            if getattr(config, field):
                _metres(sample, fault)
        if rng.random() >= config.fault_probability:
            return sample
        if config.edge_dropout_px:
            sample = drop_depth_edges(sample, rng.uniform(0, config.edge_dropout_px))
        if config.depth_noise:
            sample = add_depth_noise(sample, rng.uniform(0, config.depth_noise), rng)
        if config.depth_limit_m:
            sample = limit_depth(sample, rng.uniform(*config.depth_limit_m))
        if config.depth_dropout:
            sample = drop_depth(sample, rng.uniform(0, config.depth_dropout), rng)
        if self._moves:
            length, direction = rng.uniform(0, config.misalignment_px), rng.uniform(0, 2 * math.pi)
            sample = misalign_depth(
                sample,
                shift_px=(length * math.cos(direction), length * math.sin(direction)),
                turn_deg=rng.uniform(-1, 1) * config.misalignment_deg,
                scale=1 + rng.uniform(-1, 1) * config.misalignment_scale,
            )
        return sample


def add_depth_noise(sample: RgbdSample, deviation_m: float, rng: np.random.Generator) -> RgbdSample:
    """Add noise to disparity and round it, so that the error of depth grows with its square.

    1/Z gets normal noise and is then rounded to steps of twice its deviation, so that Z has a
    deviation of about deviation_m * Z**2. Squares of 2x2 pixels share one value: a sensor matches
    windows, not pixels. Where no disparity is left there is no depth.

    Args:
        sample: with metric depth and a camera matrix.
        deviation_m: of depth at 1 m, in metres; 0.0014 is a Kinect's.
        rng: of the noise.

    Raises:
        SampleError: the sample has ready HHA only.
    """
    depth_m = _metres(sample, _NEED_METRES["depth_noise"])
    if deviation_m <= 0:
        return sample
    height, width = depth_m.shape
    shared = rng.standard_normal(((height + 1) // 2, (width + 1) // 2), np.float32)
    noise: Image = cv2.resize(shared, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    inverse = _inverse(depth_m)
    measured = inverse > 0
    step = STEPS_PER_DEVIATION * deviation_m
    # In steps: the noise's deviation is 1 / STEPS_PER_DEVIATION of one.
    steps = inverse * np.float32(1 / step)
    steps += noise[:height, :width] * np.float32(1 / STEPS_PER_DEVIATION)
    np.rint(steps, out=steps)
    measured &= steps > 0
    noisy = np.divide(np.float32(1 / step), steps, out=np.zeros_like(depth_m), where=measured)
    return replace(sample, depth_m=noisy, hha=None)


def limit_depth(sample: RgbdSample, limit_m: float) -> RgbdSample:
    """Take the depth away beyond `limit_m` metres, where a sensor sees nothing.

    Raises:
        SampleError: the sample has ready HHA only.
    """
    depth_m = _metres(sample, _NEED_METRES["depth_limit_m"])
    return replace(sample, depth_m=np.where(depth_m > limit_m, np.float32(0), depth_m), hha=None)


def drop_all_depth(sample: RgbdSample) -> RgbdSample:
    """Take all depth away, as if the sensor had failed: HHA is `NO_DEPTH` everywhere."""
    return _with_depth(sample, np.zeros_like)


def drop_depth_edges(sample: RgbdSample, width_px: float) -> RgbdSample:
    """Take the depth away along depth edges, where sensors see neither surface.

    Inverse depth is an affine function of the pixel on any plane, however slanted, so it is where
    its second difference is not near 0 that one surface ends and another begins.

    Args:
        sample: with metric depth and a camera matrix.
        width_px: width of the seam, pixels at an image width of 640.

    Raises:
        SampleError: the sample has ready HHA only.
    """
    depth_m = _metres(sample, _NEED_METRES["edge_dropout_px"])
    seam = round(width_px * depth_m.shape[1] / REFERENCE_WIDTH)
    if seam < 1:
        return sample
    inverse = _inverse(depth_m)
    edge = np.zeros(depth_m.shape, np.bool_)
    for along, found in ((inverse, edge), (inverse.T, edge.T)):
        three = along[:-2], along[1:-1], along[2:]
        bend = np.abs(three[0] - 2 * three[1] + three[2])
        measured = np.minimum.reduce(three) > 0
        found[1:-1] |= measured & (bend > _EDGE * np.maximum.reduce(three))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (seam, seam))
    lost = cv2.dilate(edge.view(np.uint8), disc).view(np.bool_)
    return replace(sample, depth_m=np.where(lost, np.float32(0), depth_m), hha=None)


def drop_depth(sample: RgbdSample, share: float, rng: np.random.Generator) -> RgbdSample:
    """Take the depth away in blobs and rectangles.

    Args:
        sample: with metric depth, or with ready HHA, which gets `NO_DEPTH` there.
        share: of the image, 0 to 1.
        rng: decides where.
    """
    lost = _holes(sample.size, share, rng)
    if lost is None:
        return sample

    def without(image: Image) -> Image:
        image = image.copy()
        image[lost] = 0  # no depth, and NO_DEPTH
        return image

    return _with_depth(sample, without)


def misalign_depth(
    sample: RgbdSample,
    *,
    shift_px: tuple[float, float] = (0.0, 0.0),
    turn_deg: float = 0.0,
    scale: float = 1.0,
) -> RgbdSample:
    """Move depth against colour and labels, which stay; what moves in from outside has no depth.

    Each pixel takes the depth that lies under it: none is interpolated.

    Args:
        sample: with metric depth, or with ready HHA, which is then what moves.
        shift_px: to the right and down, pixels at an image width of 640.
        turn_deg: clockwise, about the image's middle.
        scale: about the image's middle.
    """
    height, width = sample.size
    right, down = (shift * width / REFERENCE_WIDTH for shift in shift_px)
    # OpenCV turns the other way round.
    middle = (width - 1) / 2, (height - 1) / 2
    matrix: Image = cv2.getRotationMatrix2D(middle, -turn_deg, scale)
    matrix[:, 2] += (right, down)
    if np.array_equal(matrix, np.eye(2, 3)):
        return sample

    def moved(image: Image) -> Image:
        plain = image.view(np.uint8) if image.dtype == np.bool_ else image
        # Outside is 0: no depth, and NO_DEPTH.
        result: Image = cv2.warpAffine(plain, matrix, (width, height), flags=cv2.INTER_NEAREST)
        return result.view(image.dtype)

    missing = None if sample.missing is None else moved(sample.missing)
    return replace(_with_depth(sample, moved), missing=missing)


def _metres(sample: RgbdSample, fault: str) -> NDArray[np.float32]:
    if sample.depth_m is None or sample.camera is None:
        raise SampleError(
            sample.name,
            f"{fault} needs metric depth and a camera matrix, and this data set has ready HHA only;"
            " leave that fault out, or take a data set with depth (a folder that has metric depth"
            " beside its HHA gives it with data.hha: depth)",
        )
    return sample.depth_m


def _inverse(depth_m: NDArray[np.float32]) -> NDArray[np.float32]:
    """1/Z, and 0 where there is no depth."""
    measured = np.isfinite(depth_m) & (depth_m > 0)
    inverse: NDArray[np.float32] = np.divide(1, depth_m, out=np.zeros_like(depth_m), where=measured)
    return inverse


def _with_depth(sample: RgbdSample, change: Callable[[Image], Image]) -> RgbdSample:
    """Change the depth; the HHA too where it cannot be made again."""
    depth_m, hha = sample.depth_m, sample.hha
    if depth_m is not None:
        depth_m = change(depth_m)
    if depth_m is not None and sample.camera is not None:
        hha = None
    elif hha is not None:
        hha = change(hha)
    return replace(sample, depth_m=depth_m, hha=hha)


def _holes(
    size: tuple[int, int], share: float, rng: np.random.Generator
) -> NDArray[np.bool_] | None:
    """Where the depth is lost, (H, W) bool: the highest parts of a smooth random landscape.

    Rectangles, if there are any, are put on top of it, so that they are lost first.
    """
    height, width = size
    rows, columns = -(-height // _MASK_GRAIN), -(-width // _MASK_GRAIN)
    count = round(share * rows * columns)
    if count < 1:
        return None
    blob = rng.uniform(*_BLOB_PX) * width / REFERENCE_WIDTH
    peaks = max(2, round(height / blob)), max(2, round(width / blob))
    landscape: Image = cv2.resize(
        rng.standard_normal(peaks, np.float32), (columns, rows), interpolation=cv2.INTER_CUBIC
    )
    for _ in range(rng.integers(_MOST_RECTANGLES + 1)):
        # Together they cover no more than the share, however they lie.
        area = rng.uniform(0, share / _MOST_RECTANGLES) * rows * columns
        shape = math.exp(rng.uniform(-1, 1))
        high, wide = min(rows, math.sqrt(area * shape)), min(columns, math.sqrt(area / shape))
        top, left = rng.uniform(0, rows - high), rng.uniform(0, columns - wide)
        landscape[int(top) : int(top + high), int(left) : int(left + wide)] += 100
    order = np.argpartition(landscape, landscape.size - count, axis=None)
    lost = np.zeros(landscape.size, np.uint8)
    lost[order[landscape.size - count :]] = 1
    mask = lost.reshape(rows, columns).repeat(_MASK_GRAIN, 0).repeat(_MASK_GRAIN, 1)
    return mask[:height, :width].view(np.bool_)
