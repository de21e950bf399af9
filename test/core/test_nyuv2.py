"""NYU-Depth V2 from its original files, written small by `originals` in the same formats."""

from __future__ import annotations

import multiprocessing
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import h5py
import numpy as np
import pytest
import scipy.io
from originals import NYU_CAMERA_MATRIX, WrittenNYUv2, write_nyuv2

from fafnet_core.datasets.frames import read_camera_file
from fafnet_core.datasets.matlab import read_matlab5
from fafnet_core.datasets.nyuv2 import CAMERA, CROPPED_CAMERA, NYUv2, OfficialCrop
from fafnet_core.hha import encode_hha
from fafnet_core.labels import NYU40
from fafnet_core.samples import Split


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> WrittenNYUv2:
    return write_nyuv2(tmp_path_factory.mktemp("nyu") / "data")


@pytest.fixture
def copy(written: WrittenNYUv2, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(written.root, tmp_path / "copy")


def test_every_frame_comes_back_as_it_was_written(written: WrittenNYUv2) -> None:
    for split, frames in (("train", written.train), ("test", written.test)):
        dataset = NYUv2(written.root, split, validation=0)  # type: ignore[arg-type]
        assert dataset.label_set is NYU40
        assert dataset.names == [f"{frame:04d}" for frame in frames]
        assert dataset.sensors == ["kv1"] * len(frames)
        for sample, frame in zip(dataset, frames, strict=True):
            np.testing.assert_array_equal(sample.rgb, written.rgb[frame - 1])
            np.testing.assert_array_equal(sample.label, written.label[frame - 1])
            np.testing.assert_array_equal(sample.depth_m, written.depth_m[frame - 1])
            np.testing.assert_array_equal(sample.missing, written.missing[frame - 1])
            assert sample.camera is not None
            np.testing.assert_array_equal(sample.camera.matrix, NYU_CAMERA_MATRIX)
            assert sample.gravity is None
            assert (sample.sensor, sample.name) == ("kv1", f"{frame:04d}")
            assert sample.rgb.flags.c_contiguous
            assert sample.label.flags.c_contiguous


def test_hha_is_that_of_the_depth_with_its_holes(written: WrittenNYUv2) -> None:
    sample = NYUv2(written.root, "test")[0].with_hha()
    frame = written.test[0] - 1
    wanted = encode_hha(written.depth_m[frame], NYU_CAMERA_MATRIX, missing=written.missing[frame])
    np.testing.assert_array_equal(sample.hha, wanted)


def test_the_official_crop_moves_the_camera_with_it(written: WrittenNYUv2) -> None:
    whole = NYUv2(written.root, "test")
    cropped = OfficialCrop(whole)
    assert cropped.names == whole.names
    sample = cropped[0]
    assert sample.size == (427, 561)
    frame = written.test[0] - 1
    np.testing.assert_array_equal(sample.rgb, written.rgb[frame][44:471, 40:601])
    np.testing.assert_array_equal(sample.label, written.label[frame][44:471, 40:601])
    np.testing.assert_array_equal(sample.depth_m, written.depth_m[frame][44:471, 40:601])
    np.testing.assert_array_equal(sample.missing, written.missing[frame][44:471, 40:601])
    moved = NYU_CAMERA_MATRIX.copy()
    moved[:2, 2] -= 40, 44
    assert sample.camera is not None
    np.testing.assert_allclose(sample.camera.matrix, moved, atol=1e-9)
    np.testing.assert_allclose(CROPPED_CAMERA.matrix, moved, atol=1e-9)
    with pytest.raises(ValueError, match="561x427"):
        OfficialCrop(cropped)


def test_the_camera_is_the_published_one_counted_from_zero(shared_data: Path) -> None:
    shared = read_camera_file(shared_data / "nyuv2" / "camera.yaml").camera_matrix
    np.testing.assert_allclose(CAMERA.matrix, shared, rtol=0, atol=1e-9)


def test_the_real_split_and_mapping_are_read(shared_data: Path, copy: Path) -> None:
    folder = shared_data / "nyuv2"
    split = read_matlab5(folder / "splits.mat", ("trainNdxs", "testNdxs"))
    assert (split["trainNdxs"].size, split["testNdxs"].size) == (795, 654)
    shutil.copy(folder / "classMapping40.mat", copy)
    mapping = read_matlab5(folder / "classMapping40.mat", ("mapClass",))["mapClass"]
    dataset = NYUv2(copy, "test")
    with h5py.File(copy / "nyu_depth_v2_labeled.mat") as file:
        stored = file["labels"][2].T
    wanted = np.where(stored == 0, 255, mapping[stored.astype(int) - 1].astype(int) - 1)
    np.testing.assert_array_equal(dataset[0].label, wanted)
    # The 654 test frames of the real split are not the 6 frames of this file.
    shutil.copy(folder / "splits.mat", copy)
    with pytest.raises(ValueError, match=r"frame 7, 8, 10, .* 6 frames"):
        NYUv2(copy, "test")


def test_validation_takes_whole_scenes_from_training(tmp_path: Path) -> None:
    scenes = ["a_0001a", "a_0001b", "b_0002", "b_0002", "c_0003", "c_0003", "d_0004", "d_0004"]
    root = write_nyuv2(tmp_path, frames=8, test=[7, 8], scenes=scenes).root
    train, val, test = (NYUv2(root, split, validation=0.34) for split in get_args(Split))
    assert sorted([*train.names, *val.names]) == [f"{i:04d}" for i in range(1, 7)]
    assert test.names == ["0007", "0008"]
    assert len(val) == 2
    assert not set(train.scenes) & set(val.scenes)
    assert NYUv2(root, "train", validation=0).scenes[:3] == ["a_0001", "a_0001", "b_0002"]


def _label_of(dataset: NYUv2) -> Any:
    return dataset[0].label


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_for_themselves(written: WrittenNYUv2, method: str) -> None:
    dataset = NYUv2(written.root, "test")
    here = _label_of(dataset)  # the handle is open when the process forks
    with multiprocessing.get_context(method).Pool(2) as pool:
        for label in pool.map(_label_of, [dataset] * 4):
            np.testing.assert_array_equal(label, here)
    np.testing.assert_array_equal(_label_of(dataset), here)


def test_threads_read_the_same_as_one(written: WrittenNYUv2) -> None:
    for _ in range(5):  # the file is closed at first: the threads open it at once
        dataset = NYUv2(written.root, "train", validation=0)
        with ThreadPoolExecutor(4) as pool:
            for place, sample in enumerate(pool.map(dataset.read, [0, 1, 2, 3] * 2)):
                np.testing.assert_array_equal(sample.rgb, written.rgb[written.train[place % 4] - 1])


def test_missing_files_are_named_with_where_they_come_from(copy: Path) -> None:
    (copy / "splits.mat").unlink()
    (copy / "classMapping40.mat").unlink()
    with pytest.raises(FileNotFoundError, match=r"splits\.mat .*horatio.*Mapping40\.mat .*github"):
        NYUv2(copy, "train")


@pytest.mark.parametrize("name", ["nyu_depth_v2_labeled.mat", "splits.mat", "classMapping40.mat"])
def test_a_file_that_is_damaged_or_another_is_named(copy: Path, name: str) -> None:
    whole = (copy / name).read_bytes()
    other = "splits.mat" if name.startswith("nyu") else "nyu_depth_v2_labeled.mat"  # its version
    for content in (
        whole[: len(whole) * 2 // 3],
        b"",
        b"<html>404 not found</html>",
        (copy / other).read_bytes(),
    ):
        (copy / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} .*download"):
            NYUv2(copy, "train")


def test_damage_inside_the_file_names_file_and_frame(copy: Path) -> None:
    path = copy / "nyu_depth_v2_labeled.mat"
    with h5py.File(path) as file:
        chunk = file["images"].id.get_chunk_info(2)
        place = chunk.byte_offset + file.userblock_size
    with path.open("r+b") as raw:
        raw.seek(place)
        raw.write(b"\xff" * min(chunk.size, 512))
    with pytest.raises(ValueError, match=r"labeled\.mat, frame 0003.*download it again"):
        NYUv2(copy, "test")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("labels", 895, "label 895"), ("depths", 2400, "metres"), ("images", 0, "black")],
)
def test_values_that_an_original_does_not_have_name_the_frame(
    copy: Path, name: str, value: float, message: str
) -> None:
    with h5py.File(copy / "nyu_depth_v2_labeled.mat", "r+") as file:
        file[name][2] = value
    with pytest.raises(ValueError, match=f"frame 0003 .*{message}"):
        NYUv2(copy, "test")
    NYUv2(copy, "train")  # it does not have this frame


def test_axes_that_were_not_reversed_are_refused(copy: Path) -> None:
    with h5py.File(copy / "nyu_depth_v2_labeled.mat", "r+") as file:
        depths = file["depths"][()].transpose(0, 2, 1)
        del file["depths"]
        file["depths"] = depths
    with pytest.raises(ValueError, match=r"depths is .*480, 640"):
        NYUv2(copy, "test")


@pytest.mark.parametrize(
    ("train", "message"),
    [([1, 2, 4], "exactly one .*0005"), ([1, 2, 3, 4, 5], "exactly one .*0003")],
)
def test_splits_that_leave_out_or_repeat_a_frame(
    copy: Path, train: list[int], message: str
) -> None:
    columns: Any = {"trainNdxs": np.array([train]).T, "testNdxs": np.array([[3], [6]])}
    scipy.io.savemat(copy / "splits.mat", columns)
    with pytest.raises(ValueError, match=message):
        NYUv2(copy, "train")


def test_a_mapping_of_another_data_set_is_refused(copy: Path) -> None:
    values: Any = {"mapClass": np.arange(1, 14, dtype=np.uint8)[None]}
    scipy.io.savemat(copy / "classMapping40.mat", values)
    with pytest.raises(ValueError, match="mapClass has 13"):
        NYUv2(copy, "train")


def test_a_matlab_file_without_the_variable(copy: Path) -> None:
    shutil.copy(copy / "classMapping40.mat", copy / "splits.mat")
    with pytest.raises(ValueError, match="trainNdxs, testNdxs"):
        NYUv2(copy, "train")
