"""SUN RGB-D from its original files, written small by `originals` in the same formats."""

from __future__ import annotations

import multiprocessing
import pickle
import shutil
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
import scipy.io
from originals import (
    LABEL_FILE,
    META_FILE,
    SPLIT_FILE,
    SUN_PREFIX,
    WrittenSUNRGBD,
    write_gray16,
    write_sun_labels,
    write_sun_splits,
    write_sunrgbd,
)

from fafnet_core.datasets.frames import read_rgb
from fafnet_core.datasets.matlab import read_matlab5
from fafnet_core.datasets.sun_scene import (
    decode_depth,
    gravity_from_extrinsics,
    gravity_from_rtilt,
    read_counts,
    scene_camera,
)
from fafnet_core.datasets.sunrgbd import SUNRGBD
from fafnet_core.hha import estimate_gravity
from fafnet_core.labels import SUN37
from fafnet_core.samples import Split


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> WrittenSUNRGBD:
    return write_sunrgbd(tmp_path_factory.mktemp("sun") / "data")


@pytest.fixture
def copy(written: WrittenSUNRGBD, tmp_path: Path) -> WrittenSUNRGBD:
    """A copy that a test may damage."""
    root = shutil.copytree(written.root, tmp_path / "copy")
    return WrittenSUNRGBD(root, written.scenes, written.train, written.test)


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_frame_comes_back_as_it_was_written(written: WrittenSUNRGBD, split: Split) -> None:
    dataset = SUNRGBD(written.root, split, validation=0)
    scenes = [written.scenes[i] for i in (written.train if split == "train" else written.test)]
    assert dataset.label_set is SUN37
    assert dataset.names == [scene.folder.removeprefix("SUNRGBD/") for scene in scenes]
    assert dataset.sensors == [scene.sensor for scene in scenes]
    for sample, scene in zip(dataset, scenes, strict=True):
        image = written.root / scene.folder / "image" / scene.image
        np.testing.assert_array_equal(sample.rgb, read_rgb(image))
        assert np.abs(sample.rgb.astype(int) - scene.rgb).mean() < 6
        # Of the 40 classes, SUN RGB-D has the first 37.
        wanted = np.where(scene.label >= 37, 255, scene.label)
        np.testing.assert_array_equal(sample.label, wanted)
        assert sample.depth_m is not None
        np.testing.assert_allclose(sample.depth_m, scene.depth_m, rtol=0, atol=1e-6)
        assert sample.depth_m.max() == 8
        np.testing.assert_array_equal(sample.missing, scene.missing)
        assert sample.camera is not None
        np.testing.assert_allclose(sample.camera.matrix, scene.camera_matrix, atol=1e-9)
        np.testing.assert_allclose(sample.gravity, scene.gravity, atol=1e-9)  # type: ignore[arg-type]
        assert sample.sensor == scene.sensor


def test_rtilt_and_extrinsics_say_the_same() -> None:
    rng = np.random.default_rng(3)
    axes = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    for _ in range(20):
        extrinsics = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        rtilt = axes @ extrinsics @ axes.T
        down = gravity_from_rtilt(rtilt)
        np.testing.assert_allclose(down, gravity_from_extrinsics(extrinsics), atol=1e-12)
        # Levelled by Rtilt, in its axes right, ahead and up, that direction is straight down.
        np.testing.assert_allclose(rtilt @ axes @ down, [0, 0, -1], atol=1e-12)


def test_the_real_scene(shared_data: Path) -> None:
    folder = shared_data / "sunrgbd" / "SUNRGBD" / "kv2" / "sample" / "scene"
    matrix, gravity = scene_camera(folder)
    np.testing.assert_array_equal(matrix, [[529.5, 0, 364], [0, 529.5, 264], [0, 0, 1]])
    raw = decode_depth(read_counts(folder / "depth" / "0000144.png"))
    depth_m = decode_depth(read_counts(folder / "depth_bfx" / "0000144.png"))
    assert depth_m.shape == (530, 730)
    assert (depth_m > 0).all()
    assert (raw == 0).mean() == pytest.approx(0.134, abs=0.001)
    assert gravity is not None
    estimated = estimate_gravity(depth_m, matrix)
    assert np.degrees(np.arccos(estimated @ gravity)) < 2


def test_the_real_lists_have_the_official_numbers(shared_data: Path) -> None:
    path = shared_data / "sunrgbd" / "Metadata" / "allsplit.mat"
    lists = read_matlab5(path, ("alltrain", "alltest"))
    assert (len(set(lists["alltrain"])), len(set(lists["alltest"]))) == (5285, 5050)
    assert not set(lists["alltrain"]) & set(lists["alltest"])


def test_validation_keeps_places_whole(tmp_path: Path) -> None:
    root = write_sunrgbd(tmp_path, frames=40, test=[0]).root
    train, val = (SUNRGBD(root, split, validation=0.3) for split in ("train", "val"))
    assert not set(train.scenes) & set(val.scenes)
    sun3d = {scene for scene in (*train.scenes, *val.scenes) if "sun3ddata" in scene}
    assert sun3d == {"xtion/sun3ddata/hotel_m"}


def test_a_scene_without_camera_in_the_meta_file_has_its_own(copy: WrittenSUNRGBD) -> None:
    meta = copy.root / META_FILE
    records: Any = scipy.io.loadmat(str(meta))["SUNRGBDMeta"]
    for record in records[0]:
        record["K"], record["Rtilt"] = np.empty((0, 0)), np.full((3, 3), np.nan)
    values: Any = {"SUNRGBDMeta": records}
    scipy.io.savemat(meta, values)
    for sample, place in zip(SUNRGBD(copy.root, "test"), copy.test, strict=True):
        scene = copy.scenes[place]
        assert sample.camera is not None
        np.testing.assert_allclose(sample.camera.matrix, scene.camera_matrix, atol=1e-5)
        np.testing.assert_allclose(sample.gravity, scene.gravity, atol=1e-5)  # type: ignore[arg-type]
    folder = copy.root / copy.scenes[copy.test[0]].folder
    extrinsics = next((folder / "extrinsics").iterdir())
    extrinsics.write_text("0 " * 12)
    with pytest.raises(ValueError, match=extrinsics.name):
        SUNRGBD(copy.root, "test")
    extrinsics.unlink()
    assert SUNRGBD(copy.root, "test")[0].gravity is None  # HHA estimates it
    (folder / "intrinsics.txt").write_text("1 0 x")
    with pytest.raises(ValueError, match=r"intrinsics\.txt"):
        SUNRGBD(copy.root, "test")


def test_a_scene_without_raw_depth_does_not_know_what_is_missing(copy: WrittenSUNRGBD) -> None:
    shutil.rmtree(copy.root / copy.scenes[copy.test[0]].folder / "depth")
    dataset = SUNRGBD(copy.root, "test")
    assert dataset[0].missing is None
    assert dataset[1].missing is not None


def test_the_toolbox_may_lie_in_the_root(copy: WrittenSUNRGBD) -> None:
    for path in (META_FILE, LABEL_FILE, SPLIT_FILE):
        target = copy.root / path.parent.name / path.name
        target.parent.mkdir(exist_ok=True)
        (copy.root / path).rename(target)
    assert len(SUNRGBD(copy.root, "test")) == len(copy.test)


def _label_of(dataset: SUNRGBD) -> Any:
    return dataset[0].label


def test_other_processes_read_for_themselves(written: WrittenSUNRGBD) -> None:
    dataset = SUNRGBD(written.root, "test")
    here = _label_of(dataset)  # the handle is open when the process forks
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for label in pool.map(_label_of, [dataset] * 4):
            np.testing.assert_array_equal(label, here)
    np.testing.assert_array_equal(_label_of(pickle.loads(pickle.dumps(dataset))), here)


def test_missing_files_of_the_toolbox_are_all_named(copy: WrittenSUNRGBD) -> None:
    (copy.root / META_FILE).unlink()
    (copy.root / SPLIT_FILE).unlink()
    with pytest.raises(FileNotFoundError, match=r"SUNRGBDMeta\.mat .*allsplit\.mat"):
        SUNRGBD(copy.root, "test")


def test_missing_images_are_named(copy: WrittenSUNRGBD) -> None:
    scene = copy.scenes[copy.test[1]]
    (copy.root / scene.folder / "image" / scene.image).unlink()
    with pytest.raises(FileNotFoundError, match=rf"1 of 4 .*{scene.folder}/image/{scene.image}"):
        SUNRGBD(copy.root, "test")
    SUNRGBD(copy.root, "train")  # not its scene


def _depth_file(copy: WrittenSUNRGBD) -> Path:
    scene = copy.scenes[copy.test[0]]
    return copy.root / scene.folder / "depth_bfx" / scene.image.replace(".jpg", ".png")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda counts: (counts >> np.uint16(3)) | (counts << np.uint16(13)), "rotated"),
        (lambda counts: (counts >> 8).astype(np.uint8), "uint8"),
    ],
)
def test_depth_that_is_not_of_the_original_download(
    copy: WrittenSUNRGBD, change: Any, message: str
) -> None:
    path = _depth_file(copy)
    cv2.imwrite(str(path), change(read_counts(path)))
    with pytest.raises(ValueError, match=f"{path} .*{message}"):
        SUNRGBD(copy.root, "test")


def test_depth_that_is_cut_short(copy: WrittenSUNRGBD) -> None:
    path = _depth_file(copy)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=f"{path} .*cut short"):
        SUNRGBD(copy.root, "test")


def test_labels_over_37_are_named(copy: WrittenSUNRGBD) -> None:
    with h5py.File(copy.root / LABEL_FILE, "r+") as file:
        reference = file["SUNRGBD2Dseg/seglabel"][copy.test[0], 0]
        file[reference][40, 30] = 41
    with pytest.raises(ValueError, match=r"entry 3 .*realsense.* label 41 .*row 30, column 40"):
        SUNRGBD(copy.root, "test")


def test_labels_of_another_size_name_both_files(copy: WrittenSUNRGBD) -> None:
    labels = [scene.label for scene in copy.scenes]
    labels[copy.test[0]] = labels[copy.test[0]][:-1]
    write_sun_labels(copy.root, labels)
    with pytest.raises(ValueError, match=r"SUNRGBD2Dseg.mat, entry 3 .* is 85x65, but .* 85x66"):
        SUNRGBD(copy.root, "test")


def test_depth_of_another_size_than_colour_is_found_up_front(tmp_path: Path) -> None:
    written = write_sunrgbd(tmp_path / "sun", frames=24, test=[0])
    scene = written.scenes[written.train[1]]  # not one of those that are looked into
    path = written.root / scene.folder / "depth_bfx" / scene.image.replace(".jpg", ".png")
    counts = read_counts(path)
    write_gray16(path, counts[:-1])
    with pytest.raises(ValueError, match=rf"{path} is .*, but .*{scene.image} is .*1 of 23 frames"):
        SUNRGBD(written.root, "train", validation=0)


def test_fewer_labels_than_scenes(copy: WrittenSUNRGBD) -> None:
    write_sun_labels(copy.root, [scene.label for scene in copy.scenes][:-1])
    with pytest.raises(ValueError, match=r"7 .* 8"):
        SUNRGBD(copy.root, "test")


def test_lists_that_overlap_or_name_unknown_scenes(copy: WrittenSUNRGBD) -> None:
    folders = [scene.folder for scene in copy.scenes]
    unknown = "SUNRGBD/kv1/NYUdata/NYU9999"
    for test, message in ((folders[4:], "exactly one"), ([*folders[5:], unknown], "NYU9999")):
        write_sun_splits(copy.root, folders[:5], test)
        with pytest.raises(ValueError, match=message):
            SUNRGBD(copy.root, "train")


@pytest.mark.parametrize("outside", ["../../secret", "/secret"])
def test_paths_that_leave_the_tree_are_refused(copy: WrittenSUNRGBD, outside: str) -> None:
    records: Any = scipy.io.loadmat(str(copy.root / META_FILE))["SUNRGBDMeta"]
    records[0, 2]["rgbpath"] = f"{SUN_PREFIX}SUNRGBD/{outside}/image/a.jpg"
    values: Any = {"SUNRGBDMeta": records}
    scipy.io.savemat(copy.root / META_FILE, values)
    with pytest.raises(ValueError, match=r"entry 3: .*secret"):
        SUNRGBD(copy.root, "test")
