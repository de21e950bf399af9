"""`fafnet hha`: files in, files out, and what happens when one of them is bad."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core.cli.main import main
from fafnet_core.hha import encode_hha

SHAPE = (24, 32)
CAMERA = np.array([[30.0, 0, 15.5], [0, 30.0, 11.5], [0, 0, 1]])
INTRINSICS = ["--fx", "30", "--fy", "30", "--cx", "15.5", "--cy", "11.5"]
CAMERA_YAML = "width: 32\nheight: 24\nfx: 30\nfy: 30\ncx: 15.5\ncy: 11.5\ndepth_unit_m: 0.001\n"


def counts(seed: int) -> NDArray[np.uint16]:
    depth: NDArray[np.uint16] = np.random.default_rng(seed).integers(900, 4000, SHAPE, np.uint16)
    depth[:3, :3] = 0
    return depth


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three depth images, one in a subfolder, and their camera file."""
    (tmp_path / "depth" / "kitchen").mkdir(parents=True)
    (tmp_path / "camera.yaml").write_text(CAMERA_YAML)
    for seed, name in enumerate(("a", "b", "kitchen/a")):
        cv2.imwrite(str(tmp_path / "depth" / f"{name}.png"), counts(seed))
    return tmp_path


def read_hha(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None
    rgb: NDArray[np.uint8] = np.ascontiguousarray(image[..., ::-1], np.uint8)
    return rgb


def reported(capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    report: dict[str, int] = json.loads(capsys.readouterr().out)
    return report


def test_hidden_files_are_no_images_and_floats_are_metres(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "depth" / "._a.png").write_bytes(b"\0\5\x16\7")  # macOS's, beside a.png
    metres = counts(5).astype(np.float32) * np.float32(0.001)
    cv2.imwrite(str(folder / "depth" / "c.pfm"), metres)
    assert main(["hha", str(folder), "--out", str(folder / "hha"), "--json"]) == 0
    assert reported(capsys) == {"written": 4, "skipped": 0, "failed": 0}
    np.testing.assert_array_equal(read_hha(folder / "hha" / "c.png"), encode_hha(metres, CAMERA))


def test_a_folder_is_converted_with_its_subfolders(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "hha"
    assert main(["hha", str(folder), "--out", str(out), "--json"]) == 0
    assert reported(capsys) == {"written": 3, "skipped": 0, "failed": 0}
    expected = encode_hha(counts(2).astype(np.float32) * np.float32(0.001), CAMERA)
    np.testing.assert_array_equal(read_hha(out / "kitchen" / "a.png"), expected)
    assert sorted(path.name for path in out.rglob("*.*")) == ["a.png", "a.png", "b.png"]


def test_what_is_there_is_skipped_unless_older_or_forced(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Inside of the input folder: results are not taken for input.
    command = ["hha", str(folder), "--out", str(folder / "depth" / "hha"), "--json"]

    def again(*options: str) -> tuple[int, int]:
        assert main([*command, *options]) == 0
        counts = reported(capsys)
        assert counts["failed"] == 0
        return counts["written"], counts["skipped"]

    assert again() == (3, 0)
    os.utime(folder / "depth" / "hha" / "b.png", (0, 0))
    assert again() == (1, 2)
    assert again("--force") == (3, 0)
    os.utime(folder / "camera.yaml", (2e9, 2e9))
    assert again() == (3, 0)


def test_a_bad_file_is_reported_and_the_others_go_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "depth" / "b.png").write_bytes(b"no image")
    assert main(["hha", str(folder), "--out", str(folder / "hha"), "--json"]) == 1
    output = capsys.readouterr()
    assert json.loads(output.out) == {"written": 2, "skipped": 0, "failed": 1}
    assert "b.png" in output.err
    assert not (folder / "hha" / "b.png").exists()


def test_processes_write_what_one_process_writes(folder: Path) -> None:
    for seed in range(10):
        cv2.imwrite(str(folder / "depth" / f"more{seed}.png"), counts(seed))
    for jobs in ("1", "2"):
        assert main(["hha", str(folder), "--out", str(folder / jobs), "--jobs", jobs]) == 0
    for path in (folder / "1").rglob("*.png"):
        assert path.read_bytes() == (folder / "2" / path.relative_to(folder / "1")).read_bytes()


def test_one_npy_file_in_metres_with_the_camera_on_the_command_line(tmp_path: Path) -> None:
    depth = np.full(SHAPE, 2.0, np.float32)
    np.save(tmp_path / "depth.npy", depth)
    out = tmp_path / "new" / "hha.png"
    command = ["hha", str(tmp_path / "depth.npy"), "--out", str(out), *INTRINSICS]
    assert main([*command, "--gravity", "0", "0", "1"]) == 0
    np.testing.assert_array_equal(read_hha(out), encode_hha(depth, CAMERA, gravity=(0, 0, 1)))


def test_raw_zeros_and_the_depth_unit_are_minded(folder: Path) -> None:
    raw = folder / "raw"
    (raw / "kitchen").mkdir(parents=True)
    missing = np.zeros(SHAPE, np.bool_)
    missing[8:20, 8:20] = True
    for name in ("a", "b", "kitchen/a"):
        cv2.imwrite(str(raw / f"{name}.png"), np.where(missing, 0, 1000).astype(np.uint16))
    out = folder / "hha"
    options = ["--raw", str(raw), "--depth-unit", "0.002"]
    assert main(["hha", str(folder), "--out", str(out), *options]) == 0
    depth = counts(1).astype(np.float32) * np.float32(0.002)
    np.testing.assert_array_equal(
        read_hha(out / "b.png"), encode_hha(depth, CAMERA, missing=missing)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}", "--out", "hha", "--fx", "30"], "together"),
        (["{folder}", "--out", "hha", "--depth-unit", "0"], "0 < x"),
        (["{folder}", "--out", "hha", "--gravity", "0", "0", "0"], "not zero"),
        (["{folder}", "--out", "hha", "--jobs", "0"], "at least 1"),
        (["{folder}", "--out", "hha", "--raw", "nowhere"], "no folder"),
        (["{folder}", "--out", "hha", "--camera", "nowhere.yaml"], "nowhere.yaml"),
        (["nowhere", "--out", "hha", *INTRINSICS], "no depth image"),
        (["{folder}/empty", "--out", "hha", *INTRINSICS], "no depth image"),
        (["{folder}", "--out", "{folder}/depth"], "itself"),
        (["{folder}/depth/a.png", "--out", "{folder}/depth/a.png"], "itself"),
        (["{folder}/twice", "--out", "hha", *INTRINSICS], "both become"),
    ],
)
def test_a_wrong_question_is_status_2(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("empty", "twice"):
        (folder / name).mkdir()
    for suffix in ("png", "npy"):
        (folder / "twice" / f"a.{suffix}").touch()
    with pytest.raises(SystemExit) as wrong:
        main(["hha", *(argument.format(folder=folder) for argument in arguments)])
    assert wrong.value.code == 2
    assert message in capsys.readouterr().err
