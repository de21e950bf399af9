"""One frame: from a sample to the files of a prepared folder."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.datasets.prepare.layout import (
    DEPTH,
    HHA,
    LABELS,
    MISSING,
    RGB,
    OfficialSplit,
    picture_path,
    write_file,
)
from fafnet_core.datasets.prepare.records import FrameRecord
from fafnet_core.hha import HHAEncoder
from fafnet_core.labels import UNLABELLED, LabelSet
from fafnet_core.samples import RgbdSample

_CAMERAS_KEPT = 4
"""Encoders kept for the next frames: neighbours in a data set have few different cameras."""

_MOST_MILLIMETRES = np.iinfo(np.uint16).max - 1
"""The largest depth: 65535 means "none" to readers of 16-bit depth."""


@dataclass(frozen=True)
class EncodedFrame:
    """A frame's files in memory, and the seconds that HHA and PNG took."""

    sample: RgbdSample
    camera: Camera
    pictures: Mapping[str, bytes]
    hha_seconds: float
    png_seconds: float


class FrameEncoder:
    """Makes the pictures of frames; keeps the HHA tables of the last few cameras.

    Args:
        label_set: the classes that labels may hold.
    """

    def __init__(self, label_set: LabelSet) -> None:
        self._label_set = label_set
        self._encoders = lru_cache(maxsize=_CAMERAS_KEPT)(HHAEncoder)

    def encode(self, sample: RgbdSample) -> EncodedFrame:
        """Return the files of a sample; HHA is its own, else made from its unrounded depth.

        Raises:
            ValueError: no metric depth or camera, arrays that do not fit, an unknown class id.
        """
        depth_m, camera = _check_sample(sample, self._label_set)
        begun = time.perf_counter()
        hha = sample.hha
        if hha is None:
            encoder = self._encoders(camera)
            hha = encoder.encode(depth_m, missing=sample.missing, gravity=sample.gravity)
        made = time.perf_counter()
        arrays: dict[str, NDArray[Any]] = {
            RGB: sample.rgb[..., ::-1],  # OpenCV takes blue, green, red
            DEPTH: to_millimetres(depth_m),
            HHA: hha[..., ::-1],
            LABELS: sample.label,
        }
        if sample.missing is not None:
            arrays[MISSING] = np.where(sample.missing, np.uint8(255), np.uint8(0))
        pictures = {kind: _encode_png(array) for kind, array in arrays.items()}
        return EncodedFrame(sample, camera, pictures, made - begun, time.perf_counter() - made)


def write_frame(
    root: Path, frame: EncodedFrame, *, name: str, split: OfficialSplit, sensor: str, scene: str
) -> FrameRecord:
    """Write a frame's files and return its record.

    Raises:
        OSError: a file cannot be written (a full disk); then none of the frame's files is left.
    """
    paths = {kind: picture_path(root, kind, name) for kind in frame.pictures}
    try:
        for kind, content in frame.pictures.items():
            write_file(paths[kind], content)
    except OSError:
        for path in paths.values():
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise
    gravity = frame.sample.gravity
    return FrameRecord(
        name=name,
        split=split,
        sensor=sensor,
        scene=scene,
        size=frame.sample.size,
        camera_matrix=frame.camera.matrix.tolist(),
        gravity=None if gravity is None else tuple(gravity.tolist()),
        files={kind: len(content) for kind, content in frame.pictures.items()},
    )


def to_millimetres(depth_m: NDArray[np.floating[Any]]) -> NDArray[np.uint16]:
    """Round metres (H, W) to millimetres; zero, negative, NaN and infinite become 0: none.

    Raises:
        ValueError: depth that 16 bits cannot hold; most often it is not in metres.
    """
    valid = np.isfinite(depth_m) & (depth_m > 0)
    millimetres = np.rint(np.where(valid, depth_m, 0) * 1000.0)
    if (most := millimetres.max()) > _MOST_MILLIMETRES:
        raise ValueError(
            f"its depth goes up to {most / 1000:.6g} m; 16 bits hold up to"
            f" {_MOST_MILLIMETRES / 1000} m. Give depth in metres"
        )
    counts: NDArray[np.uint16] = millimetres.astype(np.uint16)
    return counts


def _encode_png(array: NDArray[Any]) -> bytes:
    # OpenCV's default (level 1, run lengths) is the quickest to write and to read: for NYUv2's
    # colour 12 and 7 ms a picture, against 20 and 9 ms with zlib's level 1, and 82 and 9 ms with
    # level 6, which saves 17 % of the space. HHA and depth behave alike.
    encoded, content = cv2.imencode(".png", np.ascontiguousarray(array))
    if not encoded:
        raise ValueError(f"OpenCV cannot encode a picture of {array.dtype} {array.shape}")
    return content.tobytes()


def _check_sample(
    sample: RgbdSample, label_set: LabelSet
) -> tuple[NDArray[np.floating[Any]], Camera]:
    """Check a sample of any data set; return its depth and camera."""
    if sample.depth_m is None or sample.camera is None:
        raise ValueError("it has no metric depth with a camera; wanted both, HHA is made of them")
    size = sample.size
    for what, array, shape in (
        ("colour", sample.rgb, (*size, 3)),
        ("depth", sample.depth_m, size),
        ("missing", sample.missing, size),
        ("HHA", sample.hha, (*size, 3)),
    ):
        if array is not None and array.shape != shape:
            raise ValueError(f"its {what} has shape {array.shape}, its label {size}")
    for what, given in (("colour", sample.rgb), ("label", sample.label), ("HHA", sample.hha)):
        if given is not None and given.dtype != np.uint8:
            raise ValueError(f"its {what} is {given.dtype}; wanted uint8")
    counts = np.bincount(sample.label.ravel(), minlength=256)
    unknown = [int(i) for i in np.flatnonzero(counts) if len(label_set) <= i != UNLABELLED]
    if unknown:
        raise ValueError(
            f"its label holds {unknown}; {label_set.name} has classes 0 to {len(label_set) - 1},"
            f" and {UNLABELLED} for unlabelled"
        )
    return sample.depth_m, sample.camera
