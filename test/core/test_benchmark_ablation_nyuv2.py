"""The ablation on real frames: reduced once, started from one file, reported for one test."""

from __future__ import annotations

import argparse
import json
import math
import shutil
from pathlib import Path

import ablation
import cv2
import numpy as np
import pytest
import torch
from ablation_data import RealFrames
from ablation_options import data_of, read_options
from ablation_report import write_report
from ablation_table import Result
from originals import NYU_CAMERA_MATRIX, NYU_SHAPE, room
from safetensors.torch import save_file
from torch import Tensor, nn

from fafnet_core.checkpoints.checkpoint import load_checkpoint
from fafnet_core.checkpoints.folded import normed_convolutions
from fafnet_core.files import write_png
from fafnet_core.hha import encode_hha
from fafnet_core.models.config import preset_config
from fafnet_core.models.mobilenet import MobileNet

SPLITS = {"train": (1, 2, 5), "test": (3, 4)}
REDUCE = 8


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reduced frames of a folder in ESANet's layout, which is gone by now."""
    root, cache = tmp_path_factory.mktemp("esanet"), tmp_path_factory.mktemp("frames")
    for split, numbers in SPLITS.items():
        for folder in ("rgb", "depth", "labels_40"):
            (root / split / folder).mkdir(parents=True)
        for number in numbers:
            seen = room(NYU_SHAPE, NYU_CAMERA_MATRIX, seed=number)
            name = f"{number:04d}.png"
            write_png(root / split / "rgb" / name, seen.rgb)
            # Labels from 1; wraps round: 255 + 1 is 0.
            write_png(root / split / "labels_40" / name, seen.label + np.uint8(1))
            counts = np.round(seen.depth_m * 1000).astype(np.uint16)
            cv2.imwrite(str(root / split / "depth" / name), counts)
    data = RealFrames(root=str(root), reduce=REDUCE, cache=cache)
    data.make(2)
    shutil.rmtree(root)
    data.make(1)  # nothing is read again
    return cache


@pytest.fixture
def options(frames: Path, tmp_path: Path) -> argparse.Namespace:
    (tmp_path / "frames").symlink_to(frames)
    arguments = f"--data nyuv2 --root gone --reduce {REDUCE} --iterations 2 --batch 2".split()
    return read_options("", ablation.PRIMARY, [*arguments, "--out", str(tmp_path)])


def test_frames_are_read_and_reduced_once(frames: Path) -> None:
    data = RealFrames(root="gone", reduce=REDUCE, cache=frames)
    train, tests = data.recipe().data.open("train"), data.tests()
    assert list(tests) == ["test"]
    assert train.names == ["0001", "0002", "0005"]
    assert tests["test"].names == ["0003", "0004"]
    for number, sample, factor in (
        (5, train.read(2), REDUCE),
        (4, tests["test"].read(1), REDUCE // 2),
    ):
        seen = room(NYU_SHAPE, NYU_CAMERA_MATRIX, seed=number)
        size = NYU_SHAPE[0] // factor, NYU_SHAPE[1] // factor
        hha = encode_hha(np.round(seen.depth_m * 1000) / np.float32(1000), NYU_CAMERA_MATRIX)
        for found, whole in ((sample.rgb, seen.rgb), (sample.hha, hha)):
            means = whole.reshape(size[0], factor, size[1], factor, 3).mean(axis=(1, 3))
            assert found is not None
            assert found.shape == means.shape
            assert np.abs(found - means).max() < 1.01
        middle = slice(factor // 2, None, factor)
        np.testing.assert_array_equal(sample.label, seen.label[middle, middle])


def folded_mobilenet(path: Path) -> None:
    """Write a file of random weights whose norms are folded into the convolutions."""
    torch.manual_seed(0)
    network = MobileNet(preset_config("fafnet-mobile").backbone)
    state: dict[str, Tensor] = {}
    for name in normed_convolutions(network):
        convolution = network.get_submodule(name)
        assert isinstance(convolution, nn.Conv2d)
        weight = convolution.weight.detach()
        state[f"{name}.weight"] = weight
        state[f"{name}.bias"] = torch.randn(len(weight)) / 4
    save_file(state, path)


def test_all_backbones_start_from_one_file(options: argparse.Namespace, tmp_path: Path) -> None:
    file = tmp_path / "mobilenet.safetensors"
    folded_mobilenet(file)
    options.preset = "fafnet-mobile"

    def start(arm: str) -> dict[str, Tensor]:
        path = tmp_path / f"{arm}.safetensors"
        ablation.write_start(ablation.configuration(arm, 3, path, options), str(file))
        state: dict[str, Tensor] = load_checkpoint(path).state_dict()
        return state

    whole = start("all-fams")
    first = "encoder.{}.first.0.weight"
    assert torch.equal(whole[first.format("rgb_stream")], whole[first.format("depth_stream")])
    # Norms are those of what arrives, which is not the same in both.
    norm = "encoder.{}.first.1.running_mean"
    assert not torch.equal(whole[norm.format("rgb_stream")], whole[norm.format("depth_stream")])
    baseline = start("baseline")
    streams = [name for name in baseline if "_stream." in name]
    assert len(streams) > 500
    assert all(torch.equal(baseline[name], whole[name]) for name in streams)
    for arm, stream in (("rgb-only", "rgb_stream"), ("hha-only", "depth_stream")):
        for name, value in start(arm).items():
            theirs = whole[name.replace("encoder.stream.", f"encoder.{stream}.")]
            if theirs.shape == value.shape:
                torch.testing.assert_close(value, theirs)


def test_a_run_is_tested_once_on_labels_of_twice_the_size(options: argparse.Namespace) -> None:
    result = ablation.run("all-fams", 0, options)
    assert list(result.scores) == ["test"]
    assert set(result.scores["test"]) == {"mean_iou", "boundary_iou", "pixel_accuracy"}
    assert result.flow is None
    data = data_of(options)
    assert data.recipe().data.open("train").read(0).label.shape == (60, 80)
    assert data.recipe().transform.crop == (48, 64)
    assert data.tests()["test"].read(0).label.shape == (120, 160)
    assert data.recipe().evaluate.scales == (0.5,)


def made_up() -> list[Result]:
    """Runs by arm and seed: percentages of mIoU, of which boundaries have half."""
    points = {
        "all-fams": (30.0, 32.0, 31.0),
        "no-fam": (29.0, 30.0, 28.0),
        "zero-flow": (30.0, 31.0),
        "rgb-only": (25.0,),
    }
    scores = {
        (arm, seed): {"mean_iou": p / 100, "boundary_iou": p / 200, "pixel_accuracy": 0.6}
        for arm, values in points.items()
        for seed, p in enumerate(values)
    }
    return [Result(arm, seed, 2000, 60.0, {"test": s}, None) for (arm, seed), s in scores.items()]


def test_the_report_of_one_test_compares_with_both_controls(tmp_path: Path) -> None:
    text = write_report(made_up(), tmp_path, "The protocol.")
    assert text.startswith("The protocol.\n\n| arm")
    assert (tmp_path / "ablation.md").read_text() == text + "\n"
    assert cv2.imread(str(tmp_path / "ablation.png")) is not None
    assert "| all-fams | 2,000 | 3 | 60 | 31.00 | 15.50 | 60.00 |" in text
    # Over no-fam 1, 2 and 3: mean 2, deviation 1; t(0.975, 2) = 4.30265.
    half = 4.302653 / math.sqrt(3)
    interval = f"+2.00 [{2 - half:+.2f}, {2 + half:+.2f}]"
    near = f"+1.00 [{1 - half / 2:+.2f}, {1 + half / 2:+.2f}]"
    assert f"| all-fams minus no-fam | 3 | {interval} | {near} | +0.00 [+0.00, +0.00] |" in text
    # Over zero-flow 0 and 1, the seeds that both have: mean 0.5, t(0.975, 1) = 12.7062.
    assert f"| all-fams minus zero-flow | 2 | +0.50 [{0.5 - 12.7062 / 2:+.2f}" in text
    assert "| rgb-only minus zero-flow | 1 | -5.00 | -2.50 | +0.00 |" in text
    assert "zero-flow minus zero-flow" not in text


def test_the_folder_says_how_its_figures_were_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--out", str(tmp_path), "--data", "nyuv2", "--root", "x"]
    read_options("", ablation.PRIMARY, [*arguments, "--pretrained", "w/net.safetensors"])
    with pytest.raises(SystemExit) as refused:
        ablation.main([*arguments, "--reduce", "2"])
    assert refused.value.code == 2
    assert "--pretrained w/net.safetensors --reduce 4" in capsys.readouterr().err
    for result in made_up()[:2]:
        folder = tmp_path / f"{result.arm}-{result.seed}"
        folder.mkdir()
        (folder / "result.json").write_text(json.dumps(vars(result)))
    assert ablation.main(["--out", str(tmp_path), "--report"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("NYU-Depth V2, official split, 40 classes, `fafnet-nano`: 700 iter")
    assert "from net.safetensors" in text
    assert "input 160x120, labels of 320x240" in text
