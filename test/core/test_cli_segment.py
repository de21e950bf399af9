"""`fafnet segment` as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core import build_model, load_checkpoint, save_checkpoint
from fafnet_core.cli.main import main
from fafnet_core.datasets.frame_folder import FrameFolder
from fafnet_core.inference import Segmenter
from fafnet_core.inference.alignment import Alignment
from fafnet_core.labels import NYU13, NYU40, load_mapping
from fafnet_core.models.config import PRESETS
from fafnet_core.rooms import Tour, pinhole, render

CAMERA = pinhole(96, 72)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "room"
    for name in ("color", "depth"):
        (root / name).mkdir(parents=True)
    tour = Tour.of(1)
    for i in range(2):
        seen = render(tour.room.scene, CAMERA, tour.pose(i / 2))
        cv2.imwrite(str(root / f"color/{i}.png"), seen.rgb[..., ::-1])
        cv2.imwrite(str(root / f"depth/{i}.png"), (seen.depth_m * 1000).astype(np.uint16))
    (root / "camera.yaml").write_text(
        f"fx: {CAMERA.fx}\nfy: {CAMERA.fy}\ncx: {CAMERA.cx}\ncy: {CAMERA.cy}\n"
    )
    return root


def test_a_folder_is_labelled_with_overlays(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    options = ["--overlay", "--show", "flow", "--json", "--checkpoint", "untrained:fafnet-nano"]
    assert main(["segment", str(folder), "--out", str(out), *options]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert report["frames"] == 2
    assert report["failed"] == {}
    assert "random weights" in printed.err  # what the network is not for is said
    for i in range(2):
        labels = cv2.imread(str(out / f"labels/{i}.png"), cv2.IMREAD_UNCHANGED)
        assert labels is not None
        assert labels.shape == (72, 96)
        assert labels.dtype == np.uint8
        assert labels.max() < 40
        assert (out / f"overlay/{i}.png").is_file()
        assert (out / f"flow/{i}.png").is_file()
    assert json.loads((out / "label_names.json").read_text())["names"] == list(NYU40.names)


def test_labels_may_be_of_other_classes(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = []
    asked = ["segment", str(folder), "--checkpoint", "untrained:fafnet-nano", "--runtime", "torch"]
    for name, option in (("own", []), ("other", ["--label-map", "nyu13"])):
        assert main([*asked, "--out", str(tmp_path / name), *option]) == 0
        image = cv2.imread(str(tmp_path / name / "labels/0.png"), cv2.IMREAD_UNCHANGED)
        assert image is not None
        labels.append(image.astype(np.uint8))
    np.testing.assert_array_equal(labels[1], load_mapping("nyu40", "nyu13").apply(labels[0]))
    written = json.loads((tmp_path / "other/label_names.json").read_text())
    assert written["names"] == list(NYU13.names)
    assert main([*asked, "--out", str(tmp_path / "none"), "--label-map", "nyu31.yaml"]) == 1
    assert "--label-map: there is no file 'nyu31.yaml'" in capsys.readouterr().err


def test_the_network_sees_the_size_that_is_asked_for(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "net.safetensors"
    model = load_checkpoint("default")
    save_checkpoint(checkpoint, model, input_size=(54, 72))
    found: dict[str, list[NDArray[np.uint8]]] = {}
    for asked, wanted in (("checkpoint", [54, 72]), ("48x36", [36, 48]), ("image", None)):
        out = tmp_path / asked
        arguments = ["segment", str(folder), "--out", str(out), "--checkpoint", str(checkpoint)]
        option = [] if asked == "checkpoint" else ["--input-size", asked]
        option += ["--precision", "float32", "--runtime", "torch"]  # nothing to compile
        assert main([*arguments, *option, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["input_size"] == wanted
        images = [cv2.imread(str(out / f"labels/{i}.png"), cv2.IMREAD_UNCHANGED) for i in (0, 1)]
        found[asked] = [image.astype(np.uint8) for image in images if image is not None]
        segmenter = Segmenter.of_model(
            model,
            device="cpu",
            precision="float32",
            runtime="torch",
            input_size=(wanted[0], wanted[1]) if wanted else None,
        )
        for frame, labels in zip(FrameFolder(folder), found[asked], strict=True):
            expected = segmenter.segment_frame(frame).labels
            assert labels.shape == (72, 96)
            assert (labels == expected).mean() > 0.999
    assert (found["checkpoint"][0] != found["48x36"][0]).any()


def test_flow_is_shown_of_what_the_network_saw(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    def sheet(rgb: NDArray[np.uint8], alignments: list[Alignment], name: str) -> NDArray[np.uint8]:
        drawn.append((rgb.shape, alignments[0].flow.shape))
        return rgb

    monkeypatch.setattr("fafnet_core.inference.alignment_sheet", sheet)
    arguments = ["segment", str(folder), "--out", str(tmp_path), "--input-size", "64x48"]
    assert main([*arguments, "--show", "flow"]) == 0
    assert drawn == 2 * [((48, 64, 3), (2, 12, 16))]  # the first FAM is at stride 4


def test_a_pair_of_images_is_labelled(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pair = [str(folder / "color/1.png"), str(folder / "depth/1.png")]
    assert main(["segment", *pair, "--out", str(out)]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["label_names.json", "labels"]
    assert [p.name for p in (out / "labels").iterdir()] == ["1.png"]


def test_one_bad_frame_fails_and_the_others_are_labelled(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "depth/0.png").write_bytes(b"nothing")
    out = tmp_path / "out"
    assert main(["segment", str(folder), "--out", str(out)]) == 1
    assert [p.name for p in (out / "labels").iterdir()] == ["1.png"]
    assert "0: " in capsys.readouterr().err


def test_what_has_no_partner_and_what_has_no_depth_is_counted(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "depth/1.png").rename(folder / "depth/7.png")
    cv2.imwrite(str(folder / "depth/0.png"), np.zeros((72, 96), np.uint16))
    asked = [
        "segment",
        str(folder),
        "--checkpoint",
        "untrained:fafnet-nano",
        "--runtime",
        "torch",
        "--out",
    ]
    assert main([*asked, str(tmp_path / "a")]) == 0
    printed = capsys.readouterr()
    said = "1 of 2 colour images labelled; 1 have no depth image of the same name, "
    assert said in printed.out
    assert "1 colour images have no depth image of the same name ('1', ...)" in printed.err
    assert "1 depth images have no colour image of the same name ('7', ...)" in printed.err
    assert "1 of 1 frames have (nearly) no depth: labels lean on colour alone" in printed.err
    assert main([*asked, str(tmp_path / "b"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["unmatched"] == {"rgb": 1, "depth": 1}
    assert report["without_depth"] == 1


def test_labels_that_are_there_are_replaced_only_when_asked(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    (out / "labels").mkdir(parents=True)
    precious = out / "labels/1.png"
    precious.write_bytes(b"ground truth")
    asked = ["segment", str(folder), "--out", str(out)]
    with pytest.raises(SystemExit) as wrong:
        main(asked)
    assert wrong.value.code == 2
    assert "1 of these frames (1.png)" in capsys.readouterr().err
    assert precious.read_bytes() == b"ground truth"
    assert [path.name for path in (out / "labels").iterdir()] == ["1.png"]
    assert main([*asked, "--overwrite"]) == 0
    labels = cv2.imread(str(precious), cv2.IMREAD_UNCHANGED)
    assert labels is not None
    assert labels.shape == (72, 96)


def test_errors_are_one_line_and_a_status(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["segment", str(folder), "--out", str(tmp_path), "--checkpoint", "no.pth"]) == 1
    error = capsys.readouterr().err
    assert "no checkpoint at no.pth" in error
    checkpoint = tmp_path / "plain.safetensors"
    plain = replace(
        PRESETS["fafnet-nano"].config, fusion_alignment="none", decoder_alignment="none"
    )
    save_checkpoint(checkpoint, build_model(plain))
    asked = ["segment", str(folder), "--out", str(tmp_path / "x"), "--checkpoint", str(checkpoint)]
    assert main([*asked, "--show", "flow"]) == 1
    assert "no FAM to show" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    assert main(["segment", str(folder), "--out", str(tmp_path), "--input-size", "320x9"]) == 1
    assert "input_size is 320x9 (width x height), too small" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["segmnt"], "invalid choice"),
        (["segment", "{folder}", "--out", "{folder}"], "ground truth"),
        (["segment", "{folder}", "{folder}", "--out", "x"], "one folder, or one colour"),
        (["segment", "nothing", "--out", "x"], "there is no nothing"),
        (["segment", "{folder}", "--out", "x", "--precision", "float61"], "float61"),
        (["segment", "{folder}", "--out", "x", "--show", "fow"], "flow"),
        (["segment", "{folder}", "--out", "x", "--input-size", "320"], "wanted WIDTHxHEIGHT"),
    ],
)
def test_what_is_asked_wrongly_ends_with_status_2(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as wrong:
        main([argument.format(folder=folder) for argument in arguments])
    assert wrong.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["segment", "hha", "info", "convert"])
def test_help_has_an_example_and_does_not_wait_for_pytorch(verb: str) -> None:
    code = (
        "import sys; from fafnet_core.cli.main import main\n"
        f"try: main(['{verb}', '--help'])\n"
        "finally: assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"fafnet {verb} " in done.stdout.split("example")[1]


def test_python_m_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fafnet_core", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith("fafnet ")
