"""The ablation on real frames: reduced once, started from one file, reported for one test."""

from __future__ import annotations

import argparse
import importlib
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from originals import NYU_CAMERA_MATRIX, NYU_SHAPE, room
from safetensors.torch import save_file
from torch import Tensor, nn

from fafnet_core.checkpoints.checkpoint import load_checkpoint
from fafnet_core.checkpoints.folded import normed_convolutions
from fafnet_core.files import write_png
from fafnet_core.hha import encode_hha
from fafnet_core.models.config import preset_config
from fafnet_core.models.mobilenet import MobileNet

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SPLITS = {"train": (1, 2, 5), "test": (3, 4)}
REDUCE = 8


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a file of the benchmarks."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in ESANet's layout: PNGs, depth in millimetres, labels from 1."""
    root = tmp_path_factory.mktemp("esanet")
    for split, numbers in SPLITS.items():
        for folder in ("rgb", "depth", "labels_40"):
            (root / split / folder).mkdir(parents=True)
        for number in numbers:
            seen = room(NYU_SHAPE, NYU_CAMERA_MATRIX, seed=number)
            name = f"{number:04d}.png"
            write_png(root / split / "rgb" / name, seen.rgb)
            # Wraps round: 255 + 1 is 0.
            write_png(root / split / "labels_40" / name, seen.label + np.uint8(1))
            counts = np.round(seen.depth_m * 1000).astype(np.uint16)
            cv2.imwrite(str(root / split / "depth" / name), counts)
    return root


@pytest.fixture(scope="module")
def frames(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reduced frames, of a folder that is gone by now."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        real_frames = importlib.import_module("ablation_data").RealFrames
    once, cache = tmp_path_factory.mktemp("once") / "nyuv2", tmp_path_factory.mktemp("frames")
    shutil.copytree(root, once)
    data = real_frames(root=str(once), reduce=REDUCE, cache=cache)
    data.make(2)
    shutil.rmtree(once)
    data.make(1)  # nothing is read again
    return cache


@pytest.fixture
def options(frames: Path, tmp_path: Path) -> argparse.Namespace:
    (tmp_path / "frames").symlink_to(frames)
    return argparse.Namespace(
        data="nyuv2",
        root="gone",
        reduce=REDUCE,
        pretrained=None,
        preset="fafnet-nano",
        iterations=2,
        batch=2,
        rate=1e-3,
        out=tmp_path,
    )


def test_frames_are_read_and_reduced_once(
    benchmark: Callable[[str], ModuleType], root: Path, frames: Path
) -> None:
    data = benchmark("ablation_data").RealFrames(root="gone", reduce=REDUCE, cache=frames)
    train, tests = data.recipe().data.open("train"), data.tests()
    assert list(tests) == ["test"]
    assert train.names == ["0001", "0002", "0005"]
    assert tests["test"].names == ["0003", "0004"]
    for number, sample, factor in ((5, train[2], REDUCE), (4, tests["test"][1], REDUCE // 2)):
        seen = room(NYU_SHAPE, NYU_CAMERA_MATRIX, seed=number)
        size = NYU_SHAPE[0] // factor, NYU_SHAPE[1] // factor
        hha = encode_hha(np.round(seen.depth_m * 1000) / np.float32(1000), NYU_CAMERA_MATRIX)
        for found, whole in ((sample.rgb, seen.rgb), (sample.hha, hha)):
            means = whole.reshape(size[0], factor, size[1], factor, 3).mean(axis=(1, 3))
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


def test_all_backbones_start_from_one_file(
    benchmark: Callable[[str], ModuleType], options: argparse.Namespace, tmp_path: Path
) -> None:
    ablation = benchmark("ablation")
    folded_mobilenet(tmp_path / "mobilenet.safetensors")
    options.pretrained = str(tmp_path / "mobilenet.safetensors")
    options.preset = "fafnet-mobile"

    def start(arm: str) -> dict[str, Tensor]:
        path = tmp_path / f"{arm}.safetensors"
        config = ablation.configuration(arm, 3, path, options)
        images = lambda: ablation.some_images(config)  # noqa: E731
        ablation.write_start(path, options.preset, arm, 3, options.pretrained, images)
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


def test_a_run_is_tested_once_on_labels_of_twice_the_size(
    benchmark: Callable[[str], ModuleType],
    options: argparse.Namespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ablation = benchmark("ablation")
    result = ablation.run("all-fams", 0, options)
    assert list(result.scores) == ["test"]
    assert set(result.scores["test"]) == {"mean_iou", "boundary_iou", "pixel_accuracy"}
    assert result.flow is None
    found = json.loads((tmp_path / "all-fams-0" / "result.json").read_text())
    assert found["scores"] == result.scores

    seen: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append((tuple(inputs[0].shape), tuple(output.shape)))

    start = tmp_path / "all-fams-0" / "start.safetensors"
    config = ablation.configuration("all-fams", 0, start, options)
    assert config.transform.crop == (48, 64)
    model = load_checkpoint(start)
    model.register_forward_hook(look)
    frames = ablation.data_of(options).tests()["test"]
    ablation._scores(model, config, frames)
    assert frames[0].label.shape == (120, 160)
    assert seen == 2 * [((1, 3, 60, 80), (1, 40, 60, 80))]
    monkeypatch.setattr(ablation, "Trainer", None)
    assert ablation.run("all-fams", 0, options) == result


def made_up(runs: ModuleType) -> list[Any]:
    """Runs by arm and seed: percentages of mIoU, of which boundaries have half."""
    points = {
        "all-fams": (30.0, 32.0, 31.0),
        "no-fam": (29.0, 30.0, 28.0),
        "zero-flow": (30.0, 31.0),
        "rgb-only": (25.0,),
    }
    return [
        runs.Result(
            arm,
            seed,
            2000,
            60.0,
            {"test": {"mean_iou": p / 100, "boundary_iou": p / 200, "pixel_accuracy": 0.6}},
            None,
        )
        for arm, values in points.items()
        for seed, p in enumerate(values)
    ]


def test_the_report_of_one_test_compares_with_both_controls(
    benchmark: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    report, runs = benchmark("ablation_report"), benchmark("ablation_table")
    text = report.write_report(made_up(runs), tmp_path, "The protocol.")
    assert text.startswith("The protocol.\n\n| arm |")
    assert (tmp_path / "ablation.md").read_text() == text + "\n"
    assert cv2.imread(str(tmp_path / "ablation.png")) is not None
    assert "| all-fams | 2,000 | 3 | 60 | 31.00 | 15.50 | 60.00 |" in text
    # Over no-fam 1, 2 and 3: mean 2, deviation 1; t(0.975, 2) = 4.30265.
    half = 4.302653 / math.sqrt(3)
    interval = f"+2.00 [{2 - half:+.2f}, {2 + half:+.2f}]"
    near = f"+1.00 [{1 - half / 2:+.2f}, {1 + half / 2:+.2f}]"
    assert f"| all-fams | 3 | {interval} | {near} | +0.00 [+0.00, +0.00] |" in text
    over_control = text[text.index("| minus zero-flow") :]
    # Over zero-flow 0 and 1, the seeds that both have: mean 0.5, t(0.975, 1) = 12.7062.
    assert f"| all-fams | 2 | +0.50 [{0.5 - 12.7062 / 2:+.2f}" in over_control
    assert "| rgb-only | 1 | -5.00 | -2.50 | +0.00 |" in over_control
    assert "| zero-flow |" not in over_control


def test_the_folder_says_how_its_figures_were_made(
    benchmark: Callable[[str], ModuleType],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ablation, command = benchmark("ablation"), benchmark("ablation_options")
    arguments = ["--out", str(tmp_path), "--data", "nyuv2", "--root", "x", "--rate", "1e-3"]
    given = command.read_options("", ("no-fam",), [*arguments, "--pretrained", "w/net.safetensors"])
    assert (given.reduce, given.frames) == (4, None)
    for wrong, message in (
        (["--out", str(tmp_path)], "were made with --data nyuv2: go on with that"),
        ([*arguments, "--reduce", "2"], "were made with --reduce 4 --pretrained w/net.safetensors"),
    ):
        with pytest.raises(SystemExit) as refused:
            ablation.main(wrong)
        assert refused.value.code == 2
        assert message in capsys.readouterr().err
    runs = benchmark("ablation_table")
    for result in made_up(runs)[:2]:
        folder = tmp_path / f"{result.arm}-{result.seed}"
        folder.mkdir()
        (folder / "result.json").write_text(json.dumps(vars(result)))
    assert ablation.main(["--out", str(tmp_path), "--report"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(
        "NYU-Depth V2, official split, 40 classes, `fafnet-nano`: 700 iterations"
    )
    assert "from net.safetensors" in text
    assert "input 160x120, labels of 320x240" in text
