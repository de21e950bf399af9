"""Folders that `fafnet prepare` made: ready HHA, metric depth, labels and cameras, quick to read.

docs/datasets.md describes the layout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fafnet_core.datasets.checks import name_some
from fafnet_core.datasets.frames import read_depth, read_rgb
from fafnet_core.datasets.images import check_images, describe
from fafnet_core.datasets.label_images import read_label_counts, to_class_ids
from fafnet_core.datasets.prepare.journal import is_prepared, read_manifest
from fafnet_core.datasets.prepare.layout import (
    DEPTH,
    HHA,
    LABELS,
    MANIFEST_FILE,
    MISSING,
    RGB,
)
from fafnet_core.datasets.prepare.records import FrameRecord, Manifest
from fafnet_core.datasets.specification import FixedLayout
from fafnet_core.datasets.splits import choose_frames, runs_of_numbers
from fafnet_core.labels import LabelSet
from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset, Split


class PreparedFolder(RgbdSegmentationDataset):
    """A split of a folder that `fafnet prepare` made.

    Args:
        root: the folder.
        split: "train", "val" or "test".
        validation: fraction of the official training split that becomes "val"; scenes stay whole
            where they are known.

    Attributes:
        scenes: the scene of each frame, "" where not known.
        manifest: what the folder holds, and what it was made from.

    Raises:
        FileNotFoundError: no folder, no manifest, no list, or a picture that is not there.
        ValueError: a list that does not fit the manifest, pictures of different sizes, a damaged
            manifest, or one of another version.
    """

    def __init__(self, root: str | Path, split: Split, validation: float = 0.1) -> None:
        self._root = Path(root)
        self.manifest = read_manifest(self._root)
        self.label_set: LabelSet = self.manifest.label_set
        train, test = (_listed(self._root, self.manifest, name) for name in ("train", "test"))
        self._records = choose_frames(
            split, train, test, groups=_groups(train), validation=validation
        )
        check_images(
            [list(record.paths(self._root).values()) for record in self._records],
            remedy="run the `fafnet prepare` that made the folder again, it makes them anew",
        )
        self.names = [record.name for record in self._records]
        self.sensors = [record.sensor for record in self._records]
        self.scenes = [record.scene for record in self._records]

    def read(self, index: int) -> RgbdSample:
        """Read one frame; see `RgbdSegmentationDataset.read`."""
        record = self._records[index]
        paths = record.paths(self._root)
        missing: NDArray[np.bool_] | None = None
        if MISSING in paths:
            missing = _sized(read_label_counts(paths[MISSING]), record, paths[MISSING]) > 0
        counts = _sized(read_label_counts(paths[LABELS]), record, paths[LABELS])
        return RgbdSample(
            rgb=_sized(read_rgb(paths[RGB]), record, paths[RGB]),
            label=to_class_ids(counts, self.label_set, 0, paths[LABELS]),
            depth_m=_sized(read_depth(paths[DEPTH]), record, paths[DEPTH]),
            missing=missing,
            camera=record.camera,
            hha=_sized(read_rgb(paths[HHA]), record, paths[HHA]),
            gravity=None if record.gravity is None else np.array(record.gravity, np.float64),
            sensor=record.sensor,
            name=record.name,
        )


def _listed(root: Path, manifest: Manifest, split: str) -> list[FrameRecord]:
    """Return the records of a split; its list has to name each of them once, and no others."""
    path = root / f"{split}.txt"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: run `fafnet prepare` again, it writes it")
    records = manifest.of_split(split)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    names = Counter(name for line in lines if (name := line.strip()))
    names.subtract(record.name for record in records)
    if differing := [name for name, count in names.items() if count]:
        raise ValueError(
            f"{path} and {MANIFEST_FILE} differ in {name_some(differing)}: run `fafnet prepare`"
            " again, it writes the list"
        )
    return records


def _groups(records: Sequence[FrameRecord]) -> Sequence[Hashable]:
    """Return the groups that validation keeps whole: scenes, or runs of numbers."""
    if all(record.scene for record in records):
        return [record.scene for record in records]
    return runs_of_numbers([record.name for record in records])


def _sized(picture: NDArray[Any], record: FrameRecord, path: Path) -> NDArray[Any]:
    if picture.shape[:2] != record.size:
        height, width = record.size
        raise ValueError(
            f"{path} is {describe(picture)}, but the manifest says {width}x{height}: pictures of a"
            " prepared folder must not be resized"
        )
    return picture


def _missing(root: Path) -> list[str]:
    return [] if is_prepared(root) else [MANIFEST_FILE]


PREPARED = FixedLayout("prepared", "written by fafnet prepare", _missing, PreparedFolder)
"""The layout of any data set that was prepared."""
