"""Folders that `fafnet prepare` made: ready HHA, metric depth, labels and cameras, quick to read.

The layout is described in `fafnet_core.datasets.prepare.layout` and docs/datasets.md.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fafnet_core.datasets.frames import read_depth, read_rgb
from fafnet_core.datasets.image_headers import image_sizes
from fafnet_core.datasets.label_images import read_label_counts, to_class_ids
from fafnet_core.datasets.prepare.journal import read_manifest
from fafnet_core.datasets.prepare.layout import (
    DEPTH,
    HHA,
    LABELS,
    MISSING,
    RGB,
    list_file,
    picture_path,
    read_list,
)
from fafnet_core.datasets.prepare.records import FrameRecord, Manifest
from fafnet_core.datasets.samples import RgbdSample, RgbdSegmentationDataset
from fafnet_core.datasets.splits import Split, choose_frames, runs_of_numbers
from fafnet_core.labels import LabelSet

_NAMED = 3


class PreparedFolder(RgbdSegmentationDataset):
    """A split of a folder that `fafnet prepare` made.

    Args:
        root: the folder.
        split: "train", "val" or "test".
        validation: fraction of the official training split that becomes "val"; scenes stay whole
            where they are known.
        depth: read depth and the in-painted pixels too; without, a frame is read in half the time,
            and has HHA alone.

    Attributes:
        scenes: the scene of each frame, "" where not known.
        manifest: what the folder holds, and what it was made from.

    Raises:
        FileNotFoundError: no folder, no manifest, no list, or a picture that is not there.
        ValueError: a list that does not fit the manifest, a picture of another size than it says, a
            damaged manifest, or one of another version.
    """

    def __init__(
        self, root: str | Path, split: Split, *, validation: float = 0.1, depth: bool = True
    ) -> None:
        self._root = Path(root)
        self._depth = depth
        self.manifest = read_manifest(self._root)
        self.label_set: LabelSet = self.manifest.label_set
        train, test = (_listed(self._root, self.manifest, name) for name in ("train", "test"))
        self._records = choose_frames(
            split, train, test, groups=_groups(train), validation=validation
        )
        _check_pictures(self._root, self._records)
        _check_sizes(self._root, self._records)
        self.names = [record.name for record in self._records]
        self.sensors = [record.sensor for record in self._records]
        self.scenes = [record.scene for record in self._records]

    def read(self, index: int) -> RgbdSample:
        """Read one frame; see `RgbdSegmentationDataset.read`."""
        record = self._records[index]
        paths = {kind: Path(picture_path(self._root, kind, record.name)) for kind in record.files}
        depth_m: NDArray[np.float32] | None = None
        missing: NDArray[np.bool_] | None = None
        if self._depth:
            depth_m = _sized(read_depth(paths[DEPTH]), record, paths[DEPTH])
            if MISSING in paths:
                mask = read_label_counts(paths[MISSING])
                missing = _sized(mask, record, paths[MISSING]) > 0
        counts = _sized(read_label_counts(paths[LABELS]), record, paths[LABELS])
        return RgbdSample(
            rgb=_sized(read_rgb(paths[RGB]), record, paths[RGB]),
            label=to_class_ids(counts, self.label_set, 0, paths[LABELS]),
            depth_m=depth_m,
            missing=missing,
            camera_matrix=record.matrix,
            hha=_sized(read_rgb(paths[HHA]), record, paths[HHA]),
            gravity=None if record.gravity is None else np.array(record.gravity, np.float64),
            sensor=record.sensor,
            name=record.name,
        )


def _listed(root: Path, manifest: Manifest, split: str) -> list[FrameRecord]:
    """The records of a split; its list has to name these and no others."""
    path = root / list_file(split)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is gone: run `fafnet prepare` again, it writes it anew")
    records = {record.name: record for record in manifest.of_split(split)}
    names = read_list(path)
    for what, strange in (
        (
            "names {}, which its manifest does not have there",
            [n for n in names if n not in records],
        ),
        ("lacks {}, which its manifest has there", sorted(records.keys() - set(names))),
    ):
        if strange:
            more = f" and {len(strange) - _NAMED} more" if len(strange) > _NAMED else ""
            found = ", ".join(strange[:_NAMED]) + more
            raise ValueError(
                f"{path} {what.format(found)}: run `fafnet prepare` again, it writes it anew"
            )
    return [records[name] for name in names]


def _groups(records: Sequence[FrameRecord]) -> Sequence[Hashable]:
    """What validation must not part: scenes, or frames that were recorded one after another."""
    if all(record.scene for record in records):
        return [record.scene for record in records]
    return runs_of_numbers([record.name for record in records])


def _check_pictures(root: Path, records: Sequence[FrameRecord]) -> None:
    """Refuse a split whose pictures are not all there, before training has begun."""
    # By a listing of each folder, so that all that are not there are named at once.
    listings: dict[str, set[str]] = {}
    absent: list[str] = []
    for record in records:
        for kind in record.files:
            path = picture_path(root, kind, record.name)
            folder, _, file = path.rpartition("/")
            if folder not in listings:
                there = Path(folder).is_dir()
                listings[folder] = set(os.listdir(folder)) if there else set()  # noqa: PTH208
            if file not in listings[folder]:
                absent.append(path)
    if absent:
        more = f" and {len(absent) - _NAMED} more" if len(absent) > _NAMED else ""
        raise FileNotFoundError(
            f"not there: {', '.join(absent[:_NAMED])}{more}. Run the `fafnet prepare` that made"
            " the folder again: it makes them anew"
        )


def _check_sizes(root: Path, records: Sequence[FrameRecord]) -> None:
    """Refuse a split whose pictures have other sizes than the manifest says."""
    pictures = [
        (record, Path(picture_path(root, kind, record.name)))
        for record in records
        for kind in record.files
    ]
    sizes = image_sizes([path for _, path in pictures])
    wrong = [
        (record, path, size)
        for (record, path), size in zip(pictures, sizes, strict=True)
        if size not in (None, record.size)
    ]
    if wrong:
        record, path, size = wrong[0]
        assert size is not None
        raise ValueError(
            f"{_resized(path, size, record)} ({len(wrong)} of {len(pictures)} pictures)"
        )


def _resized(path: Path, size: tuple[int, ...], record: FrameRecord) -> str:
    (height, width), (wanted_height, wanted_width) = size, record.size
    return (
        f"{path} is {width}x{height}, the manifest says {wanted_width}x{wanted_height}: the"
        " pictures of a prepared folder are not to be resized"
    )


def _sized(picture: NDArray[Any], record: FrameRecord, path: Path) -> NDArray[Any]:
    if picture.shape[:2] != record.size:
        raise ValueError(_resized(path, picture.shape[:2], record))
    return picture
