"""The ablation's benchmark: its arms are paired, its figures are right, its folder stays one."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, replace
from itertools import pairwise, product
from pathlib import Path

import ablation
import cv2
import numpy as np
import pytest
import torch
from ablation_data import mean_displacement
from ablation_options import read_options
from ablation_report import write_report
from ablation_table import FlowFit, Interval, Result, Table

from fafnet_core.checkpoints.checkpoint import load_checkpoint
from fafnet_core.rooms import SensorConfig, pinhole
from fafnet_core.rooms.sensor import calibration_error
from fafnet_core.training.loop import Trainer, TrainingResult

T = 4.302653 / math.sqrt(3)
"""Half of the 95 % interval of three values with deviation 1: t(0.975, 2) / sqrt(3)."""


def tiny(out: Path) -> argparse.Namespace:
    arguments = ["--iterations=1", "--batch=2", "--frames=2", "--tests=1", "--jobs=1"]
    return read_options("", ablation.PRIMARY, [*arguments, "--out", str(out)])


def made_up() -> list[Result]:
    """Runs whose mIoU at 0, 4, 8 and 16 px is given in percent; boundaries have half of it."""
    points = {
        ("all-fams", 0): (50.0, 48.0, 44.0, 30.0),
        ("all-fams", 1): (52.0, 51.0, 46.0, 31.0),
        ("all-fams", 2): (51.0, 49.0, 47.0, 29.0),
        ("zero-flow", 0): (49.0, 46.0, 41.0, 30.0),
        ("zero-flow", 1): (52.0, 49.0, 42.0, 33.0),
        ("zero-flow", 2): (50.0, 46.0, 42.0, 28.0),
        ("no-fam", 7): (40.0, 39.0, 38.0, 37.0),
    }
    results = []
    for (arm, seed), percentages in points.items():
        scores = {
            px: {"mean_iou": value / 100, "boundary_iou": value / 200, "pixel_accuracy": 0.5}
            for px, value in zip(("0", "4", "8", "16"), percentages, strict=True)
        }
        flow = {"encoder.fuse1.align_depth": {"slope": 0.1 * seed, "correlation": 0.5}}
        results.append(Result(arm, seed, 1000, 1.0, scores, flow if arm == "all-fams" else None))
    return results


def test_paired_differences_are_those_worked_out_by_hand() -> None:
    table = Table(made_up())
    gains = table.difference("all-fams", "zero-flow", "mean_iou")
    # Seeds down, errors across.
    np.testing.assert_allclose(gains, [[1, 2, 3, 0], [0, 2, 4, -2], [1, 3, 5, 1]], atol=1e-9)
    # At 8 px: 3, 4, 5. Mean 4, deviation 1.
    interval = Interval.of(gains[:, 2])
    assert (interval.low, interval.mean, interval.high) == pytest.approx((4 - T, 4, 4 + T))
    # Slopes over 0, 4, 8 px are (last - first) / 8 for evenly spaced x: 2/8, 4/8, 4/8; 16 is out.
    slope = table.slope("all-fams", "zero-flow", "mean_iou")
    slopes = np.array([0.25, 0.5, 0.5])
    assert slope.mean == pytest.approx(slopes.mean())
    assert slope.high - slope.mean == pytest.approx(T * slopes.std(ddof=1))


def test_only_seeds_that_both_arms_have_are_compared() -> None:
    table = Table([one for one in made_up() if (one.arm, one.seed) != ("zero-flow", 1)])
    assert table.seeds("all-fams", "zero-flow") == [0, 2]
    assert table.difference("all-fams", "zero-flow", "mean_iou").shape == (2, 4)
    assert Interval.of(np.array([1.5])).text(1) == "+1.5"  # one value has no interval


def test_the_report_says_what_the_table_holds(tmp_path: Path) -> None:
    text = write_report(made_up(), tmp_path)
    assert (tmp_path / "ablation.md").read_text() == text + "\n"
    assert cv2.imread(str(tmp_path / "ablation.png")) is not None
    # 51 is the mean of 50, 52 and 51.
    assert "| all-fams | 1,000 | 3 | 1 | 51.00 | 49.33 | 45.67 | 30.00 |" in text
    assert f"+4.00 [{4 - T:+.2f}, {4 + T:+.2f}]" in text
    assert "| encoder.fuse1.align_depth | 0.100 | 0.500 |" in text
    assert "minus no-fam" not in text  # they share no seed
    # A rule below each head has as many columns as it.
    rules = [(head, rule) for head, rule in pairwise(text.splitlines()) if rule.startswith("|---")]
    assert len(rules) == 5
    assert all(head.count("|") == rule.count("|") for head, rule in rules)


def test_flow_fits_a_straight_line_through_all_frames() -> None:
    rng = np.random.default_rng(0)
    true = rng.uniform(-4, 4, (50, 2))
    assert FlowFit.of(true, np.zeros((50, 2))) == FlowFit(slope=0, correlation=0)
    follows = FlowFit.of(true, 0.3 * true + (5.0, -2.0))
    assert (follows.slope, follows.correlation) == pytest.approx((0.3, 1))
    # Least squares of both axes together, with an offset for each.
    learned = 0.7 * true + rng.normal(0, 1, true.shape)
    columns = np.zeros((100, 3))
    columns[:, 0], columns[::2, 1], columns[1::2, 2] = true.ravel(), 1, 1
    expected = np.linalg.lstsq(columns, learned.ravel(), rcond=None)[0][0]
    assert FlowFit.of(true, learned).slope == pytest.approx(expected)


def test_the_mean_displacement_is_that_of_the_whole_image() -> None:
    camera = pinhole(160, 120, 68)
    config = replace(SensorConfig.perfect(), calibration_error_px=(8, 8))
    rotation, middle = calibration_error(config, camera, np.random.default_rng(2))
    mean = mean_displacement(rotation, camera.matrix, (120, 160))
    # x^2 / f^2 is tan^2 of half the angle of view, over 3 on average; y likewise.
    across, down = math.tan(math.radians(34)) ** 2 / 3, (60 / camera.fx) ** 2 / 3
    np.testing.assert_allclose(mean, middle * (1 + across, 1 + down), rtol=0.01)


@pytest.mark.parametrize("arm", ["zero-flow", "baseline", "rgb-only"])
def test_paired_arms_start_from_one_value_for_each_name(tmp_path: Path, arm: str) -> None:
    options = tiny(tmp_path)

    def start(arm: str, seed: int) -> dict[str, torch.Tensor]:
        path = tmp_path / "start.safetensors"
        ablation.write_start(ablation.configuration(arm, seed, path, options))
        state: dict[str, torch.Tensor] = load_checkpoint(path).state_dict()
        return state

    whole, own, other = start("all-fams", 3), start(arm, 3), start(arm, 4)
    shared = [n for n in own if n in whole and own[n].shape == whole[n].shape]
    assert len(shared) > 0.3 * len(own)
    assert all(torch.equal(own[name], whole[name]) for name in shared)
    if arm == "zero-flow":
        assert own.keys() == whole.keys()
    assert not all(torch.equal(own[name], other[name]) for name in own)


def test_paired_arms_differ_in_nothing_but_the_network(tmp_path: Path) -> None:
    options = tiny(tmp_path)
    configs = [ablation.configuration(arm, 5, tmp_path / arm, options) for arm in ablation.PRIMARY]
    assert [config.model.arm for config in configs] == [*ablation.PRIMARY]
    assert all(replace(one, model=configs[0].model) == configs[0] for one in configs)


def test_a_run_is_kept_and_one_that_was_stopped_leaves_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = tiny(tmp_path)
    stopped = TrainingResult(1, finished=False, stopped_by="SIGINT", best=None, out=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run", lambda self: stopped)
        with pytest.raises(InterruptedError, match="SIGINT after 1"):
            ablation.run("all-fams", 0, options)
    assert not list(tmp_path.rglob("result.json"))
    result = ablation.run("all-fams", 0, options)
    assert list(result.scores) == ["0", "2", "4", "8", "16"]
    assert result.flow is not None
    assert {name.split(".")[-1] for name in result.flow} == {"align_depth"}
    assert asdict(result) == json.loads((tmp_path / "all-fams-0" / "result.json").read_text())
    monkeypatch.setattr(ablation, "Trainer", None)
    assert ablation.run("all-fams", 0, options) == result


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rate", "0.1"], "were made with --rate 0.002 --data-seed 7"),
        (["--data", "nyuv2", "--root", "x"], "were made with --data synthetic"),
        (["--data", "nyuv2"], "--root"),
    ],
)
def test_runs_of_other_settings_are_not_mixed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    read_options("", ablation.PRIMARY, ["--out", str(tmp_path), "--data-seed", "7"])
    with pytest.raises(SystemExit) as wrong:
        ablation.main(["--out", str(tmp_path), *arguments])
    assert wrong.value.code == 2
    assert message in capsys.readouterr().err


def test_what_a_run_cannot_do_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ablation.main(["--out", str(tmp_path), "--report"]) == 1
    assert "no results" in capsys.readouterr().err
    root = tmp_path / "nyuv2"
    for folder in product(("train", "test"), ("rgb", "depth", "labels_40")):
        root.joinpath(*folder).mkdir(parents=True)
        root.joinpath(*folder, "0001.png").write_text("no picture")
    options = ["--out", str(tmp_path), "--data", "nyuv2", "--root", str(root)]
    assert ablation.main(options) == 1
    assert "training frames too" in capsys.readouterr().err
