"""Frames from files: what is read, and what is refused with which words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fafnet_core.datasets.frame_folder import FrameFolder
from fafnet_core.datasets.frames import (
    by_number,
    find_camera_file,
    read_camera_file,
    read_depth,
    read_rgb,
)

CAMERA = "width: 8\nheight: 6\nfx: 9.0\nfy: 9.5\ncx: 3.5\ncy: 2.5\ndepth_unit_m: 0.001\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("rgb", "depth"):
        (tmp_path / name).mkdir()
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"rgb/{i}.png"), np.full((6, 8, 3), (i, 20, 30), np.uint8))
        cv2.imwrite(str(tmp_path / f"depth/{i}.png"), np.full((6, 8), 1000 + i, np.uint16))
    (tmp_path / "camera.yaml").write_text(CAMERA)
    return tmp_path


def test_a_folder_gives_rgb_metres_and_the_camera(folder: Path) -> None:
    frames = FrameFolder(folder)
    assert (len(frames), frames.names, frames.unpaired) == (3, ["0", "1", "2"], [])
    last = list(frames)[2]
    assert last.rgb[0, 0].tolist() == [30, 20, 2]
    assert last.depth_m.dtype == np.float32
    np.testing.assert_allclose(last.depth_m, 1.002, rtol=1e-6)
    assert last.camera.matrix.tolist() == [[9, 0, 3.5], [0, 9.5, 2.5], [0, 0, 1]]


def test_names_without_a_partner_are_told(folder: Path) -> None:
    (folder / "rgb" / "1.png").unlink()
    (folder / "depth" / "0.png").rename(folder / "depth" / "9.png")
    frames = FrameFolder(folder)
    assert (frames.names, frames.unpaired) == (["2"], ["0", "1", "9"])
    assert (frames.without_depth, frames.without_colour) == (["0"], ["1", "9"])


def test_numbers_in_names_compare_as_numbers(folder: Path) -> None:
    for name in ("rgb", "depth"):
        (folder / name / "0.png").rename(folder / name / "10.png")
        (folder / name / "1.png").rename(folder / name / "frame-1.5_b.png")
    assert FrameFolder(folder).names == ["2", "10", "frame-1.5_b"]
    order = ["1", "01", "2", "a", "a1b9", "a1b10", "a01b11", "b"]
    assert sorted(order, key=by_number) == ["01", "1", "2", "a", "a1b9", "a1b10", "a01b11", "b"]


def test_hidden_files_are_no_frames(folder: Path) -> None:
    for name in ("rgb", "depth"):
        (folder / name / "._1.png").write_bytes(b"\0\5\x16\7")
        (folder / name / ".DS_Store").touch()
    frames = FrameFolder(folder)
    assert (frames.names, frames.unpaired) == (["0", "1", "2"], [])


def test_folders_that_cannot_be_read_say_why(folder: Path) -> None:
    for path in (folder / "rgb").iterdir():
        path.rename(path.with_name("x" + path.name))
    with pytest.raises(ValueError, match="share no name"):
        FrameFolder(folder)
    (folder / "camera.yaml").unlink()
    with pytest.raises(FileNotFoundError, match=r"no camera\.yaml in"):
        FrameFolder(folder)
    with pytest.raises(FileNotFoundError, match="color/ or colour/ or rgb/ or image/"):
        FrameFolder(folder / "depth")


def test_another_size_than_the_cameras_is_refused(folder: Path) -> None:
    cv2.imwrite(str(folder / "depth/1.png"), np.ones((5, 8), np.uint16))
    with pytest.raises(ValueError, match=r"1.png is 8x5, .* 8x6"):
        FrameFolder(folder)[1]


def test_saturated_depth_is_no_depth_and_8_bits_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.png"
    cv2.imwrite(str(path), np.array([[0, 1500, 65535]], np.uint16))
    np.testing.assert_allclose(read_depth(path, 0.001), [[0, 1.5, 0]])
    cv2.imwrite(str(path), np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        read_depth(path)


def test_depth_arrays_are_metres_already(tmp_path: Path) -> None:
    path = tmp_path / "d.npy"
    np.save(path, np.array([[1.25]]))
    assert read_depth(path, 0.001).tolist() == [[1.25]]
    np.save(path, np.array([[1250]]))
    with pytest.raises(ValueError, match="floats in metres"):
        read_depth(path)
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="no objects"):  # nothing is unpickled
        read_depth(path)
    with path.open("wb") as file:
        np.savez(file, a=np.zeros((2, 2)))
    with pytest.raises(ValueError, match="magic"):
        read_depth(path)


@pytest.mark.parametrize(
    ("name", "stored", "unit"),
    [("d.tiff", np.float32, 1.0), ("d.pfm", np.float32, 1.0), ("d.pgm", np.uint16, 0.001)],
)
def test_floats_are_metres_and_counts_are_of_the_unit(
    name: str, stored: type, unit: float, tmp_path: Path
) -> None:
    values = np.array([[0, 1500, 2000]], stored) * stored(0.001 if unit == 1 else 1)
    cv2.imwrite(str(tmp_path / name), values.astype(stored))
    np.testing.assert_allclose(read_depth(tmp_path / name), [[0, 1.5, 2]], rtol=1e-6)


def test_several_channels_of_depth_have_to_be_equal(tmp_path: Path) -> None:
    path = tmp_path / "d.tiff"
    values = np.repeat(np.array([[[0.5]], [[np.nan]]], np.float32), 3, 2)
    # Old OpenCV's own choice for three channels of floats loses a part of them.
    whole = [cv2.IMWRITE_TIFF_COMPRESSION, 1]
    cv2.imwrite(str(path), values, whole)
    np.testing.assert_array_equal(read_depth(path), [[0.5], [np.nan]])
    cv2.imwrite(str(path), values * np.array([1, 2, 3], np.float32), whole)
    with pytest.raises(ValueError, match=r"float32 with shape \(2, 1, 3\)"):
        read_depth(path)


def test_exr_is_refused_where_its_decoder_is_not_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENCV_IO_ENABLE_OPENEXR", raising=False)
    (tmp_path / "d.exr").touch()
    with pytest.raises(ValueError, match="OPENCV_IO_ENABLE_OPENEXR=1"):
        read_depth(tmp_path / "d.exr")


@pytest.mark.usefixtures("exr_allowed")
def test_exr_is_read_where_its_decoder_is_allowed(tmp_path: Path) -> None:
    code = (
        "import sys, cv2, numpy as np; from fafnet_core.datasets.frames import read_depth\n"
        "assert cv2.imwrite(sys.argv[1], np.full((2, 3), 1.5, np.float32))\n"
        "assert read_depth(sys.argv[1]).tolist() == 2 * [3 * [1.5]]"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "d.exr")], timeout=60, check=True)


def test_an_opencv_without_exr_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCV_IO_ENABLE_OPENEXR", "1")
    monkeypatch.setattr(cv2, "haveImageWriter", lambda name: False)
    (tmp_path / "d.exr").touch()
    with pytest.raises(ValueError, match=r"built without OpenEXR.*float TIFF"):
        read_depth(tmp_path / "d.exr")


@pytest.mark.parametrize("content", [b"no image", b""])
def test_broken_images_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.png"
    with pytest.raises(FileNotFoundError, match=str(path)):
        read_rgb(path)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} .*cut short"):
        read_rgb(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CAMERA + "fz: 1", "unknown key 'fz'"),
        ("fx: 1\nfy: 1\ncx: 0\n", "lacks cy"),
        (CAMERA.replace("9.0", "wide"), "fx is 'wide'"),
        (CAMERA.replace("9.0", "0"), "fx is 0"),
        (CAMERA.replace("3.5", ".nan"), "cx is '.nan'"),
        (CAMERA.replace("width: 8", "width: 8.5"), "width is 8.5"),
        ("%YAML:1.0\n---\nfx: 1", "not YAML"),
        ("", "lacks fx, fy, cx, cy"),
    ],
)
def test_camera_files_that_do_not_fit_say_why(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_camera_file(path)


def test_two_images_of_one_name_are_refused(folder: Path) -> None:
    cv2.imwrite(str(folder / "rgb/1.jpg"), np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r"1\.jpg and 1\.png have the same name"):
        FrameFolder(folder)


def test_a_camera_file_is_found_beside_and_above(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder / "depth")
    assert find_camera_file(Path("0.png")) == folder / "camera.yaml"
    assert find_camera_file(folder / "depth" / "0.png") == folder / "camera.yaml"
    assert find_camera_file(folder) == folder / "camera.yaml"


def test_the_real_sequences_can_be_read(shared_data: Path) -> None:
    kinect = FrameFolder(shared_data / "kinect-v1-sequence")
    assert (len(kinect), kinect.unpaired) == (20, [])
    frame = kinect[0]
    assert frame.rgb.shape == (480, 640, 3)
    assert 0.3 < np.median(frame.depth_m[frame.depth_m > 0]) < 5
    assert frame.depth_m.max() < 20
    assert len(FrameFolder(shared_data / "nyuv2")) == 4


@pytest.mark.parametrize("kept", [0, 40, 200])
def test_a_npy_file_that_is_cut_short_is_named(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.npy"
    np.save(path, np.ones((20, 20)))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"cut\.npy .*cut short"):
        read_depth(path)
