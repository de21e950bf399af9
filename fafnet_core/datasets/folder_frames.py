"""Labelled frames in plain image files, whatever their folders are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.datasets.checks import check_hha_order, looks_rotated, read_some, spread
from fafnet_core.datasets.frames import (
    CAMERA_FILE,
    CameraFile,
    read_depth,
    read_rgb,
    read_stored,
)
from fafnet_core.datasets.images import check_images, check_one_size, describe
from fafnet_core.datasets.label_images import read_label_counts, to_class_ids
from fafnet_core.datasets.specification import DataSetSpecification, FirstLabel, ReadingOptions
from fafnet_core.labels import UNLABELLED
from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset

_NEAREST_M, _FARTHEST_M = 0.05, 40.0
"""Medians of depth images beyond these are of another unit."""


@dataclass(frozen=True)
class FrameFiles:
    """The files of one frame; it has either ready HHA or depth, never both.

    Augmentation that changes the depth has HHA made of it anew. If other frames kept the folder's
    HHA, training would see HHA of two encoders.
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


class FolderFrames(RgbdSegmentationDataset):
    """Labelled frames in image files; `FolderLayout.open` makes them.

    Args:
        files: the files of each frame.
        specification: of their data set.
        options: how to read them; its `first_label`, if set, replaces this one.
        first_label: see `FolderLayout`.
        depth_unit_m: see `FolderLayout`.
        camera: the folder's camera file; None: the data set's own camera, where it has one.
        notices: see `RgbdSegmentationDataset`.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: some of the first frames that are read contradict the layout or cannot be used;
            the message names the file.
    """

    def __init__(
        self,
        files: Sequence[FrameFiles],
        specification: DataSetSpecification,
        options: ReadingOptions,
        *,
        first_label: FirstLabel,
        depth_unit_m: float | None,
        camera: CameraFile | None,
        notices: Sequence[str],
    ) -> None:
        self._files = list(files)
        self._known_cameras = {camera.size: camera for camera in specification.cameras}
        self._camera_file = camera
        if depth_unit_m is None:
            depth_unit_m = 0.001 if camera is None else camera.depth_unit_m
        self._depth_unit_m = depth_unit_m
        self._swapped = options.hha_order == "bgr"
        self._first_label = first_label if options.first_label is None else options.first_label
        self.notices = list(notices)
        self.label_set = specification.label_set
        self.names = [frame.name for frame in self._files]
        self.sensors = [specification.sensor] * len(self._files)
        check_images([frame.images for frame in self._files], remedy="correct list or folder")
        indices = spread(len(self._files))
        sampled = [self._files[index] for index in indices]
        _check_depth([frame.depth for frame in sampled if frame.depth is not None])
        _check_metres([
            (frame.depth, sample.depth_m)
            for frame, sample in zip(
                sampled, read_some(self, indices, every=options.check == "all"), strict=True
            )
            if frame.depth is not None and sample.depth_m is not None
        ])  # fmt: skip
        if self._first_label == 0 and options.first_label is None:
            _check_unlabelled([frame.label for frame in sampled])
        if options.hha_order == "check":
            check_hha_order([(f.hha, read_rgb(f.hha)) for f in sampled if f.hha is not None])

    def read(self, index: int) -> RgbdSample:
        """Read one frame; see `RgbdSegmentationDataset.read`."""
        files = self._files[index]
        rgb = read_rgb(files.rgb)
        stored = read_label_counts(files.label)
        hha = None if files.hha is None else read_rgb(files.hha)
        depth_m, raw_m = self._depth(files.depth), self._depth(files.raw_depth)
        check_one_size([
            (files.rgb, rgb), (files.label, stored), (files.hha, hha), (files.depth, depth_m),
            (files.raw_depth, raw_m),
        ])  # fmt: skip
        if hha is not None and self._swapped:
            hha = np.ascontiguousarray(hha[..., ::-1])
        return RgbdSample(
            rgb=rgb,
            label=to_class_ids(stored, self.label_set, self._first_label, files.label),
            depth_m=depth_m,
            missing=None if raw_m is None else ~(np.isfinite(raw_m) & (raw_m > 0)),
            camera=None if depth_m is None else self._camera(files, rgb),
            hha=hha,
            sensor=self.sensors[index],
            name=files.name,
        )

    def _depth(self, path: Path | None) -> NDArray[np.float32] | None:
        return None if path is None else read_depth(path, self._depth_unit_m)

    def _camera(self, files: FrameFiles, rgb: NDArray[np.uint8]) -> Camera:
        """Return the camera of a frame that has depth."""
        if self._camera_file is not None:
            camera = self._camera_file.camera(rgb, files.rgb)
            if not (0 < camera.cx < camera.width - 1 and 0 < camera.cy < camera.height - 1):
                raise ValueError(
                    f"{files.rgb} is {describe(rgb)}, but its camera has its centre at"
                    f" ({camera.cx:g}, {camera.cy:g}), outside of it: give fx, fy, cx, cy for this"
                    " resolution"
                )
            return camera
        known = self._known_cameras.get((rgb.shape[0], rgb.shape[1]))
        if known is not None:
            return known
        raise ValueError(
            f"{files.depth} needs a camera matrix to become HHA, and none is known for"
            f" {self.label_set.name} images of {describe(rgb)}: put a {CAMERA_FILE} with fx, fy,"
            " cx, cy (pixels) into the folder, or set layout.camera, if one camera took them all;"
            " else take the original download, which has each frame's"
        )


def _check_depth(paths: Sequence[Path]) -> None:
    """Refuse depth that is no longer metric, or never was decoded."""
    for path in paths:
        if path.suffix.lower() == ".npy":
            continue
        try:
            counts = read_stored(path)
        except ValueError:
            continue  # damaged: it is named when its frame is read
        if counts.dtype == np.uint8:
            raise ValueError(
                f"{path} has 8 bits: depth was stretched to 0-255 for each image, as in folders"
                " made for DFormer. Its metres are lost, so HHA cannot be made of it: put ready HHA"
                " into a folder HHA/ beside it, or take the original download"
            )
        if counts.dtype == np.uint16 and looks_rotated(counts):
            raise ValueError(
                f"{path} probably has the rotated bits of SUN RGB-D's originals: every value is a"
                " multiple of 8. Millimetres are ((d >> 3) | (d << 13)); convert it, or take the"
                " original download"
            )


def _check_metres(images: Sequence[tuple[Path, NDArray[np.float32]]]) -> None:
    """Refuse depth that is empty, or that no camera indoors sees: its unit is another."""
    if not images:
        return
    medians = {
        path: float(np.median(depth_m[valid]))
        for path, depth_m in images
        if (valid := np.isfinite(depth_m) & (depth_m > 0)).any()
    }
    if not medians:
        raise ValueError(
            f"no pixel of {len(images)} depth images (the first is {images[0][0]}) has depth; are"
            " they those of this recording?"
        )
    path, middle = sorted(medians.items(), key=lambda item: item[1])[len(medians) // 2]
    if not _NEAREST_M < middle < _FARTHEST_M:
        raise ValueError(
            f"the median depth of {path} is {middle:.3g} m, and those of the {len(medians)} images"
            " that are checked are like it: set layout.depth_unit_m to the metres of one count"
            " (0.001 for millimetres, 0.0002 for 5000 counts a metre); a .npy file is in metres"
        )


def _check_unlabelled(paths: Sequence[Path]) -> None:
    """Refuse labels that should count from 0 if none is 255: they probably count from 1."""
    if not any((read_label_counts(path) == UNLABELLED).any() for path in paths):
        raise ValueError(
            f"no pixel of {len(paths)} label images (the first is {paths[0]}) is 255, which means"
            " unlabelled in this layout. Set first_label: 1 if 0 means unlabelled and classes count"
            " from 1, or first_label: 0 if every pixel is labelled"
        )
