"""The ablation's benchmark: its arms are paired, its figures are right, its folder stays one."""

from __future__ import annotations

import argparse
import importlib
import json
import math
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from fafnet_core.augmentation import TrainTransform
from fafnet_core.checkpoints.checkpoint import load_checkpoint
from fafnet_core.rooms import SensorConfig, pinhole
from fafnet_core.rooms.sensor import calibration_error
from fafnet_core.training.loader import training_batches
from fafnet_core.training.loop import Trainer, TrainingResult

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def ablation(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("ablation")


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("ablation_report")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("ablation_table")


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("ablation_data")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("ablation_options")


def tiny(out: Path, **changes: Any) -> argparse.Namespace:
    settings: dict[str, Any] = {
        "data": "synthetic",
        "preset": "fafnet-nano",
        "iterations": 1,
        "batch": 2,
        "rate": 1e-3,
        "frames": 2,
        "tests": 1,
        "data_seed": 100,
        "pretrained": None,
        "jobs": 1,
        "out": out,
    }
    return argparse.Namespace(**{**settings, **changes})


# What a made-up run scores: by arm and seed, percentages at 0, 4, 8 and 16 px.
POINTS = {
    ("all-fams", 0): (50.0, 48.0, 44.0, 30.0),
    ("all-fams", 1): (52.0, 51.0, 46.0, 31.0),
    ("all-fams", 2): (51.0, 49.0, 47.0, 29.0),
    ("zero-flow", 0): (49.0, 46.0, 41.0, 30.0),
    ("zero-flow", 1): (52.0, 49.0, 42.0, 33.0),
    ("zero-flow", 2): (50.0, 46.0, 42.0, 28.0),
    ("no-fam", 7): (40.0, 39.0, 38.0, 37.0),
}


def made_up(runs: ModuleType) -> list[Any]:
    results = []
    for (arm, seed), points in POINTS.items():
        scores = {
            px: {"mean_iou": value / 100, "boundary_iou": value / 200, "pixel_accuracy": 0.5}
            for px, value in zip(("0", "4", "8", "16"), points, strict=True)
        }
        flow = None
        if arm == "all-fams":
            flow = {"encoder.fuse1.align_depth": {"slope": 0.1 * seed, "correlation": 0.5}}
        results.append(runs.Result(arm, seed, 1000, 1.0, scores, flow))
    return results


def test_paired_differences_are_those_worked_out_by_hand(runs: ModuleType) -> None:
    table = runs.Table(made_up(runs))
    gains = table.difference("all-fams", "zero-flow", "mean_iou")
    # Seeds down, errors across.
    np.testing.assert_allclose(gains, [[1, 2, 3, 0], [0, 2, 4, -2], [1, 3, 5, 1]], atol=1e-9)
    # At 8 px: 3, 4, 5. Mean 4, deviation 1, its error 1 / sqrt(3); t(0.975, 2) = 4.30265.
    interval = runs.Interval.of(gains[:, 2])
    assert interval.mean == pytest.approx(4)
    assert interval.high - 4 == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert 4 - interval.low == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    # Slopes over 0, 4, 8 px are (last - first) / 8 for evenly spaced x: 2/8, 4/8, 4/8; 16 is out.
    slope = table.slope("all-fams", "zero-flow", "mean_iou")
    slopes = np.array([0.25, 0.5, 0.5])
    assert slope.mean == pytest.approx(slopes.mean())
    half = 4.302653 * slopes.std(ddof=1) / math.sqrt(3)
    assert slope.high - slope.mean == pytest.approx(half, rel=1e-6)
    halved = table.difference("all-fams", "zero-flow", "boundary_iou")
    np.testing.assert_allclose(2 * halved, gains)


def test_only_seeds_that_both_arms_have_are_compared(runs: ModuleType) -> None:
    results = made_up(runs)
    table = runs.Table([one for one in results if (one.arm, one.seed) != ("zero-flow", 1)])
    assert table.seeds("all-fams", "zero-flow") == [0, 2]
    assert table.difference("all-fams", "zero-flow", "mean_iou").shape == (2, 4)
    alone = runs.Interval.of(np.array([1.5]))
    assert alone.mean == 1.5
    assert math.isnan(alone.low)


def test_the_report_says_what_the_table_holds(
    report: ModuleType, runs: ModuleType, tmp_path: Path
) -> None:
    text = report.write_report(made_up(runs), tmp_path)
    assert (tmp_path / "ablation.md").read_text() == text + "\n"
    assert cv2.imread(str(tmp_path / "ablation.png")) is not None
    # 51 is the mean of 50, 52 and 51.
    assert "| all-fams | 1,000 | 3 | 1 | 51.00 | 49.33 | 45.67 | 30.00 |" in text
    gain, half = 4.0, 4.302653 / math.sqrt(3)
    assert f"{gain:+.2f} [{gain - half:+.2f}, {gain + half:+.2f}]" in text
    assert "| encoder.fuse1.align_depth | 0.100 | 0.500 |" in text
    assert "minus no-fam" not in text  # they share no seed
    # A rule below each head has as many columns as it.
    lines = text.splitlines()
    rules = [(above, line) for above, line in pairwise(lines) if line.startswith("|---")]
    assert len(rules) == 5
    for above, rule in rules:
        assert above.count("|") == rule.count("|")


def test_flow_fits_a_straight_line_through_all_frames(runs: ModuleType) -> None:
    rng = np.random.default_rng(0)
    true = rng.uniform(-4, 4, (50, 2))
    fit = runs.FlowFit.of(true, 0.3 * true + (5.0, -2.0))
    assert (fit.slope, fit.correlation) == (pytest.approx(0.3), pytest.approx(1.0))
    still = runs.FlowFit.of(true, np.zeros((50, 2)))
    assert (still.slope, still.correlation) == (0.0, 0.0)
    # Least squares of both axes together, with an offset for each.
    learned = 0.7 * true + rng.normal(0, 1, true.shape)
    columns = np.zeros((100, 3))
    columns[:, 0], columns[::2, 1], columns[1::2, 2] = true.ravel(), 1, 1
    expected = np.linalg.lstsq(columns, learned.ravel(), rcond=None)[0][0]
    assert runs.FlowFit.of(true, learned).slope == pytest.approx(expected)


def test_the_mean_displacement_is_that_of_the_whole_image(data: ModuleType) -> None:
    camera = pinhole(160, 120, 68)
    config = replace(SensorConfig.perfect(), calibration_error_px=(8, 8))
    rotation, middle = calibration_error(config, camera, np.random.default_rng(2))
    mean = data.mean_displacement(rotation, camera.matrix, (120, 160))
    # x^2 / f^2 is tan^2 of half the angle of view, over 3 on average; y likewise.
    across, down = math.tan(math.radians(34)) ** 2 / 3, (60 / camera.fx) ** 2 / 3
    np.testing.assert_allclose(mean, middle * (1 + across, 1 + down), rtol=0.01)
    still = data.mean_displacement(np.eye(3), camera.matrix, (120, 160))
    np.testing.assert_allclose(still, 0, atol=1e-9)


@pytest.mark.parametrize("arm", ["no-fam", "zero-flow", "without-acfm", "baseline", "rgb-only"])
def test_paired_arms_start_from_one_value_for_each_name(
    ablation: ModuleType, tmp_path: Path, arm: str
) -> None:
    ablation.write_start(tmp_path / "all.safetensors", "fafnet-nano", "all-fams", 3)
    ablation.write_start(tmp_path / "arm.safetensors", "fafnet-nano", arm, 3)
    whole = load_checkpoint(tmp_path / "all.safetensors").state_dict()
    own = load_checkpoint(tmp_path / "arm.safetensors").state_dict()
    shared = [n for n in own if n in whole and own[n].shape == whole[n].shape]
    assert len(shared) > 0.3 * len(own)
    assert all(torch.equal(own[name], whole[name]) for name in shared)
    if arm == "zero-flow":
        assert own.keys() == whole.keys()
    ablation.write_start(tmp_path / "other.safetensors", "fafnet-nano", arm, 4)
    other = load_checkpoint(tmp_path / "other.safetensors").state_dict()
    assert not all(torch.equal(own[name], other[name]) for name in own)


def test_paired_arms_differ_in_nothing_but_the_network(
    ablation: ModuleType, tmp_path: Path
) -> None:
    options = tiny(tmp_path, iterations=3)
    configs = []
    for arm in ablation.PRIMARY:
        config = ablation.configuration(arm, 5, tmp_path / f"{arm}.safetensors", options)
        assert config.model.arm == arm
        configs.append(config)
    assert all(replace(one, model=configs[0].model) == configs[0] for one in configs)
    # So each sees the same batches: they depend on data, transform and seed alone.
    first, again = (
        list(
            training_batches(
                config.data.open("train"),
                TrainTransform(config.transform, config.normalisation.build()),
                batch_size=config.train.batch_size,
                seed=config.train.seed,
                start=0,
                stop=3,
            )
        )
        for config in configs[::2]
    )
    for one, other in zip(first, again, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(first[0].rgb, first[1].rgb)


def test_a_run_is_kept_and_one_that_was_stopped_leaves_no_result(
    ablation: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = tiny(tmp_path)
    stopped = TrainingResult(1, finished=False, stopped_by="SIGINT", best=None, out=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run", lambda self: stopped)
        with pytest.raises(InterruptedError, match="stopped by SIGINT after 1 iterations"):
            ablation.run("all-fams", 0, options)
    assert not list(tmp_path.rglob("result.json"))
    result = ablation.run("all-fams", 0, options)
    assert list(result.scores) == ["0", "2", "4", "8", "16"]
    assert {name.split(".")[-1] for name in result.flow} == {"align_depth"}
    assert asdict(result) == json.loads((tmp_path / "all-fams-0" / "result.json").read_text())
    monkeypatch.setattr(ablation, "Trainer", None)
    assert ablation.run("all-fams", 0, options) == result


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--iterations", "0"], "--iterations is 0; wanted at least 1"),
        (["--arms", "no-fams"], "invalid choice: 'no-fams'"),
        (["--rate", "0.1"], "were made with --rate 0.002 --data-seed 7"),
        (["--data", "nyuv2", "--root", "x"], "were made with --data synthetic: go on with that"),
        (["--data", "nyuv2"], "--data nyuv2 wants --root"),
        (["--data", "nyuv2", "--root", "x", "--tests", "2"], "--tests is an option of --data synt"),
        (["--pretrained", "x"], "--pretrained is an option of --data nyuv2 only"),
    ],
)
def test_what_is_asked_wrongly_of_it(
    ablation: ModuleType,
    command: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    options = tiny(tmp_path, iterations=700, batch=8, rate=2e-3, frames=1500, tests=150)
    options.data_seed = 7
    command.check_settings(options)
    with pytest.raises(SystemExit) as wrong:
        ablation.main(["--out", str(tmp_path), *arguments])
    assert wrong.value.code == 2
    assert message in capsys.readouterr().err


def test_a_report_of_nothing_is_an_error(
    ablation: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ablation.main(["--out", str(tmp_path), "--report"]) == 1
    assert "no results" in capsys.readouterr().err
