"""Folders of image files: your own, and those made for other projects (docs/datasets.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fafnet_core.datasets.folder_frames import FolderFrames, FrameFiles
from fafnet_core.datasets.frame_cameras import read_open3d_camera
from fafnet_core.datasets.frames import CAMERA_FILE, CameraFile, images_of, read_camera_file
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
from fafnet_core.settings import FieldError, check_fields


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
        depth_unit_m: metres of one depth count; None: what the camera's file says, else 0.001.
        camera: of all colour images; None: `camera.yaml` in the folder, or the file that Open3D's
            recorders leave there, or the data set's own.
        train: list of the frames to train on; empty: every labelled frame that no other list names.
        val: list of the frames to validate on; empty: a fraction of the training frames.
        test: list of the frames to test on; empty: there are none.
        by_split: the folders are in `train/` and `test/` (the names of the lists without suffix;
            `val/` where `val` is given), and lists are not needed.

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
    camera: CameraFile | None = None
    train: str = "train.txt"
    val: str = ""
    test: str = "test.txt"
    by_split: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.hha and not self.depth:
            raise ValueError("hha and depth are both empty; wanted the folder of one of them")
        if self.by_split and not self.train:
            raise FieldError("train", "train is empty; by_split wants the name of a folder")

    @property
    def _labels(self) -> tuple[str, ...]:
        return (self.label,) if isinstance(self.label, str) else self.label

    def missing(self, root: Path) -> list[str]:
        """Return the files and folders of the layout that `root` lacks."""
        absent = []
        lists = [name for name in (self.train, self.val, self.test) if name]
        for place in [Path(name).stem for name in lists] if self.by_split else ["."]:
            there = _folders(root / place)
            needed = [(self.rgb,), (self.hha or self.depth,), self._labels]
            absent += [
                " or ".join(f"{(Path(place) / name).as_posix()}/" for name in names)
                for names in needed
                if not there.intersection(names)
            ]
        if not self.by_split:
            absent += [name for name in lists if not (root / name).is_file()]
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
        frames = self._frames(root)
        chosen = self._chosen(split, frames, root, options.validation)
        place = self._place(root, split)
        every_name = {frame.name for listed in frames.values() for frame in listed}
        notices = (
            unlisted_notice(place / self.rgb, images_of(place / self.rgb), every_name),
            _official_notice(specification, root, len(frames["train"]), len(frames["test"])),
        )
        return FolderFrames(
            self._files(place, chosen, every_name, options.hha),
            specification,
            options,
            first_label=self.first_label,
            depth_unit_m=self.depth_unit_m,
            camera=self._camera(root),
            notices=[notice for notice in notices if notice is not None],
        )

    def _frames(self, root: Path) -> dict[Split, list[Listed]]:
        """Return the frames of each split as the lists have them; "val" may have none."""
        train, val, test = (
            self._list(root, name) if name else [] for name in (self.train, self.val, self.test)
        )
        if not self.train:
            listed = {frame.name for frame in (*val, *test)}
            folder = root / self._label_folder(root)
            train = [Listed(name, str(folder)) for name in images_of(folder) if name not in listed]
            if not train:
                raise ValueError(f"{folder} has no image that no list names; train on which?")
        check_no_overlap(train, test)
        check_no_overlap(train, val, "validation")
        check_no_overlap(val, test, "test", "validation")
        return {"train": train, "val": val, "test": test}

    def _chosen(
        self, split: Split, frames: Mapping[Split, list[Listed]], root: Path, validation: float
    ) -> list[Listed]:
        """Return the frames of one split."""
        if split == "test" and not self.test:
            raise ValueError(
                f"{root} has no test frames (layout.test is empty): name a list of them, or"
                " evaluate on the validation split"
            )
        if split == "val" and self.val:
            return frames["val"]
        train = frames["train"]
        return choose_frames(
            split,
            train,
            frames["test"],
            groups=runs_of_numbers([frame.name for frame in train]),
            validation=0 if self.val else validation,
        )

    def _place(self, root: Path, split: Split) -> Path:
        """Return the folder that the folders of a split are in."""
        if not self.by_split:
            return root
        names = {"train": self.train, "val": self.val or self.train, "test": self.test}
        return root / Path(names[split]).stem

    def _camera(self, root: Path) -> CameraFile | None:
        if self.camera is not None:
            return self.camera
        camera_file = root / CAMERA_FILE
        return read_camera_file(camera_file) if camera_file.is_file() else read_open3d_camera(root)

    def _label_folder(self, root: Path) -> str:
        there = _folders(root)
        return next(name for name in self._labels if name in there)

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
        label = self._label_folder(root)
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
