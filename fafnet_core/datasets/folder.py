"""Folders of image files: your own, and those made for other projects (docs/datasets.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fafnet_core.datasets.folder_frames import FolderFrames, FrameFiles
from fafnet_core.datasets.frames import CAMERA_FILE, images_of, read_camera_file
from fafnet_core.datasets.image_lists import (
    Listed,
    check_list_fits,
    check_no_overlap,
    read_image_list,
    unlisted_notice,
)
from fafnet_core.datasets.specification import (
    DataSetSpecification,
    FirstLabel,
    HhaSource,
    ReadingOptions,
)
from fafnet_core.datasets.splits import choose_frames, runs_of_numbers
from fafnet_core.samples import Split
from fafnet_core.settings import check_fields

_LISTS = ("train.txt", "test.txt")


@dataclass(frozen=True, kw_only=True)
class FolderLayout:
    """Where a folder keeps its images, and what their numbers mean.

    Attributes:
        name: what a configuration calls it.
        description: what people call it.
        rgb: folder of the colour images.
        label: folder of the labels; several names are alternatives.
        first_label: see `FirstLabel`.
        hha: folder of ready HHA; empty: there is none.
        depth: folder of the depth, 16-bit images or `.npy` in metres; optional beside ready HHA.
        raw_depth: folder of the depth before in-painting; optional.
        depth_unit_m: metres of one depth count; None: what `camera.yaml` says, else 0.001.
        by_split: the folders are in `train/` and `test/`, and lists are not needed.

    Raises:
        ValueError: a field has a value that is not allowed, or neither HHA nor depth is given.
    """

    name: str = "own"
    description: str = "as configured"
    rgb: str = "rgb"
    label: str | tuple[str, ...] = "labels"
    first_label: FirstLabel = 0
    hha: str = ""
    depth: str = "depth"
    raw_depth: str = ""
    depth_unit_m: Annotated[float, "0 < x"] | None = None
    by_split: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.hha and not self.depth:
            raise ValueError("hha and depth are both empty; wanted the folder of one of them")

    @property
    def _labels(self) -> tuple[str, ...]:
        return (self.label,) if isinstance(self.label, str) else self.label

    def missing(self, root: Path) -> list[str]:
        """Return the files and folders of the layout that `root` lacks."""
        absent = []
        for place in ("train", "test") if self.by_split else (".",):
            there = _folders(root / place)
            needed = [(self.rgb,), (self.hha or self.depth,), self._labels]
            absent += [
                " or ".join(f"{(Path(place) / name).as_posix()}/" for name in names)
                for names in needed
                if not there.intersection(names)
            ]
        if not self.by_split:
            absent += [name for name in _LISTS if not (root / name).is_file()]
        return absent

    def open(
        self,
        root: Path,
        split: Split,
        specification: DataSetSpecification,
        options: ReadingOptions,
    ) -> FolderFrames:
        """Return a split of such a folder.

        Its frames have ready HHA; or depth, if the layout has no HHA or `options.hha` is "depth".

        Raises:
            FileNotFoundError: a file is not there.
            ValueError: lists and folders do not fit, or see `FolderFrames`.
        """
        train, test = (self._list(root, name) for name in _LISTS)
        check_no_overlap(train, test)
        frames = choose_frames(
            split,
            train,
            test,
            groups=runs_of_numbers([frame.name for frame in train]),
            validation=options.validation,
        )
        place = root / ("test" if split == "test" else "train") if self.by_split else root
        every_name = {frame.name for frame in (*train, *test)}
        notices = (
            unlisted_notice(place / self.rgb, images_of(place / self.rgb), every_name),
            _official_notice(specification, root, len(train), len(test)),
        )
        camera_file = root / CAMERA_FILE
        return FolderFrames(
            self._files(place, frames, every_name, options.hha),
            specification,
            options,
            first_label=self.first_label,
            depth_unit_m=self.depth_unit_m,
            camera=read_camera_file(camera_file) if camera_file.is_file() else None,
            notices=[notice for notice in notices if notice is not None],
        )

    def _list(self, root: Path, name: str) -> list[Listed]:
        if self.by_split and not (root / name).is_file():
            folder = root / Path(name).stem / self.rgb
            return [Listed(image, str(folder)) for image in images_of(folder)]
        return read_image_list(root / name)

    def _files(
        self, root: Path, frames: Sequence[Listed], every_name: set[str], source: HhaSource
    ) -> list[FrameFiles]:
        """Return the files of each frame, once they are known to be there."""
        there = _folders(root)
        label = next(name for name in self._labels if name in there)
        ready = self.hha and source == "ready"
        if not ready:
            self._check_has_depth(root, there)
        used = (self.hha,) if ready else (self.depth, self.raw_depth)
        images = {
            name: images_of(root / name)
            for name in (self.rgb, label, *used)
            if name and name in there
        }
        needed = (self.rgb, label, used[0])
        check_list_fits(frames, every_name, {root / name: images[name] for name in needed})
        hha = images.get(self.hha, {})
        depth, raw_depth = images.get(self.depth, {}), images.get(self.raw_depth, {})
        return [
            FrameFiles(
                frame.name,
                rgb=images[self.rgb][frame.name],
                label=images[label][frame.name],
                hha=hha.get(frame.name),
                depth=depth.get(frame.name),
                raw_depth=raw_depth.get(frame.name),
            )
            for frame in frames
        ]

    def _check_has_depth(self, root: Path, there: set[str]) -> None:
        if not self.depth:
            raise ValueError(
                f"{root}: the layout '{self.name}' has no depth to make HHA of; leave hha: depth"
                " out"
            )
        if self.depth not in there:
            raise FileNotFoundError(
                f"{root} has no {self.depth}/: hha: depth makes HHA of the metric depth there, .npy"
                " in metres or 16-bit images in millimetres; leave it out to read the ready HHA"
            )


def published_layouts(classes: int) -> tuple[FolderLayout, ...]:
    """Return the layouts of other projects' folders, those that are easier to tell first."""
    label = ("Label", "Labels", "labels")
    return (
        FolderLayout(
            name="sa-gate", description="made for SA-Gate, CMX", rgb="RGB", label=label,
            first_label=1, hha="HHA", depth="Depth",
        ),
        FolderLayout(
            name="dformer", description="made for DFormer", rgb="RGB", label=label, first_label=1,
            depth="Depth",
        ),
        FolderLayout(
            name="esanet", description="made for ESANet", label=f"labels_{classes}", first_label=1,
            raw_depth="depth_raw", by_split=True,
        ),
        FolderLayout(
            name="fafnet", description="made for FAFNet's release", label="label", hha="hha",
            depth="",
        ),
    )  # fmt: skip


def _official_notice(
    specification: DataSetSpecification, root: Path, train: int, test: int
) -> str | None:
    """Return a notice that the lists do not have the official numbers of frames, or None."""
    official = specification.frames
    if official is None or official == (train, test):
        return None
    return (
        f"{root} lists {train} frames to train and {test} to test; the official split of"
        f" {specification.name} has {official[0]} and {official[1]}"
    )


def _folders(root: Path) -> set[str]:
    """Return the names of the folders in `root`, upper and lower case as on disk."""
    # Not is_dir() on a wanted name: some file systems take RGB/ for rgb/.
    return {path.name for path in root.iterdir() if path.is_dir()} if root.is_dir() else set()
