"""Recordings as other tools lay them in folders: recognised and read right, or refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core.cli.main import main
from fafnet_core.datasets.frame_folder import FrameFolder
from fafnet_core.registration import Extrinsics

K = (60.0, 61.0, 39.0, 29.0)
"""fx, fy, cx, cy of images of 80x60."""
CAMERA_YAML = "fx: 60\nfy: 61\ncx: 39\ncy: 29\n"


def colour(path: Path, size: tuple[int, int] = (80, 60)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((size[1], size[0], 3), (10, 20, 30), np.uint8))


def counts(path: Path, value: int | NDArray[np.uint16], size: tuple[int, int] = (80, 60)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((size[1], size[0]), value, np.uint16) if isinstance(value, int) else value
    cv2.imwrite(str(path), image)


def matrix(k: tuple[float, ...]) -> NDArray[np.float64]:
    return np.array([[k[0], 0, k[2]], [0, k[1], k[3]], [0, 0, 1]])


# TUM RGB-D


def tum(
    root: Path, colour_stamps: list[float], depth_stamps: list[float], size: tuple[int, int]
) -> Path:
    for kind, stamps in (("rgb", colour_stamps), ("depth", depth_stamps)):
        lines = [f"# {kind} images", "# file: 'x.bag'", "# timestamp filename"]
        for i, stamp in enumerate(stamps):
            path = root / f"{kind}/{stamp:.6f}.png"
            if kind == "rgb":
                colour(path, size)
            else:
                counts(path, 5000 * (i + 1), size)
            lines.append(f"{stamp:.6f} {path.relative_to(root)}")
        (root / f"{kind}.txt").write_text("\n".join(lines) + "\n")
    return root


def test_tum_is_paired_by_stamps_with_its_own_unit_and_camera(tmp_path: Path) -> None:
    root = tmp_path / "rgbd_dataset_freiburg2_desk"
    frames = FrameFolder(tum(root, [99.9, 100.00, 100.03], [100.012, 100.031, 200.0], (640, 480)))
    assert frames.layout.name == "tum"
    assert frames.names == ["100.000000", "100.030000"]
    assert (frames.without_depth, frames.without_colour) == (["99.900000"], ["200.000000"])
    assert [frame.depth_m[0, 0] for frame in frames] == pytest.approx([1, 2])
    assert frames[0].camera.matrix.tolist() == matrix((520.9, 521.0, 325.1, 249.7)).tolist()
    assert "TUM's freiburg2, by the folder's name" in frames.found
    assert frames.notes == ()


def test_the_nearest_stamps_pair_first_and_the_slop_is_the_users(tmp_path: Path) -> None:
    root = tum(tmp_path, [1.00, 1.02, 1.30], [1.016, 1.24], (80, 60))
    (root / "camera.yaml").write_text(CAMERA_YAML)
    assert FrameFolder(root).names == ["1.020000"]
    wide = FrameFolder(root, slop_s=0.07)
    assert wide.names == ["1.020000", "1.300000"]
    assert wide.partner == "within 0.07 s"
    with pytest.raises(ValueError, match=r"none of 3 colour and 2 depth .* larger slop"):
        FrameFolder(root, slop_s=0.001)


def test_a_camera_file_that_states_no_unit_leaves_tums(tmp_path: Path) -> None:
    root = tum(tmp_path / "fr1", [1.0], [1.0], (80, 60))
    with pytest.raises(ValueError, match="is 80x60, but its camera file says 640x480"):
        FrameFolder(root)[0]
    (root / "camera.yaml").write_text(CAMERA_YAML)
    frame = FrameFolder(root)[0]
    assert frame.camera.fx == 60
    assert frame.depth_m[0, 0] == pytest.approx(1)
    (root / "camera.yaml").write_text(CAMERA_YAML + "depth_unit_m: 0.001\n")
    assert FrameFolder(root)[0].depth_m[0, 0] == pytest.approx(5)
    assert FrameFolder(root, depth_unit_m=0.01)[0].depth_m[0, 0] == pytest.approx(50)


def test_a_camera_that_is_only_assumed_is_told(tmp_path: Path) -> None:
    frames = FrameFolder(tum(tmp_path / "kitchen", [1.0], [1.0], (640, 480)))
    assert frames.camera.fx == 525
    [note] = frames.notes
    assert "takes ROS's default" in note
    assert "camera.yaml" in note


def test_lists_that_do_not_fit_their_folder_name_line_and_file(tmp_path: Path) -> None:
    root = tum(tmp_path, [1.0, 2.0], [1.0, 2.0], (80, 60))
    (root / "rgb/1.000000.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of the 2 images that .*rgb\.txt names"):
        FrameFolder(root)
    (root / "rgb.txt").write_text("# nothing\n\nrgb/1.png 1.0\n")
    with pytest.raises(ValueError, match=r"rgb\.txt line 3 is 'rgb/1\.png 1\.0'"):
        FrameFolder(root)


# ScanNet


def scannet(root: Path, size: tuple[int, int] = (162, 121)) -> Path:
    """A scene whose left half is 1 m away and whose right half 2 m; colour is finer."""
    depth = np.full((60, 80), 1000, np.uint16)
    depth[:, 40:] = 2000
    for name in ("2", "10"):
        colour(root / f"color/{name}.jpg", size)
        counts(root / f"depth/{name}.png", depth)
    (root / "intrinsic").mkdir()
    cameras = {"color": (120.0, 122.0, 80.5, 60.0), "depth": K}
    for kind, k in cameras.items():
        four = np.eye(4)
        four[:3, :3] = matrix(k)
        np.savetxt(root / f"intrinsic/intrinsic_{kind}.txt", four, fmt="%f")
        np.savetxt(root / f"intrinsic/extrinsic_{kind}.txt", np.eye(4), fmt="%f")
    return root


def test_scannets_depth_is_registered_to_its_larger_colour(tmp_path: Path) -> None:
    frames = FrameFolder(scannet(tmp_path))
    assert (frames.layout.name, frames.names) == ("scannet", ["2", "10"])
    frame = frames[0]
    assert frame.was_registered
    assert frame.size == (121, 162)
    assert frame.camera.fx == 120
    # The edge lies between depth's columns 39 and 40, half a column off its axis.
    edge = 80.5 + 120 * 0.5 / 60
    columns = np.arange(162)
    seen = frame.depth_m[60]
    np.testing.assert_allclose(seen[(columns > 5) & (columns < edge - 2)], 1, rtol=1e-6)
    np.testing.assert_allclose(seen[(columns > edge + 2) & (columns < 150)], 2, rtol=1e-6)


def test_scannets_transforms_count(tmp_path: Path) -> None:
    root = scannet(tmp_path)
    still = FrameFolder(root)[0].depth_m[60]
    moved = np.eye(4)
    moved[0, 3] = 0.05
    np.savetxt(root / "intrinsic/extrinsic_depth.txt", moved, fmt="%f")
    shifted = FrameFolder(root)[0].depth_m[60]
    # What is 1 m away moves by 0.05 m of 120 pixels to the right, over what lies behind it.
    edge = int(np.flatnonzero(still == 2)[0])
    assert np.flatnonzero(shifted[:150] == 2)[0] == pytest.approx(edge + 6, abs=1)


def test_colour_that_was_resized_after_the_export_is_refused(tmp_path: Path) -> None:
    frames = FrameFolder(scannet(tmp_path, (80, 60)))
    with pytest.raises(ValueError, match=r"2\.jpg is 80x60, .* centre at \(80\.5, 60\).*resized"):
        frames[0]
    (tmp_path / "camera.yaml").write_text(CAMERA_YAML)
    assert FrameFolder(tmp_path)[0].camera.fx == 60


# Record3D


def record3d_metadata(path: Path, **more: object) -> None:
    k = matrix((120.0, 122.0, 80.0, 60.0)).T.ravel().tolist()  # column by column
    path.write_text(json.dumps({"K": k, "w": 160, "h": 120, "fps": 60, "poses": [], **more}))


def test_record3ds_packed_depth_needs_its_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lzfse", None)  # as where it is not installed
    colour(tmp_path / "rgbd/0.jpg", (160, 120))
    (tmp_path / "rgbd/0.depth").write_bytes(b"bvx-")
    record3d_metadata(tmp_path / "metadata")
    with pytest.raises(ValueError, match=r"0\.depth is packed with LZFSE.*\[record3d\].*EXR"):
        FrameFolder(tmp_path)


def test_record3ds_packed_depth_is_read(tmp_path: Path) -> None:
    lzfse = pytest.importorskip("lzfse", reason="the library lzfse is not installed")
    metres = np.full((30, 40), 1.5, "<f4")
    metres[0, 0] = np.nan
    for i in (2, 10):
        colour(tmp_path / f"rgbd/{i}.jpg", (160, 120))
        (tmp_path / f"rgbd/{i}.depth").write_bytes(lzfse.compress(metres.tobytes()))
        (tmp_path / f"rgbd/{i}.conf").write_bytes(b"")
    record3d_metadata(tmp_path / "metadata", dw=40, dh=30)
    frames = FrameFolder(tmp_path)
    assert (frames.layout.name, frames.names) == ("record3d", ["2", "10"])
    assert "depth in metres" in frames.found
    with pytest.raises(ValueError, match="depth in metres: leave the depth unit out"):
        FrameFolder(tmp_path, depth_unit_m=0.001)
    frame = frames[0]
    assert (frame.camera.fx, frame.camera.cx, frame.size) == (120, 80, (120, 160))
    assert np.median(frame.depth_m) == 1.5
    record3d_metadata(tmp_path / "metadata", dw=41, dh=30)
    with pytest.raises(ValueError, match=r"2\.depth holds 4800 bytes; wanted .* 41x30"):
        FrameFolder(tmp_path)[0]
    (tmp_path / "rgbd/2.depth").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not packed with LZFSE, or it is cut short"):
        FrameFolder(tmp_path)[0]


@pytest.mark.usefixtures("exr_allowed")
def test_record3ds_exr_is_read_where_opencv_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    colour(tmp_path / "rgb/0.jpg", (160, 120))
    record3d_metadata(tmp_path / "metadata.json")
    # OpenCV looks at the variable once in a process.
    code = (
        "import sys, cv2, numpy as np\n"
        "from fafnet_core.datasets.frame_folder import FrameFolder\n"
        "path = sys.argv[1] + '/depth/0.exr'\n"
        "assert cv2.imwrite(path, np.full((30, 40), 1.5, np.float32))\n"
        "frames = FrameFolder(sys.argv[1])\n"
        "assert frames.layout.name == 'record3d', frames.found\n"
        "assert frames[0].depth_m.shape == (120, 160)\n"
        "assert np.median(frames[0].depth_m) == 1.5"
    )
    (tmp_path / "depth").mkdir()
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=60, check=True)
    monkeypatch.delenv("OPENCV_IO_ENABLE_OPENEXR")
    with pytest.raises(ValueError, match="OPENCV_IO_ENABLE_OPENEXR=1"):
        FrameFolder(tmp_path)


# Open3D


def open3d(root: Path, file: str, **more: object) -> Path:
    for i in range(2):
        colour(root / f"color/{i:05d}.jpg")
        counts(root / f"depth/{i:05d}.png", 2000)
    k = matrix(K).T.ravel().tolist()  # column by column
    values = {"width": 80, "height": 60, "intrinsic_matrix": k, **more}
    (root / file).write_text(json.dumps(values, indent=4))
    return root


@pytest.mark.parametrize(
    ("file", "more", "metres"),
    [
        ("camera_intrinsic.json", {}, 2.0),  # realsense_recorder.py
        ("intrinsic.json", {"serial_number": "1", "depth_mode": "NFOV"}, 2.0),  # Azure Kinect's
        ("intrinsic.json", {"depth_scale": 4000.0, "device_name": "L515"}, 0.5),  # RSBagReader
    ],
)
def test_open3ds_camera_lies_column_by_column(
    file: str, more: dict[str, object], metres: float, tmp_path: Path
) -> None:
    frames = FrameFolder(open3d(tmp_path, file, **more))
    assert frames.layout.name == "open3d"
    assert frames[1].camera.matrix.tolist() == matrix(K).tolist()
    assert frames[1].depth_m[0, 0] == pytest.approx(metres)
    assert not frames[1].was_registered


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "holds list"),
        ('{"width": 80}', "intrinsic_matrix is None; wanted nine numbers"),
        ('{"intrinsic_matrix": [60, 0, 39, 0, 61, 29, 0, 0, 1]}', "lies the other way around"),
        ('{"intrinsic_matrix": [0, 0, 0, 0, 0, 0, 0, 0, 1]}', "fx is 0"),
    ],
)
def test_a_camera_of_another_form_is_named(text: str, message: str, tmp_path: Path) -> None:
    root = open3d(tmp_path, "intrinsic.json")
    (root / "intrinsic.json").write_text(text)
    with pytest.raises(ValueError, match=rf"intrinsic\.json.*{message}"):
        FrameFolder(root)


# RealSense's tools


def test_rs_converts_depth_as_csv_goes_with_its_colour(tmp_path: Path) -> None:
    for stamp in (1500.25, 1533.5, 1600.0):
        colour(tmp_path / f"run_Color_{stamp:.14f}.png")
        (tmp_path / f"run_Color_metadata_{stamp:.14f}.txt").write_text("Stream: Color\n")
    for stamp in (1502.0, 1535.0):
        np.savetxt(tmp_path / f"run_Depth_{stamp:.14f}.csv", np.full((60, 80), 1.25), delimiter=",")
        colour(tmp_path / f"run_Depth_{stamp:.14f}.png")  # coloured for display
    with pytest.raises(FileNotFoundError, match=r"no camera\.yaml .*rs-enumerate-devices"):
        FrameFolder(tmp_path)
    (tmp_path / "camera.yaml").write_text(CAMERA_YAML)
    frames = FrameFolder(tmp_path)
    assert frames.layout.name == "realsense"
    assert frames.names == [f"run_{stamp:.14f}" for stamp in (1500.25, 1533.5)]
    assert frames.without_depth == [f"run_{1600:.14f}"]
    assert frames[0].depth_m[3, 4] == 1.25
    [doubt] = frames.notes
    assert "taken as registered" in doubt
    assert "depth_camera.yaml" in doubt


def test_the_viewers_raw_depth_has_its_camera_beside_it(tmp_path: Path) -> None:
    colour(tmp_path / "desk_Color.png")
    colour(tmp_path / "desk_Depth.png", (40, 30))  # coloured for display
    np.full((30, 40), 2000, "<u2").tofile(tmp_path / "desk_Depth.raw")
    (tmp_path / "desk_Depth_metadata.csv").write_text(
        "Frame Info: \nType,Depth\nFormat,Z16\nFrame Number,7\nTimestamp (ms),1.00\n"
        "Resolution x,40\nResolution y,30\nBytes per pixel,2\n\nIntrinsic:,\n"
        "Fx,30.000000\nFy,30.500000\nPPx,19.250000\nPPy,14.250000\nDistorsion,Brown Conrady\n"
    )
    (tmp_path / "camera.yaml").write_text(CAMERA_YAML)
    frames = FrameFolder(tmp_path)
    assert (frames.layout.name, frames.names) == ("realsense", ["desk"])
    [doubt] = frames.notes
    assert "--depth-to-color" in doubt
    frame = frames[0]
    assert frame.was_registered
    assert frame.depth_m[30, 40] == pytest.approx(2)
    aside = Extrinsics(np.eye(3), np.array([1.0, 0, 0]))  # 30 pixels at 2 m
    told = FrameFolder(tmp_path, depth_to_colour=aside)
    assert told.notes == ()
    assert (told[0].depth_m[30, :25] == 0).all()
    assert told[0].depth_m[30, 40] == pytest.approx(2)
    far = Extrinsics(np.eye(3), np.array([1000.0, 0, 0]))  # millimetres
    with pytest.raises(ValueError, match=r"left depth in 0\.0 %"):
        FrameFolder(tmp_path, depth_to_colour=far)[0]
    (tmp_path / "desk_Depth_metadata.csv").unlink()
    with pytest.raises(ValueError, match=r"desk_Depth\.raw has 2400 bytes, and nothing says"):
        FrameFolder(tmp_path)[0]


def test_depth_that_was_coloured_for_display_is_refused(tmp_path: Path) -> None:
    for stream in ("Color", "Depth"):
        colour(tmp_path / f"run_{stream}_12.png")
    with pytest.raises(ValueError, match=r"coloured for display.*FILE\.bag.*-v PREFIX"):
        FrameFolder(tmp_path)


# Which layout


def plain(root: Path) -> Path:
    colour(root / "rgb/a.png")
    counts(root / "depth/a.png", 1000)
    (root / "camera.yaml").write_text(CAMERA_YAML)
    return root


def test_a_folder_without_marks_is_plain(tmp_path: Path) -> None:
    frames = FrameFolder(plain(tmp_path))
    assert frames.layout.name == "plain"
    assert "1 frames, images of the same name; depth counts of 0.001 m" in frames.found
    with pytest.raises(ValueError, match="images that pair by name: leave the slop out"):
        FrameFolder(tmp_path, slop_s=0.1)
    with pytest.raises(ValueError, match="leave the transform between the cameras out"):
        FrameFolder(tmp_path, depth_to_colour=Extrinsics.identity())
    with pytest.raises(ValueError, match="unknown layout 'tumm': did you mean 'tum'"):
        FrameFolder(tmp_path, layout="tumm")


def test_a_name_wins_over_marks(tmp_path: Path) -> None:
    root = tum(plain(tmp_path), [1.0], [1.0], (80, 60))
    (root / "depth/1.000000.png").rename(root / "depth/b.png")
    with pytest.raises(FileNotFoundError, match="layout plain"):
        FrameFolder(root)
    assert FrameFolder(root, layout="plain").names == ["a"]


def test_segment_says_what_it_found_and_counts_by_the_layouts_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tum(tmp_path / "in", [1.0, 2.0], [1.01], (80, 60))
    (root / "camera.yaml").write_text(CAMERA_YAML)
    asked = ["--checkpoint", "untrained:fafnet-nano", "--runtime", "torch", "--slop", "0.015"]
    assert main(["segment", str(root), "--out", str(tmp_path / "out"), *asked]) == 0
    printed = capsys.readouterr()
    assert "fafnet: layout tum (TUM RGB-D): 1 frames, images within 0.015 s" in printed.err
    assert "1 colour images have no depth image within 0.015 s ('2.000000', ...)" in printed.err
    assert "1 of 2 colour images labelled; 1 have no depth image within 0.015 s" in printed.out
    assert [path.name for path in (tmp_path / "out/labels").iterdir()] == ["1.000000.png"]


def test_pick_reads_the_layouts_that_segment_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tum(tmp_path / "in", [1.0, 2.0], [1.01, 2.5], (80, 60))
    (root / "camera.yaml").write_text(CAMERA_YAML)
    asked = ["--checkpoint", "untrained:fafnet-nano", "--runtime", "torch", "--frames", "1"]
    assert main(["pick", str(root), "--out", str(tmp_path / "out"), *asked]) == 0
    assert "fafnet: layout tum (TUM RGB-D): 1 frames" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out/rgb").iterdir()] == ["1.000000.png"]


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (["rgb/a.png", "depth/a.png"], ["--layout", "tum"], "--layout is for folders"),
        (["."], ["--rgb", "/x"], "--rgb is for recordings"),
        (["."], ["--layout", "tumm"], "invalid choice"),
        (["x.r3d"], [], "unzip an .r3d first"),
    ],
)
def test_what_is_asked_wrongly_of_a_folder_ends_with_status_2(
    inputs: list[str],
    options: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = plain(tmp_path)
    (root / "x.r3d").touch()
    with pytest.raises(SystemExit) as wrong:
        main(["segment", *(str(root / each) for each in inputs), "--out", "x", *options])
    assert wrong.value.code == 2
    assert message in capsys.readouterr().err
