"""SUN RGB-D as downloaded: the tree `SUNRGBD/` and the files of its toolbox.

Song, Lichtenberg and Xiao, "SUN RGB-D: A RGB-D Scene Understanding Benchmark Suite", CVPR 2015.
10335 frames of four sensors, 37 classes, 5285 to train and 5050 to test. The labels are those of
`SUNRGBD2Dseg.mat`, whose order is that of `SUNRGBDMeta.mat`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.datasets.checks import looks_decoded, name_some, spread
from fafnet_core.datasets.folder import published_layouts
from fafnet_core.datasets.frames import read_rgb
from fafnet_core.datasets.images import check_images, check_one_size
from fafnet_core.datasets.label_images import to_class_ids
from fafnet_core.datasets.matlab import MatlabFile73, read_matlab5
from fafnet_core.datasets.prepared import PREPARED
from fafnet_core.datasets.specification import DataSetSpecification, FixedLayout
from fafnet_core.datasets.splits import blocks, check_official_split, choose_frames
from fafnet_core.datasets.sun_scene import (
    SunScene,
    camera_from_one,
    gravity_from_rtilt,
    is_camera,
    is_rotation,
    read_counts,
    scene_camera,
)
from fafnet_core.image_files import MOST_PIXELS
from fafnet_core.labels import SUN37
from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset, Split

TREE = "SUNRGBD"
META_FILE = "SUNRGBDMeta.mat"
LABEL_FILE = "SUNRGBD2Dseg.mat"
SPLIT_FILE = "allsplit.mat"

_TOOLBOX_FOLDERS = (
    "SUNRGBDtoolbox/Metadata",
    "SUNRGBDtoolbox/traintestSUNRGBD",
    "Metadata",
    "traintestSUNRGBD",
    ".",
)


def missing_files(root: Path) -> list[str]:
    """Return the files and folders of the download that a folder lacks."""
    absent = [] if (root / TREE).is_dir() else [f"{TREE}/ (the data set's own tree)"]
    absent += [
        f"{name} (of SUNRGBDtoolbox, unpacked beside {TREE}/)"
        for name in (META_FILE, LABEL_FILE, SPLIT_FILE)
        if _toolbox_file(root, name) is None
    ]
    return absent


class SUNRGBD(RgbdSegmentationDataset):
    """The labelled frames of SUN RGB-D, named by their scene folders ("kv2/kinect2data/...").

    Depth is the in-painted `depth_bfx/`, cut at 8 m as the toolbox does; `depth/` says what is
    in-painted. Cameras and gravity (Rtilt) come from SUNRGBDMeta.mat, for a scene without them from
    the scene's own `intrinsics.txt` and `extrinsics/`. Validation keeps the places of SUN3D whole,
    and elsewhere blocks of 20 frames that follow one another.

    Args:
        root: folder that holds `SUNRGBD/` and the toolbox (`SUNRGBDtoolbox/`, or its `Metadata/`
            and `traintestSUNRGBD/`).
        split: "train", "val" or "test".
        validation: fraction of the official training split that becomes "val".

    Attributes:
        scenes: for each frame, the place or the block that validation keeps whole.

    Raises:
        FileNotFoundError: a file or a scene's image is not there.
        ValueError: a file is damaged, or they do not belong together.
    """

    def __init__(self, root: Path, split: Split, validation: float = 0.1) -> None:
        if absent := missing_files(root):
            raise FileNotFoundError(f"{root} lacks {'; '.join(absent)}")
        self.label_set = SUN37
        self._root = root
        meta, label_file, split_file = (
            path
            for name in (META_FILE, LABEL_FILE, SPLIT_FILE)
            if (path := _toolbox_file(root, name)) is not None
        )
        self._labels = MatlabFile73(label_file)
        scenes = _read_meta(meta)
        train, test = _read_splits(split_file, [scene.name for scene in scenes])
        places = {
            i: place
            for part in (train, test)
            for i, place in zip(part, _places([scenes[i].name for i in part]), strict=True)
        }
        chosen = choose_frames(
            split, train, test, groups=[places[i] for i in train], validation=validation
        )
        self._scenes = [scenes[i] for i in chosen]
        self._label_places = chosen
        self.scenes = [places[i] for i in chosen]
        self.names = [scene.name for scene in self._scenes]
        self.sensors = [scene.sensor for scene in self._scenes]
        try:
            self._check_label_count(meta, len(scenes))
            check_images(
                [scene.files(root / TREE / scene.name) for scene in self._scenes],
                remedy="unpack SUNRGBD.zip again",
            )
            for index in spread(len(self._scenes)):
                self._check_bits(self._scenes[index])
                self.read(index)
        finally:
            # Workers that fork would inherit an open handle.
            self._labels.close()

    def read(self, index: int) -> RgbdSample:
        """Read one frame; see `RgbdSegmentationDataset.read`."""
        scene = self._scenes[index]
        folder = self._root / TREE / scene.name
        rgb_path = folder / "image" / scene.rgb_name
        rgb = read_rgb(rgb_path)
        depth_m, missing, depth_path = scene.read_depth(folder)
        source = f"{self._labels.path}, entry {self._label_places[index] + 1} ({scene.name})"
        stored = self._stored_label(index, source)
        check_one_size([(rgb_path, rgb), (depth_path, depth_m), (source, stored)])
        matrix, gravity = scene.camera_matrix, scene.gravity
        if matrix is None or gravity is None:
            own_matrix, own_gravity = scene_camera(folder)
            matrix = own_matrix if matrix is None else matrix
            gravity = own_gravity if gravity is None else gravity
        return RgbdSample(
            rgb=rgb,
            label=to_class_ids(stored, SUN37, 1, source),
            depth_m=depth_m,
            missing=missing,
            camera=Camera.from_matrix(matrix, rgb.shape[:2]),
            gravity=gravity,
            sensor=scene.sensor,
            name=scene.name,
        )

    def _stored_label(self, index: int, source: str) -> NDArray[np.uint8]:
        """Return one label image; the whole file would need about 64 GB."""
        file = self._labels.open()
        try:
            references = file["SUNRGBD2Dseg/seglabel"]
            place = self._label_places[index]
            # (N, 1) as MATLAB writes a 1xN struct array; a row of N where it was saved anew.
            reference = references[place, 0] if references.shape[0] > 1 else references[0, place]
            array = file[reference]
            self._labels.check_stored(array, "a label image")
            if array.ndim != 2 or array.size > MOST_PIXELS:
                raise ValueError(f"its shape is {array.shape}; wanted that of an image")
            stored = array[()]
        except (OSError, KeyError, ValueError) as error:
            raise ValueError(f"{source}: {error}; download it again") from error
        if stored.max(initial=0) > 255 or stored.min(initial=0) < 0:
            raise ValueError(
                f"{source} is {stored.dtype} {stored.shape} with labels up to {stored.max()};"
                f" wanted (width, height) of 0..{len(SUN37)}"
            )
        label: NDArray[np.uint8] = np.ascontiguousarray(stored.T, np.uint8)
        return label

    def _check_label_count(self, meta: Path, scenes: int) -> None:
        file = self._labels.open()
        if "SUNRGBD2Dseg/seglabel" not in file:
            raise ValueError(f"{self._labels.path} has no SUNRGBD2Dseg/seglabel; download it again")
        labels = int(file["SUNRGBD2Dseg/seglabel"].size)
        if labels != scenes:
            raise ValueError(
                f"{self._labels.path} has {labels} label images, but {meta} has {scenes} scenes;"
                " they have the same order and number, so take both from one toolbox"
            )

    def _check_bits(self, scene: SunScene) -> None:
        path = scene.files(self._root / TREE / scene.name)[1]
        if looks_decoded(read_counts(path)):
            raise ValueError(
                f"{path} lacks the rotated depth bits of SUN RGB-D's originals: it was converted to"
                " millimetres already. Take the original download"
            )


def _toolbox_file(root: Path, name: str) -> Path | None:
    """Return the path of a file of the toolbox; None if it is not there."""
    candidates = (root / folder / name for folder in _TOOLBOX_FOLDERS)
    return next((path for path in candidates if path.is_file()), None)


def _scene_name(text: object, source: Path) -> str:
    """Return the scene folder relative to `SUNRGBD/`, without the path on the authors' disk.

    That is "/n/fs/sun3d/data/" in the Meta file and "/data1/" in some lists.
    """
    name = str(text).strip().rstrip("/")
    _, found, scene = name.rpartition(f"{TREE}/")
    if not found or not scene or scene.startswith("/") or ".." in scene.split("/"):
        raise ValueError(f"{source} names {name!r}; wanted a path with {TREE}/ in it")
    return scene


def _read_splits(path: Path, names: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the places in `names` of the official training and test scenes."""
    values = read_matlab5(path, ("alltrain", "alltest"))
    places = {name: place for place, name in enumerate(names)}
    splits = []
    for key in ("alltrain", "alltest"):
        listed = [_scene_name(text, path) for text in np.atleast_1d(values[key])]
        if unknown := [name for name in listed if name not in places]:
            raise ValueError(
                f"{path}: {key} names {len(unknown)} scenes that {META_FILE} lacks:"
                f" {name_some(unknown)}; take both from one toolbox"
            )
        splits.append([places[name] for name in listed])
    train, test = splits
    check_official_split(path, names, train, test)
    return train, test


def _read_meta(path: Path) -> list[SunScene]:
    """Return the scenes in the order of SUNRGBDMeta.mat."""
    records = np.atleast_1d(read_matlab5(path, ("SUNRGBDMeta",))["SUNRGBDMeta"])
    scenes = []
    for number, record in enumerate(records, start=1):
        try:
            scenes.append(_scene_of(record, path))
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"{path}, entry {number}: {error}") from error
    names = [scene.name for scene in scenes]
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise ValueError(f"{path} has scenes twice: {name_some(twice)}")
    return scenes


def _scene_of(record: Any, path: Path) -> SunScene:
    rgb_path, depth_path = str(record.rgbpath).strip(), str(record.depthpath).strip()
    scene = _scene_name(rgb_path.rpartition("/image/")[0], path)
    return SunScene(
        name=scene,
        rgb_name=rgb_path.rpartition("/")[2],
        depth_name=depth_path.rpartition("/")[2],
        camera_matrix=camera_from_one(record.K) if is_camera(record.K) else None,
        gravity=gravity_from_rtilt(record.Rtilt) if is_rotation(record.Rtilt) else None,
    )


def _places(names: Sequence[str]) -> list[str]:
    """Return a group for each frame, the same where one room may be seen again.

    SUN3D names the place; elsewhere these are blocks of 20.
    """
    groups = blocks(names)
    for index, name in enumerate(names):
        before, found, place = name.partition("/sun3ddata/")
        if found:
            groups[index] = before + found + place.partition("/")[0]
    return groups


SUN_RGBD = DataSetSpecification(
    name="SUN RGB-D",
    label_set=SUN37,
    layouts=(
        PREPARED,
        FixedLayout("original", "SUNRGBD/ and its toolbox", missing_files, SUNRGBD),
        *published_layouts(len(SUN37)),
    ),
    frames=(5285, 5050),
)
