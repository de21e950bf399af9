"""A data set of your own: what a specification states, and what its checks name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fafnet_core.files import write_png
from fafnet_core.labels import NYU13
from fafnet_core.samples import RgbdSegmentationDataset, Split
from fafnet_core.training.config import read_config

SHAPE = (24, 32)
NAMES = [f"{i:02d}" for i in range(10)]
SPLITS: tuple[Split, ...] = get_args(Split)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten frames of three classes with depth at 2 m, 5000 counts a metre, and no list."""
    root = tmp_path / "robot"
    (tmp_path / "robot.yaml").write_text(
        "names: [floor, cable, wall]\ngroups: {low: [floor, cable]}\n"
    )
    for index, name in enumerate(NAMES):
        rgb = np.full((*SHAPE, 3), 10 * index, np.uint8)
        label = np.full(SHAPE, index % 3, np.uint8)
        label[:2] = 255
        write_png(root / f"color/{name}.png", rgb)
        write_png(root / f"labels/{name}.png", label)
        write_depth(root, name, 10_000)
    return root


def write_depth(root: Path, name: str, counts: int) -> None:
    path = root / f"depth/{name}.png"
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.full(SHAPE, counts, np.uint16))


def configuration(root: Path) -> Path:
    path = root.parent / "own.yaml"
    path.write_text(f"""\
data:
  name: folder
  root: {root}
  labels: {root.parent / "robot.yaml"}
  validation: 0
  layout:
    rgb: color
    depth_unit_m: 0.0002
    camera: {{fx: 30, fy: 30, cx: 15.5, cy: 11.5}}
    train: ""
    test: ""
""")
    return path


def opened(root: Path, *changes: str, split: Split = "train") -> RgbdSegmentationDataset:
    config = read_config(configuration(root), [f"data.{change}" for change in changes])
    return config.data.open(split)


def relabelled(root: Path, name: str, label: NDArray[np.uint8]) -> None:
    write_png(root / f"labels/{name}.png", label)


def labels(root: Path, name: str) -> NDArray[np.uint8]:
    with Image.open(root / f"labels/{name}.png") as image:
        return np.asarray(image, np.uint8)


def test_a_folder_without_lists_or_camera_file_is_read_as_stated(root: Path) -> None:
    train, val = (opened(root, "validation=0.2", split=split) for split in SPLITS[:2])
    assert sorted([*train.names, *val.names]) == NAMES
    assert len(val) == 2
    sample = train[0]
    assert sample.depth_m is not None
    np.testing.assert_allclose(sample.depth_m, 2)
    assert sample.camera is not None
    assert (sample.camera.fx, sample.camera.size) == (30, SHAPE)
    assert train.label_set.names == ("floor", "cable", "wall")
    with pytest.raises(ValueError, match=r"no test frames \(layout.test is empty\)"):
        opened(root, split="test")


def test_the_camera_that_open3ds_recorders_leave_is_read(root: Path) -> None:
    matrix = [40, 0, 0, 0, 41, 0, 15.5, 11.5, 1]  # column by column
    values = {"width": 32, "height": 24, "intrinsic_matrix": matrix, "depth_scale": 5000}
    (root / "intrinsic.json").write_text(json.dumps(values))
    text = configuration(root).read_text()
    stated = [line for line in text.splitlines() if "camera:" in line or "depth_unit_m" in line]
    for line in stated:
        text = text.replace(f"{line}\n", "")
    configuration(root).write_text(text)
    sample = read_config(root.parent / "own.yaml").data.open("train")[0]
    assert sample.camera is not None
    assert (sample.camera.fx, sample.camera.fy, sample.camera.cx) == (40, 41, 15.5)
    assert sample.depth_m is not None
    np.testing.assert_allclose(sample.depth_m, 2)


def test_only_labelled_frames_are_taken(root: Path) -> None:
    (root / "labels/03.png").unlink()
    dataset = opened(root)
    assert list(dataset.names) == [name for name in NAMES if name != "03"]
    assert dataset.notices[0].startswith(f"{root}/color has 1 images that no list names (03)")


def test_lists_of_validation_and_test_frames(root: Path) -> None:
    (root / "v.txt").write_text("01\n02\n")
    (root / "t.txt").write_text("09\n")
    lists = ("layout.val=v.txt", "layout.test=t.txt", "validation=0.5")
    train, val, test = (list(opened(root, *lists, split=split).names) for split in SPLITS)
    assert (val, test) == (["01", "02"], ["09"])
    assert train == [name for name in NAMES if name not in ("01", "02", "09")]
    (root / "train.txt").write_text("02\n03\n")
    with pytest.raises(ValueError, match="1 validation frames are training frames too: 02"):
        opened(root, *lists, "layout.train=train.txt")


def test_splits_in_folders_may_have_one_for_validation(root: Path) -> None:
    moved = dict(zip(SPLITS, (NAMES[:6], NAMES[6:8], NAMES[8:]), strict=True))
    for split, names in moved.items():
        for kind in ("color", "labels", "depth"):
            (root / split / kind).mkdir(parents=True)
            for name in names:
                (root / kind / f"{name}.png").rename(root / split / kind / f"{name}.png")
    changes = ("layout.by_split=true", "layout.train=train", "layout.val=val", "layout.test=test")
    for split, names in moved.items():
        assert list(opened(root, *changes, split=split).names) == names
    with pytest.raises(ValueError, match="train is empty; by_split wants the name of a folder"):
        opened(root, "layout.by_split=true")


def test_classes_are_merged_and_dropped_by_a_setting(root: Path) -> None:
    dataset = opened(root, "label_map={cable: null, wall: floor}")
    assert dataset.label_set.names == ("floor",)
    assert dataset.notices[-1] == (
        "label_map: 3 classes of 'robot' become 1 of 'robot-merged', 1 become unlabelled"
    )
    found = [sample.label[5, 5] for sample in dataset]
    assert found == [255 if index % 3 == 1 else 0 for index in range(10)]
    assert (dataset[0].label[:2] == 255).all()


def test_a_mapping_is_a_name_or_a_file_too(root: Path) -> None:
    named = opened(root, "label_map=nyu13", "labels=nyu40")
    assert named.label_set is NYU13
    merge = root.parent / "merge.yaml"
    merge.write_text("classes:\n  cable: floor\n")
    assert opened(root, f"label_map={merge}").label_set.names == ("floor", "wall")
    merge.write_text("classes:\n  cabel: floor\n")
    with pytest.raises(ValueError, match=r"merge\.yaml, line 2: .*did you mean 'cable'"):
        opened(root, f"label_map={merge}")
    with pytest.raises(ValueError, match="label_map: unknown class 'wal': did you mean 'wall'"):
        opened(root, "label_map={wal: floor}")


def test_a_configuration_with_a_specification_is_written_and_read_again(root: Path) -> None:
    path = configuration(root)
    config = read_config(path, ["data.label_map={cable: null}"])
    path.write_text(config.to_yaml())
    assert read_config(path) == config


def test_the_number_for_unlabelled_is_the_label_set_s(root: Path) -> None:
    for name in NAMES:
        label = labels(root, name)
        relabelled(root, name, np.where(label == 255, 100, label).astype(np.uint8))
    with pytest.raises(ValueError, match=r"label 100 .*wanted 0..2 \(robot\) and 255"):
        opened(root, "first_label=0")
    (root.parent / "robot.yaml").write_text("names: [floor, cable, wall]\nunlabelled: 100\n")
    assert set(np.unique(opened(root, "first_label=0")[0].label)) == {0, 255}


def test_a_png_with_a_palette_has_its_numbers(root: Path) -> None:
    indices = labels(root, "00")
    coloured = Image.fromarray(indices, mode="P")
    coloured.putpalette([9, 99, 199] * 256)
    coloured.save(root / "labels/00.png")
    np.testing.assert_array_equal(opened(root)[0].label, indices)


def test_every_wrong_file_is_named_with_what_is_wrong(root: Path) -> None:
    relabelled(root, "00", np.full(SHAPE, 3, np.uint8))
    relabelled(root, "01", np.full(SHAPE, 4, np.uint8))
    write_png(root / "labels/02.png", np.full((*SHAPE, 3), (9, 8, 7), np.uint8))
    depth = root / "depth/04.png"
    depth.write_bytes(depth.read_bytes()[:-20])
    with pytest.raises(ValueError, match="check: all reads all 10") as some:
        opened(root)
    with pytest.raises(ValueError, match="4 of 10 frames cannot be used:") as every:
        opened(root, "check=all")
    _, first, second, third, fourth = str(every.value).splitlines()
    assert first.startswith(f"  00: {root}/labels/00.png has label 3 (row 0, column 0);")
    assert first.endswith("If its classes count from 1 with 0 = unlabelled: first_label: 1")
    assert second.startswith(f"  01: {root}/labels/01.png has label 4")
    assert third.startswith(f"  02: {root}/labels/02.png is uint8 with shape (24, 32, 3)")
    assert fourth.startswith(f"  04: {depth} is not an image")
    assert first in str(some.value).splitlines()


def test_a_class_that_no_pixel_has_is_said_by_the_full_check(root: Path) -> None:
    for name in NAMES:
        label = labels(root, name)
        relabelled(root, name, np.where(label == 1, 255, label).astype(np.uint8))
    assert opened(root, "check=all").notices[-1] == "no pixel of 10 frames is cable"


@pytest.mark.parametrize(
    ("counts", "unit", "message"),
    [
        (0, 0.0002, "no pixel of 7 depth images .*depth/00.png"),
        (2000, 1.0, "median depth of .* is 2e[+]03 m.*set layout.depth_unit_m"),
        (2000, 0.00001, "median depth of .* is 0.02 m.*set layout.depth_unit_m"),
    ],
)
def test_depth_that_is_not_in_metres_is_refused(
    root: Path, counts: int, unit: float, message: str
) -> None:
    for name in NAMES:
        write_depth(root, name, counts)
    with pytest.raises(ValueError, match=message):
        opened(root, f"layout.depth_unit_m={unit}")


def test_a_camera_of_another_resolution_is_refused(root: Path) -> None:
    message = r"color/\d\d.png is 32x24, but its camera has its centre at \(40, 11.5\)"
    with pytest.raises(ValueError, match=message):
        opened(root, "layout.camera.cx=40")
