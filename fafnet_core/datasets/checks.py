"""Common faults of data sets, looked for when one is opened: in a few frames, or in all.

Label numbers are checked in `label_images`, for every frame that is read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset

_SAMPLED = 7
_READING_ERRORS = (ValueError, OSError, cv2.error)
_NAMED = 4
_FAULTS = 20
"""Frames whose faults are said, each on a line of its own."""

_STRIDE = 4
_FARTHEST_LEVEL = 31  # disparity of 10 m; beyond is noise, or a hole that JPEG blurred
_MARGIN = 10  # levels at both ends of a channel that clipping and JPEG change
_FEWEST_PIXELS = 200
_FITS = 3.0  # levels
_TIMES_BETTER = 3.0
_SUSPICIOUSLY_FAR_MM = 8192  # 13 bits: rotated by three, smaller depths lose no bit to the front


def spread(count: int) -> list[int]:
    """Return the indices of the frames that are checked when a split is opened: at most seven."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, _SAMPLED))})


def name_some(names: Sequence[object]) -> str:
    """Return the first four names as text, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(str(name) for name in names[:_NAMED]) + more


def hha_misfit(hha: NDArray[np.uint8], disparity: int) -> float | None:
    """Return how badly an HHA image fits its own geometry, if `disparity` is its disparity channel.

    Height above ground is -g . p up to a constant for the point p = Z (x - cx, y - cy, f) / f, so
    it is a linear function of Z x, Z y, Z and 1 for any camera and direction of gravity g, and Z is
    310 / disparity. With the wrong channel there is no such function, except in views of one flat
    wall.

    Args:
        hha: (H, W, 3) uint8; height is its middle channel in either order.
        disparity: channel taken as disparity, 0 or 2.

    Returns:
        The median distance from the least-squares fit in levels of the height channel; None where
        too few pixels are away from both ends of their range.
    """
    sampled = hha[::_STRIDE, ::_STRIDE].astype(np.float64)
    height, level = sampled[..., 1], sampled[..., disparity]
    usable = (level >= _FARTHEST_LEVEL) & (level < 255 - _MARGIN)
    usable &= (height > _MARGIN) & (height < 255 - _MARGIN)
    if usable.sum() < _FEWEST_PIXELS:
        return None
    y, x = np.nonzero(usable)
    z = 1 / level[usable]
    terms = np.stack([z * x, z * y, z * max(hha.shape), np.ones_like(z)], axis=1)
    wanted = height[usable]
    solution = np.linalg.lstsq(terms, wanted, rcond=None)[0]
    return float(np.median(np.abs(wanted - terms @ solution)))


def hha_is_swapped(hha: NDArray[np.uint8]) -> bool | None:
    """Tell whether an HHA image has disparity in blue instead of red; None: not known."""
    straight, swapped = hha_misfit(hha, 0), hha_misfit(hha, 2)
    if straight is None or swapped is None or min(straight, swapped) > _FITS:
        return None
    if max(straight, swapped) < _TIMES_BETTER * min(straight, swapped):
        return None
    return swapped < straight


def check_hha_order(images: Sequence[tuple[Path, NDArray[np.uint8]]]) -> None:
    """Refuse HHA images most of which are probably stored with red and blue swapped.

    Raises:
        ValueError: the message names one of them.
    """
    verdicts = [(path, hha_is_swapped(hha)) for path, hha in images]
    swapped = [path for path, verdict in verdicts if verdict]
    straight = [path for path, verdict in verdicts if verdict is False]
    if len(swapped) > len(straight):
        raise ValueError(
            f"{swapped[0]} probably has its HHA channels swapped: height fits the disparity in the"
            f" blue channel, not in the red one (in {len(swapped)} of {len(images)} images that are"
            " checked). Set hha_order: bgr to swap them back, or hha_order: rgb if they are right"
        )


def looks_rotated(counts: NDArray[np.uint16]) -> bool:
    """Tell whether counts that should be millimetres have SUN RGB-D's rotated bits.

    Rotated left by three, a depth under 8.192 m is eight times as large: its lowest bits are zero.
    """
    valid = counts[counts > 0]
    if valid.size < _FEWEST_PIXELS or np.unique(valid).size < 16:
        return False
    round_eights = float(((valid & 7) == 0).mean())
    return round_eights > 0.99 and float(np.median(valid)) > _SUSPICIOUSLY_FAR_MM


def looks_decoded(counts: NDArray[np.uint16]) -> bool:
    """Tell whether counts that should have SUN RGB-D's rotated bits are millimetres already.

    Rotated back once more, most of them would lie beyond 8.192 m.
    """
    valid = counts[counts > 0]
    return valid.size >= _FEWEST_PIXELS and float(((valid & 7) != 0).mean()) > 0.5


def read_some(
    dataset: RgbdSegmentationDataset, indices: Sequence[int], *, every: bool
) -> list[RgbdSample]:
    """Read some frames, and refuse a data set if one of them cannot be used.

    Args:
        dataset: the frames.
        indices: those that are read.
        every: read all frames if one of these cannot be used, so that the error names all such.

    Raises:
        ValueError: the message names the frames, and says what is wrong with each.
        OSError: one frame's file cannot be read.
    """
    samples, errors = [], {}
    for index in indices:
        try:
            samples.append(dataset.read(index))
        except _READING_ERRORS as error:
            errors[dataset.names[index]] = error
    if errors and every:
        check_every_frame(dataset)
    if len(errors) == 1:
        raise next(iter(errors.values()))
    if errors:
        head = (
            f"{len(errors)} of {len(indices)} frames that were read cannot be used (check: all"
            f" reads all {len(dataset)})"
        )
        raise ValueError(_listed(head, {name: str(error) for name, error in errors.items()}))
    return samples


def _listed(head: str, faults: Mapping[str, str]) -> str:
    """Return a line for each fault, below a first one."""
    lines = [f"{head}:", *(f"  {name}: {fault}" for name, fault in faults.items())]
    left = len(faults) - _FAULTS
    return "\n".join([*lines[: _FAULTS + 1], *([f"  and {left} more"] if left > 0 else [])])


def check_every_frame(dataset: RgbdSegmentationDataset) -> list[str]:
    """Read all frames, on all cores, and refuse a data set with frames that cannot be used.

    Returns:
        The names of the classes that no pixel has.

    Raises:
        ValueError: the message names the frames, and says what is wrong with each.
    """

    def read(index: int) -> NDArray[np.int64] | str:
        """Return how many pixels of a frame each class has, or what is wrong with it."""
        try:
            return np.bincount(dataset.read(index).label.ravel(), minlength=256)
        except _READING_ERRORS as error:
            return str(error) or type(error).__name__

    with (
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
        tqdm(total=len(dataset), unit="frame", desc="checking", leave=False, disable=None) as bar,
    ):
        faults: dict[str, str] = {}
        pixels = np.zeros(256, np.int64)
        for name, found in zip(dataset.names, pool.map(read, range(len(dataset))), strict=True):
            if isinstance(found, str):
                faults[name] = found
            else:
                pixels += found
            bar.update()
    if faults:
        raise ValueError(_listed(f"{len(faults)} of {len(dataset)} frames cannot be used", faults))
    return [name for index, name in enumerate(dataset.label_set.names) if not pixels[index]]
