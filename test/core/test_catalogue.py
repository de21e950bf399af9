"""The data sets of a configuration: names, fields, and what opens."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from originals import write_nyuv2, write_sunrgbd

from fafnet_core.datasets.catalogue import DATA_SETS, NYUv2Data, SUNRGBDData
from fafnet_core.datasets.prepare import prepare
from fafnet_core.labels import NYU40, SUN37
from fafnet_core.rooms.dataset import SyntheticData
from fafnet_core.samples import Split


def test_the_data_sets_have_their_documented_names_and_defaults() -> None:
    assert list(DATA_SETS) == ["nyuv2", "sunrgbd", "synthetic", "folder"]
    assert dataclasses.asdict(NYUv2Data(root="x")) == {
        "root": "x",
        "layout": "auto",
        "validation": 0.1,
        "hha_order": "check",
        "first_label": None,
        "hha": "ready",
        "check": "some",
        "label_map": {},
        "crop": False,
    }


def test_importing_the_data_sets_imports_no_large_library() -> None:
    code = (
        "import sys, fafnet_core.datasets.catalogue\n"
        "assert not {'torch', 'h5py', 'scipy', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)


def test_the_old_door_to_label_sets_is_still_open() -> None:
    from fafnet_core import data

    assert (data.NYU40, data.SUN37) == (NYU40, SUN37)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("root", ""),
        ("layout", "esanett"),
        ("hha_order", "gbr"),
        ("validation", 1),
        ("first_label", 2),
        ("hha", "dpeth"),
        ("check", "al"),
        ("crop", 1),
    ],
)
def test_fields_are_checked_before_anything_is_read(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field} is"):
        NYUv2Data(**{"root": "x", field: value})


def test_the_original_nyuv2_is_found(tmp_path: Path) -> None:
    written = write_nyuv2(tmp_path / "nyu")
    data = NYUv2Data(root=str(written.root), validation=0.5)
    opened = {split: data.open(split) for split in get_args(Split)}
    names = [*opened["train"].names, *opened["val"].names]
    assert sorted(names) == [f"{i:04d}" for i in written.train]
    assert list(opened["test"].names) == [f"{i:04d}" for i in written.test]
    cropped = dataclasses.replace(data, crop=True, check="all").open("test")
    assert cropped[0].size == (427, 561)
    assert cropped.label_set is NYU40
    for field in ({"first_label": 1}, {"hha_order": "bgr"}, {"hha": "depth"}):
        with pytest.raises(ValueError, match="first_label"):
            NYUv2Data(root=str(written.root), **field).open("test")


def test_every_frame_of_an_original_is_read_if_the_user_wants_that(tmp_path: Path) -> None:
    written = write_sunrgbd(tmp_path / "sun", frames=24, test=[0, 1])
    scene = written.scenes[written.train[2]]  # not one of those that are always read
    path = written.root / scene.folder / "depth_bfx" / scene.image.replace(".jpg", ".png")
    path.write_bytes(path.read_bytes()[:-200])
    data = SUNRGBDData(root=str(written.root), validation=0)
    assert len(data.open("train")) == 22
    every = dataclasses.replace(data, check="all")
    with pytest.raises(ValueError, match=rf"1 of 22 frames cannot be used:\n  .*: {path} is not"):
        every.open("train")
    assert len(every.open("test")) == 2


def test_a_prepared_folder_has_the_same_splits_as_the_original(tmp_path: Path) -> None:
    original = SUNRGBDData(root=str(write_sunrgbd(tmp_path / "sun", frames=60).root))
    whole = dataclasses.replace(original, validation=0)
    official = {"train": whole.open("train"), "test": whole.open("test")}
    made = prepare(official, tmp_path / "prepared", source={"data": "sunrgbd"}, jobs=1)
    assert not made.failed
    prepared = dataclasses.replace(original, root=str(tmp_path / "prepared"), validation=0.4)
    original = dataclasses.replace(original, validation=0.4)
    for split in get_args(Split):
        assert list(prepared.open(split).names) == list(original.open(split).names)
    label = prepared.open("val")[0].label
    np.testing.assert_array_equal(label, original.open("val")[0].label)
    with pytest.raises(ValueError, match="sun37"):
        NYUv2Data(root=prepared.root).open("train")


def test_the_crop_is_the_same_before_and_after_preparing(tmp_path: Path) -> None:
    written = write_nyuv2(tmp_path / "nyu", frames=6, test=[6], train=[1, 2, 3, 4, 5])
    cropped = NYUv2Data(root=str(written.root), crop=True, validation=0)
    for data in (cropped, dataclasses.replace(cropped, crop=False)):
        official = {"train": data.open("train"), "test": data.open("test")}
        assert not prepare(official, tmp_path / f"{data.crop}", source={}, jobs=1).failed
    original = dataclasses.replace(cropped, validation=0.4)
    cut_before = dataclasses.replace(original, root=str(tmp_path / "True"), crop=False)
    cut_after = dataclasses.replace(original, root=str(tmp_path / "False"))
    for split in get_args(Split):
        frames = original.open(split)
        for prepared in (cut_before.open(split), cut_after.open(split)):
            assert list(prepared.names) == list(frames.names)
            np.testing.assert_array_equal(prepared[0].hha, frames[0].hha)
            assert prepared[0].camera == frames[0].camera


def test_a_library_that_is_not_installed_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_sunrgbd(tmp_path / "sun").root
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(OSError, match="needs h5py: pip install h5py"):
        SUNRGBDData(root=str(root)).open("test")


def test_roots_are_relative_to_the_working_directory_or_to_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sunrgbd(tmp_path / "data" / "sun")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for root in ("data/sun", "~/data/sun"):
        assert len(SUNRGBDData(root=root).open("test")) == 2
    with pytest.raises(FileNotFoundError, match="data/nothing"):
        SUNRGBDData(root="~/data/nothing").open("test")


def test_prepared_rooms_can_be_trained_from_with_default_settings(tmp_path: Path) -> None:
    rooms = SyntheticData(frames=12, held_out=1, width=32, height=32)
    official = {"train": rooms.open("train"), "test": rooms.open("test")}
    assert not prepare(official, tmp_path / "rooms", source={"data": "synthetic"}, jobs=1).failed
    train, val = (NYUv2Data(root=str(tmp_path / "rooms")).open(s) for s in ("train", "val"))
    assert (len(train), len(val)) == (11, 1)
    # Each frame shows another room: none is in both.
    assert sorted([*train.scenes, *val.scenes]) == official["train"].names  # type: ignore[attr-defined]
