"""The frames of NYU-Depth V2 at a fraction of their size: read and reduced once, then kept.

Otherwise every run of the ablation would spend most of its time on decoding large images. A split
is one file, mapped into memory, so that parallel runs share it.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fafnet_core.augmentation import scale_sample
from fafnet_core.datasets.catalogue import NYUv2Data
from fafnet_core.files import written_beside
from fafnet_core.labels import NYU40, LabelSet
from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset, Split


@dataclass(frozen=True, kw_only=True)
class ReducedNYUv2:
    """The `data:` section of reduced frames.

    Attributes:
        root: the data set's folder, in any layout that the package reads.
        reduce: both sides are divided by it.
        cache: folder in which the reduced frames are kept.
    """

    root: str
    reduce: int
    cache: str

    def open(self, split: Split) -> ReducedFrames:
        """Return the frames of a split that `make` has made.

        Raises:
            FileNotFoundError: it has not.
        """
        return ReducedFrames(self._folder(split))

    def make(self, split: Split, jobs: int) -> None:
        """Read and reduce the frames of a split, unless they are there.

        Args:
            split: "train", which is the whole official training split, or "test".
            jobs: threads that do it.

        Raises:
            ValueError: a frame is damaged; the message names it.
            OSError: the data set's folder, or a file of it, is not there.
        """
        folder = self._folder(split)
        if _planes(folder).is_file():
            return
        frames = NYUv2Data(root=self.root, validation=0).open(split)
        for notice in frames.notices:
            tqdm.write(notice, file=sys.stderr)

        def planes(index: int) -> NDArray[np.uint8]:
            # HHA before reducing: normals are best at the full resolution of depth.
            sample = scale_sample(frames.read(index).with_hha(), 1 / self.reduce)
            assert sample.hha is not None
            return np.dstack([sample.rgb, sample.hha, sample.label])

        # The first alone: a data set may open its files with it.
        made = [planes(0)]
        with ThreadPoolExecutor(jobs) as pool:
            others = pool.map(planes, range(1, len(frames)))
            made += tqdm(others, total=len(frames) - 1, desc=f"{split} frames", disable=None)
        with written_beside(_names(folder)) as beside:
            beside.write_text(json.dumps(list(frames.names)), encoding="utf-8")
        # Last: where this file exists, the split is complete.
        with written_beside(_planes(folder)) as beside, beside.open("wb") as file:
            np.save(file, np.stack(made), allow_pickle=False)

    def _folder(self, split: Split) -> Path:
        return Path(self.cache) / f"nyuv2-{split}-{self.reduce}"


def _planes(folder: Path) -> Path:
    return folder / "frames.npy"


def _names(folder: Path) -> Path:
    return folder / "names.json"


class ReducedFrames(RgbdSegmentationDataset):
    """Reduced frames, with ready HHA.

    Args:
        folder: what `ReducedNYUv2.make` wrote.

    Raises:
        FileNotFoundError: the folder has no frames.
    """

    label_set: LabelSet = NYU40

    def __init__(self, folder: Path) -> None:
        # Mapped: all processes share what one has read from disk.
        self._planes = np.load(_planes(folder), mmap_mode="r", allow_pickle=False)
        self.names = json.loads(_names(folder).read_text(encoding="utf-8"))
        self.sensors = [""] * len(self.names)

    def read(self, index: int) -> RgbdSample:
        """Return one frame; see `RgbdSegmentationDataset.read`."""
        planes: NDArray[np.uint8] = np.asarray(self._planes[index])
        return RgbdSample(
            rgb=planes[..., :3].copy(),
            label=planes[..., 6].copy(),
            hha=planes[..., 3:6].copy(),
            name=self.names[index],
        )
