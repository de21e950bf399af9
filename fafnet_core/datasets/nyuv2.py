"""NYU-Depth V2 as downloaded: `nyu_depth_v2_labeled.mat` with `splits.mat` and
`classMapping40.mat`.

Silberman, Hoiem, Kohli and Fergus, "Indoor Segmentation and Support Inference from RGBD Images",
ECCV 2012; the 40 classes: Gupta, Arbelaez and Malik, CVPR 2013. `depths` is registered to the
colour image and in-painted by the authors; `rawDepths`, before in-painting, says where. The
direction of gravity is not known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.datasets.checks import name_some, spread
from fafnet_core.datasets.folder import published_layouts
from fafnet_core.datasets.matlab import MatlabFile73, read_matlab5
from fafnet_core.datasets.prepared import PREPARED
from fafnet_core.datasets.specification import DataSetSpecification, FixedLayout
from fafnet_core.datasets.splits import check_official_split, choose_frames
from fafnet_core.labels import NYU40, UNLABELLED
from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset, Split

LABELED_FILE = "nyu_depth_v2_labeled.mat"
SPLITS_FILE = "splits.mat"
MAPPING_FILE = "classMapping40.mat"

SHAPE = (480, 640)
"""(height, width) of the data set's images."""

CROP_ROWS, CROP_COLUMNS = slice(44, 471), slice(40, 601)
"""The official crop, without the white border; it drops 18 to 19 % of the labelled pixels too."""

CROPPED_SHAPE = (CROP_ROWS.stop - CROP_ROWS.start, CROP_COLUMNS.stop - CROP_COLUMNS.start)

_FOCAL = (518.85790117450188, 519.46961112127485)
# Published as 325.58..., 253.73..., for pixels counted from 1.
_CENTRE = (325.58244941119034 - 1, 253.73616633400465 - 1)

_ORIGINAL_CLASSES = 894
_MOST_FRAMES = 10_000  # of the data set 1449
_LONGEST_NAME = 200
_FARTHEST_M = 20.0  # the sensor ends at 10

_WHERE_FROM = {
    LABELED_FILE: "horatio.cs.nyu.edu/mit/silberman/nyu_depth_v2, 2.8 GB",
    SPLITS_FILE: "horatio.cs.nyu.edu/mit/silberman/indoor_seg_sup",
    MAPPING_FILE: "github.com/ankurhanda/nyuv2-meta-data",
}


CAMERA = Camera(
    fx=_FOCAL[0], fy=_FOCAL[1], cx=_CENTRE[0], cy=_CENTRE[1], width=SHAPE[1], height=SHAPE[0]
)
"""The data set's colour camera."""

CROPPED_CAMERA = CAMERA.cropped(CROP_ROWS.start, CROP_COLUMNS.start, CROPPED_SHAPE)
"""The camera of the officially cropped images."""


def missing_files(root: Path) -> list[str]:
    """Return the files of the download that a folder lacks, each with where it comes from."""
    return [
        f"{name} (from {where})"
        for name, where in _WHERE_FROM.items()
        if not (root / name).is_file()
    ]


class NYUv2(RgbdSegmentationDataset):
    """The 1449 labelled frames of NYU-Depth V2; 795 to train (and validate), 654 to test.

    Frames are named by their number in the data set, from "0001". Validation keeps scenes whole.

    Args:
        root: folder of the three files.
        split: "train", "val" or "test".
        validation: fraction of the official training split that becomes "val".

    Attributes:
        scenes: the scene of each frame, such as "kitchen_0004".

    Raises:
        FileNotFoundError: a file is not there; the message says where it comes from.
        ValueError: a file is damaged, or the three do not fit together.
    """

    def __init__(self, root: Path, split: Split, validation: float = 0.1) -> None:
        if absent := missing_files(root):
            raise FileNotFoundError(f"{root} lacks {'; '.join(absent)}")
        self.label_set = NYU40
        self._file = MatlabFile73(root / LABELED_FILE)
        self._class_ids = _read_mapping(root / MAPPING_FILE)
        try:
            file = self._file.open()
            with self._file.damaged():
                count = self._check_arrays(file)
            train, test = _read_splits(root / SPLITS_FILE, count)
            scenes = self._scenes(count)
            self._frames = choose_frames(
                split, train, test, groups=[scenes[i] for i in train], validation=validation
            )
            self.names = [f"{i + 1:04d}" for i in self._frames]
            self.scenes = [scenes[i] for i in self._frames]
            self.sensors = ["kv1"] * len(self.names)
            for index in spread(len(self._frames)):
                self._check_values(self.read(index))
        finally:
            # Workers that fork would inherit an open handle.
            self._file.close()

    def read(self, index: int) -> RgbdSample:
        """Read one frame; see `RgbdSegmentationDataset.read`."""
        place = self._frames[index]
        file = self._file.open()
        try:
            images, depths, raw, labels = (
                file[name][place] for name in ("images", "depths", "rawDepths", "labels")
            )
        except Exception as error:  # h5py raises many types
            raise ValueError(
                f"{self._file.path}, frame {self.names[index]}: {error}; download it again"
            ) from error
        highest = int(labels.max())
        if highest >= len(self._class_ids):
            raise ValueError(
                f"{self._file.path}, frame {self.names[index]} has label {highest}; wanted 0"
                f" (unlabelled) and 1..{_ORIGINAL_CLASSES}. Take the original download"
            )
        depth_m = np.ascontiguousarray(depths.T, np.float32)
        raw_m = raw.T
        return RgbdSample(
            rgb=np.ascontiguousarray(images.transpose(2, 1, 0)),
            label=np.ascontiguousarray(self._class_ids[labels.T]),
            depth_m=depth_m,
            missing=~(np.isfinite(raw_m) & (raw_m > 0)),
            camera=CAMERA,
            sensor=self.sensors[index],
            name=self.names[index],
        )

    def _check_arrays(self, file: Any) -> int:
        """Return the number of frames; refuse arrays of other shapes and types."""
        height, width = SHAPE
        wanted: dict[str, tuple[tuple[int, ...], str]] = {
            "images": ((3, width, height), "u1"),
            "depths": ((width, height), "f4"),
            "rawDepths": ((width, height), "f4"),
            "labels": ((width, height), "u2"),
        }
        if absent := [name for name in wanted if name not in file]:
            raise ValueError(
                f"{self._file.path} has no {', '.join(absent)}; wanted the labelled data set"
            )
        count = int(file["images"].shape[0])
        if count > _MOST_FRAMES:
            raise ValueError(f"{self._file.path} has {count} frames; wanted the labelled data set")
        for name, (shape, kind) in wanted.items():
            array = file[name]
            self._file.check_stored(array, name)
            if array.shape != (count, *shape) or array.dtype != np.dtype(kind):
                raise ValueError(
                    f"{self._file.path}: {name} is {array.dtype} {array.shape}; wanted"
                    f" {np.dtype(kind)} {(count, *shape)}. Take the original download"
                )
        return count

    def _scenes(self, count: int) -> list[str]:
        """Return the scene of each frame; parts of one scene (0001a, 0001b) count as one."""
        file = self._file.open()
        with self._file.damaged():
            scenes = file.get("scenes")
            if scenes is None or scenes.size != count:
                raise ValueError(
                    f"{self._file.path} has no scene for each of its {count} frames; take the"
                    " original download"
                )
            texts = [_text_of(file[reference]) for reference in scenes[:].flat]
        return [re.sub(r"(?<=\d)[a-z]$", "", text) for text in texts]

    def _check_values(self, sample: RgbdSample) -> None:
        assert sample.depth_m is not None
        source = f"{self._file.path}, frame {sample.name}"
        if not sample.rgb.any():
            raise ValueError(f"{source} is black: the file is incomplete, download it again")
        farthest = float(sample.depth_m.max())
        if not 0 < farthest < _FARTHEST_M:
            raise ValueError(
                f"{source} has depths up to {farthest:g}; wanted metres, at most 10. Take the"
                " original download"
            )


def _text_of(array: Any) -> str:
    """Return a scene's name, which MATLAB stores as numbers."""
    if array.size > _LONGEST_NAME:
        raise ValueError(f"a scene has a name of {array.size} letters")
    return "".join(map(chr, np.ravel(array[()])))


def _read_splits(path: Path, count: int) -> tuple[list[int], list[int]]:
    """Return the training and test frames, counted from 0."""
    values = read_matlab5(path, ("trainNdxs", "testNdxs"))
    train, test = (np.atleast_1d(values[name]).astype(int) for name in ("trainNdxs", "testNdxs"))
    if outside := [int(i) for i in (*train, *test) if not 1 <= i <= count]:
        raise ValueError(
            f"{path} names frame {name_some(outside)}, but {LABELED_FILE} has {count} frames;"
            " the two do not belong together"
        )
    frames: tuple[list[int], list[int]] = (train - 1).tolist(), (test - 1).tolist()
    check_official_split(path, [f"{i + 1:04d}" for i in range(count)], *frames)
    return frames


def _read_mapping(path: Path) -> NDArray[np.uint8]:
    """Return the class id 0..39 of each original label 0..894; 255 for 0, which is unlabelled."""
    mapping = np.ravel(read_matlab5(path, ("mapClass",))["mapClass"]).astype(int)
    if mapping.size != _ORIGINAL_CLASSES or mapping.min() < 1 or mapping.max() > len(NYU40):
        raise ValueError(
            f"{path}: mapClass has {mapping.size} values, {mapping.min()} to {mapping.max()};"
            f" wanted {_ORIGINAL_CLASSES}, 1 to {len(NYU40)}"
        )
    class_ids = np.full(_ORIGINAL_CLASSES + 1, UNLABELLED, np.uint8)
    class_ids[1:] = mapping - 1
    return class_ids


class OfficialCrop(RgbdSegmentationDataset):
    """The frames of NYU-Depth V2 in any layout, without their white border: 427 rows, 561 columns.

    HHA is cropped from that of the whole frame. Most published figures are for whole frames.
    """

    def __init__(self, whole: RgbdSegmentationDataset) -> None:
        self._whole = whole
        self.label_set = whole.label_set
        self.names = whole.names
        self.sensors = whole.sensors
        self.notices = whole.notices
        self.layout = whole.layout
        self.scenes: Sequence[str] = getattr(whole, "scenes", ())
        self.read(0)

    def read(self, index: int) -> RgbdSample:
        """Read one frame; see `RgbdSegmentationDataset.read`."""
        sample = self._whole.read(index)
        if sample.size != SHAPE:
            height, width = sample.size
            raise ValueError(
                f"frame {sample.name} is {width}x{height}; the official crop is of whole frames of"
                " 640x480: set crop: false"
            )
        sample = sample.with_hha()
        camera = sample.camera
        if camera is not None:
            camera = camera.cropped(CROP_ROWS.start, CROP_COLUMNS.start, CROPPED_SHAPE)
        images: dict[str, Any] = {
            name: np.ascontiguousarray(image[CROP_ROWS, CROP_COLUMNS])
            for name in ("rgb", "label", "depth_m", "missing", "hha")
            if (image := getattr(sample, name)) is not None
        }
        return replace(sample, camera=camera, **images)


NYUV2 = DataSetSpecification(
    name="NYU-Depth V2",
    label_set=NYU40,
    layouts=(
        PREPARED,
        FixedLayout("original", LABELED_FILE, missing_files, NYUv2),
        *published_layouts(len(NYU40)),
    ),
    frames=(795, 654),
    sensor="kv1",
    cameras=(CAMERA, CROPPED_CAMERA),
)
