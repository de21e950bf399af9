"""Reading a prepared folder: the same samples as the data set's, and faults found up front."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tiny_rooms import tiny_splits

from fafnet_core.datasets.prepare import prepare
from fafnet_core.datasets.prepare.journal import JOURNAL_FILE
from fafnet_core.datasets.prepare.layout import MANIFEST_FILE
from fafnet_core.datasets.prepared import PreparedFolder
from fafnet_core.samples import Split

TRAIN = 24


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 training frames of 8 scenes, 3 test frames; not to be changed."""
    out = tmp_path_factory.mktemp("folder") / "whole"
    prepare(tiny_splits(TRAIN, 3), out, source={"data": "tiny"}, jobs=1)
    return out


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


@pytest.mark.parametrize("split", ["train", "test"])
def test_samples_are_those_of_the_data_set(whole: Path, split: Split) -> None:
    # As it goes to a worker process.
    folder = pickle.loads(pickle.dumps(PreparedFolder(whole, split, validation=0)))
    dataset = tiny_splits(TRAIN, 3)[split]
    assert len(folder) == len(dataset)
    assert folder.names == dataset.names
    assert folder.sensors == dataset.sensors
    assert folder.scenes == dataset.scenes
    assert folder.label_set == dataset.label_set
    for ours, theirs in zip(folder, dataset, strict=True):
        assert theirs.depth_m is not None
        assert ours.depth_m is not None
        np.testing.assert_array_equal(ours.rgb, theirs.rgb)
        np.testing.assert_array_equal(ours.label, theirs.label)
        np.testing.assert_array_equal(ours.hha, theirs.with_hha().hha)
        np.testing.assert_allclose(ours.depth_m, theirs.depth_m, rtol=0, atol=0.000_501)
        assert ours.camera == theirs.camera
        np.testing.assert_equal(ours.missing, theirs.missing)
        np.testing.assert_equal(ours.gravity, theirs.gravity)
        assert (ours.sensor, ours.name) == (theirs.sensor, theirs.name)


def test_a_folder_that_is_not_there_or_not_prepared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        PreparedFolder(tmp_path / "none", "train")
    with pytest.raises(FileNotFoundError, match="did not make it"):
        PreparedFolder(tmp_path, "train")
    (tmp_path / JOURNAL_FILE).write_text("")
    with pytest.raises(FileNotFoundError, match="not complete"):
        PreparedFolder(tmp_path, "train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda names: [*names, "kv1/9999"], "in kv1/9999"),
        (lambda names: [*names, f"kv1/00{TRAIN}"], "in kv1/0024"),  # a test frame
        (lambda names: names[1:], "in kv1/0000"),
        (lambda names: [*names, names[3]], "in kv2/0003"),
        (lambda names: [], "in kv1/0000, .* and 20 more"),
    ],
)
def test_a_list_that_does_not_match_is_refused(copy: Path, change: Any, message: str) -> None:
    names = (copy / "train.txt").read_text().split()
    (copy / "train.txt").write_text("\n".join(change(names)))
    for split in ("train", "test"):
        with pytest.raises(ValueError, match=message):
            PreparedFolder(copy, split)


def test_a_picture_that_is_not_there_is_named_up_front(copy: Path) -> None:
    (copy / "hha/kv1/0002.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"hha/kv1/0002.png"):
        PreparedFolder(copy, "train", validation=0)


def _resize(path: Path) -> None:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None
    cv2.imwrite(str(path), image[:24, :32])


@pytest.mark.parametrize("kind", ["rgb", "depth", "missing", "hha", "labels"])
def test_a_picture_that_is_damaged_later_is_named_when_it_is_read(copy: Path, kind: str) -> None:
    folder = PreparedFolder(copy, "test")
    path = copy / kind / "kv1/0024.png"
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b""):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{path} .* cut short"):
            folder.read(0)
    path.write_bytes(content)
    _resize(path)
    with pytest.raises(ValueError, match=f"{path} is 32x24, .* 64x48"):
        folder.read(0)


@pytest.mark.parametrize("kind", ["rgb", "missing", "labels"])
def test_the_size_of_every_picture_is_known_up_front(copy: Path, kind: str) -> None:
    _resize(copy / kind / "kv1/0010.png")
    with pytest.raises(ValueError, match=r"kv1/0010.png is .*1 of 24 frames"):
        PreparedFolder(copy, "train", validation=0)


def test_a_class_that_there_is_not_is_named(copy: Path) -> None:
    path = copy / "labels/kv1/0024.png"
    cv2.imwrite(str(path), np.full((48, 64), 40, np.uint8))
    with pytest.raises(ValueError, match=rf"{path} has label 40"):
        PreparedFolder(copy, "test").read(0)


def test_a_damaged_manifest_is_refused_and_named(copy: Path) -> None:
    path = copy / MANIFEST_FILE
    values = json.loads(path.read_text())
    frame = values["frames"][0]
    read = values.keys() - {"counts"}  # for people
    changes: list[Any] = [{**values, key: None} for key in read]
    changes += [{k: v for k, v in values.items() if k != key} for key in read]
    changes += [
        {**values, "frames": [{**frame, key: [{}]}]}
        for key in frame.keys() - {"name", "sensor", "scene"}
    ]
    changes += [{**values, "frames": [{**frame, "size": [1e999, 1]}]}, [], 3, {"format": "other"}]
    for change in changes:
        path.write_text(json.dumps(change))
        with pytest.raises(ValueError, match=str(path)):
            PreparedFolder(copy, "train")
    for cut in range(0, 2000, 191):
        path.write_text(json.dumps(values)[:cut])
        with pytest.raises(ValueError, match="cut short"):
            PreparedFolder(copy, "train")


def test_a_folder_that_was_prepared_when_there_were_checksums_is_read(copy: Path) -> None:
    path = copy / MANIFEST_FILE
    values = json.loads(path.read_text())
    values["lists"] = {"train.txt": {"size": 1, "sha256": "0"}}
    for frame in values["frames"]:
        for file in frame["files"].values():
            file["sha256"] = "0"
    path.write_text(json.dumps(values))
    assert len(PreparedFolder(copy, "train", validation=0)) == TRAIN
    assert prepare(tiny_splits(TRAIN, 3), copy, source={"data": "tiny"}, jobs=1).written == 0


def test_a_name_in_a_manifest_cannot_leave_the_folder(copy: Path) -> None:
    text = (copy / MANIFEST_FILE).read_text().replace("kv1/0000", "../../secret")
    (copy / MANIFEST_FILE).write_text(text)
    with pytest.raises(ValueError, match=r"'../../secret' is no frame name"):
        PreparedFolder(copy, "train")
