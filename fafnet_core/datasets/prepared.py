"""Folders that `fafnet prepare` made: ready HHA, metric depth, labels and cameras, quick to read.

The layout is described in `fafnet_core.datasets.prepare.layout` and docs/datasets.md.
"""

from __future__ import annotations

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
    list_file,
    picture_path,
    read_list,
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
        self, root: str | Path, split: Split, validation: float = 0.1, *, depth: bool = True
    ) -> None:
        self._root = Path(root)
        self._depth = depth
        self.manifest = read_manifest(self._root)
        self.label_set: LabelSet = self.manifest.label_set
        train, test = (_listed(self._root, self.manifest, name) for name in ("train", "test"))
        self._records = choose_frames(
            split, train, test, groups=_groups(train), validation=validation
        )
        check_images(
            [[Path(picture_path(self._root, kind, record.name)) for kind in record.files]
             for record in self._records],
            remedy="run the `fafnet prepare` that made the folder again, it makes them anew",
        )  # fmt: skip
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
            camera=record.camera,
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
            raise ValueError(
                f"{path} {what.format(name_some(strange))}: run `fafnet prepare` again, it writes"
                " the list anew"
            )
    return [records[name] for name in names]


def _groups(records: Sequence[FrameRecord]) -> Sequence[Hashable]:
    """What validation must not part: scenes, or frames that were recorded one after another."""
    if all(record.scene for record in records):
        return [record.scene for record in records]
    return runs_of_numbers([record.name for record in records])


def _sized(picture: NDArray[Any], record: FrameRecord, path: Path) -> NDArray[Any]:
    if picture.shape[:2] != record.size:
        height, width = record.size
        raise ValueError(
            f"{path} is {describe(picture)}, the manifest says {width}x{height}: the pictures of a"
            " prepared folder are not to be resized"
        )
    return picture


def _missing(root: Path) -> list[str]:
    return [] if is_prepared(root) else [MANIFEST_FILE]


PREPARED = FixedLayout("prepared", "written by fafnet prepare", _missing, PreparedFolder)
"""The layout of any data set that was prepared."""
