"""Frames in plain image files, as prepared folders of any layout have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.datasets.checks import (
    HhaOrder,
    check_hha_order,
    check_one_size,
    looks_rotated,
    spread,
)
from fafnet_core.datasets.frames import CAMERA_FILE, CameraFile, read_depth, read_rgb
from fafnet_core.datasets.image_headers import check_frame_sizes
from fafnet_core.datasets.label_images import FirstLabel, describe, read_label_counts, to_class_ids
from fafnet_core.datasets.nyuv2 import camera_matrix, cropped_camera_matrix
from fafnet_core.datasets.samples import RgbdSample, RgbdSegmentationDataset
from fafnet_core.labels import NYU40, UNLABELLED, LabelSet


@dataclass(frozen=True)
class FrameFiles:
    """The files of one frame; it has either ready HHA or depth.

    Not both: where faults befall the depth in training, HHA is made from it, and that of another
    encoder beside it would be of another kind.
    """

    name: str
    rgb: Path
    label: Path
    hha: Path | None = None
    depth: Path | None = None
    raw_depth: Path | None = None

    @property
    def images(self) -> list[Path]:
        """All of them, the colour image first."""
        others = (self.label, self.hha, self.depth, self.raw_depth)
        return [self.rgb, *(path for path in others if path is not None)]


@dataclass(frozen=True)
class FolderConventions:
    """How to read a folder's files.

    Attributes:
        label_set: the classes of its labels.
        first_label: value of the first class in its label images: 1 (0 = unlabelled) or 0 (255 =
            unlabelled).
        first_label_is_sure: the user said so; otherwise the labels are looked at.
        hha_order: see `fafnet_core.datasets.checks.HhaOrder`.
        camera: the folder's camera file; None: the data set's own camera, where it has one.
    """

    label_set: LabelSet
    first_label: FirstLabel
    first_label_is_sure: bool = False
    hha_order: HhaOrder = "check"
    camera: CameraFile | None = None


class FolderFrames(RgbdSegmentationDataset):
    """Labelled frames in image files.

    Args:
        files: the files of each frame.
        conventions: how to read them.
        notices: see `RgbdSegmentationDataset`.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: what a few frames hold contradicts the conventions, or is not usable; the
            message names the file.
    """

    def __init__(
        self,
        files: Sequence[FrameFiles],
        conventions: FolderConventions,
        *,
        notices: Sequence[str] = (),
    ) -> None:
        self._files = list(files)
        self._conventions = conventions
        self.notices = list(notices)
        self.label_set = conventions.label_set
        self.names = [frame.name for frame in self._files]
        self.sensors = ["kv1" if self.label_set == NYU40 else ""] * len(self._files)
        check_frame_sizes([frame.images for frame in self._files])
        sampled = [self._files[i] for i in spread(len(self._files))]
        self._check_depth([frame for frame in sampled if frame.hha is None])
        for index in spread(len(self._files)):
            self.read(index)
        self._check_unlabelled(sampled)
        if conventions.hha_order == "check":
            check_hha_order([(f.hha, read_rgb(f.hha)) for f in sampled if f.hha is not None])

    def read(self, index: int) -> RgbdSample:
        """Read one frame; see `RgbdSegmentationDataset.read`."""
        files, conventions = self._files[index], self._conventions
        rgb = read_rgb(files.rgb)
        stored = read_label_counts(files.label)
        hha = None if files.hha is None else read_rgb(files.hha)
        depth_m, raw_m = self._depth(files.depth), self._depth(files.raw_depth)
        images: list[tuple[Path | None, NDArray[Any] | None]] = [
            (files.rgb, rgb),
            (files.label, stored),
            (files.hha, hha),
            (files.depth, depth_m),
            (files.raw_depth, raw_m),
        ]
        check_one_size([(path, image) for path, image in images if path is not None])
        if hha is not None and conventions.hha_order == "bgr":
            hha = np.ascontiguousarray(hha[..., ::-1])
        return RgbdSample(
            rgb=rgb,
            label=to_class_ids(stored, self.label_set, conventions.first_label, files.label),
            depth_m=depth_m,
            missing=None if raw_m is None else ~(np.isfinite(raw_m) & (raw_m > 0)),
            camera_matrix=None if depth_m is None else self._camera(files, rgb),
            hha=hha,
            sensor=self.sensors[index],
            name=files.name,
        )

    def _depth(self, path: Path | None) -> NDArray[np.float32] | None:
        if path is None:
            return None
        camera = self._conventions.camera
        return read_depth(path, 0.001 if camera is None else camera.depth_unit_m)

    def _camera(self, files: FrameFiles, rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the frame's camera matrix; without ready HHA there has to be one."""
        camera = self._conventions.camera
        if camera is not None:
            camera.check_size(rgb, files.rgb)
            return camera.camera_matrix
        height, width = rgb.shape[:2]
        # Not `is`: in a worker process it is a copy.
        if self.label_set == NYU40:
            for matrix, size in (
                (camera_matrix(), (480, 640)),
                (cropped_camera_matrix(), (427, 561)),
            ):
                if size == (height, width):
                    return matrix
        raise ValueError(
            f"{files.depth} needs a camera matrix to become HHA, and none is known for"
            f" {self.label_set.name} images of {describe(rgb)}: put a {CAMERA_FILE} with fx, fy,"
            " cx, cy (pixels) into the folder if one camera took them all; else take the original"
            " download, which has each frame's"
        )

    def _check_depth(self, frames: Sequence[FrameFiles]) -> None:
        """Refuse depth that is no longer metric, or never was decoded."""
        for frame in frames:
            if frame.depth is None or frame.depth.suffix.lower() == ".npy":
                continue
            counts = _decoded(frame.depth)
            if counts is None:
                continue  # `read` says it
            if counts.dtype == np.uint8:
                raise ValueError(
                    f"{frame.depth} has 8 bits: depth stretched to 0-255 for each image, as folders"
                    " made for DFormer have it. Its metres are gone, so HHA cannot be made of it:"
                    " put ready HHA into a folder HHA/ beside it, or take the original download"
                )
            if counts.dtype == np.uint16 and looks_rotated(counts):
                raise ValueError(
                    f"{frame.depth} probably has the rotated bits of SUN RGB-D's originals: every"
                    " value is a multiple of 8. Millimetres are ((d >> 3) | (d << 13)); take the"
                    " original download, whose loader turns them back"
                )

    def _check_unlabelled(self, frames: Sequence[FrameFiles]) -> None:
        """Refuse labels from 0 none of which is 255: they probably count from 1."""
        if self._conventions.first_label_is_sure or self._conventions.first_label == 1:
            return
        if not any((read_label_counts(frame.label) == UNLABELLED).any() for frame in frames):
            raise ValueError(
                f"no pixel of {len(frames)} label images (the first is {frames[0].label}) is 255 ="
                " unlabelled, as folders of this layout have it. Set first_label: 1 if 0 means"
                " unlabelled and classes count from 1, or first_label: 0 if every pixel is labelled"
            )


def _decoded(path: Path) -> NDArray[Any] | None:
    """Return an image as it is on disk; None where it cannot be read."""
    content = np.frombuffer(path.read_bytes(), np.uint8)
    return cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
