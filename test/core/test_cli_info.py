"""`fafnet info` as a user runs it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from fafnet_core.checkpoints import checkpoint as weights
from fafnet_core.checkpoints.checkpoint import CheckpointMetadata, save_checkpoint
from fafnet_core.cli.main import main
from fafnet_core.labels import SUN37
from fafnet_core.models import ABLATION, PRESETS, FAFNet, FAFNetConfig, ablation, summary

TINY = FAFNetConfig(
    num_classes=37,
    backbone="resnet18",
    width_multiplier=1 / 16,
    output_stride=32,
    decoder_channels=8,
)


@pytest.fixture(scope="module")
def nano() -> summary.ModelSummary:
    return summary.summarise("fafnet-nano", (64, 96))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, nano: summary.ModelSummary) -> None:
    """Every network costs what the smallest one does: for what is about names and tables."""

    def summarise(config: FAFNetConfig, size: tuple[int, int]) -> summary.ModelSummary:
        return dataclasses.replace(nano, config=config, size=size)

    monkeypatch.setattr(summary, "summarise", summarise)


def reports(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    assert main(["info", *arguments, "--json"]) == 0
    models: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["models"]
    return models


def test_without_a_name_it_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    printed = capsys.readouterr().out
    for name, preset in PRESETS.items():
        assert f"  {name} " in printed
        assert preset.description in printed
    for name, arm in ABLATION.items():
        assert f"  {name} " in printed
        assert arm.description in printed
    assert main(["info", "--json"]) == 0
    names = json.loads(capsys.readouterr().out)
    assert list(names["presets"]) == list(PRESETS)
    assert list(names["ablation"]) == list(ABLATION)


def test_one_network_has_a_line_for_each_stage(
    nano: summary.ModelSummary, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", "fafnet-nano", "--size", "64x96"]) == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert lines[0] == f"fafnet-nano: {PRESETS['fafnet-nano'].description}"
    assert "backbone=resnet18 width_multiplier=0.25" in " ".join(lines)
    rows = {line.split()[0]: line for line in lines if line}
    for stage in nano.stages:
        assert f"{stage.parameters:,}" in rows[stage.name]
        assert " x ".join(map(str, stage.shape[1:])) in rows[stage.name]
    assert f"{nano.parameters:,}" in rows["all"]
    assert f"peak of the tensors {nano.peak_bytes / 1e6:,.1f} MB" in printed
    assert "64 x 96" in lines[-1]


@pytest.mark.usefixtures("quick")
def test_json_has_it_all(nano: summary.ModelSummary, capsys: pytest.CaptureFixture[str]) -> None:
    (report,) = reports(["fafnet-nano", "--size", "64x96"], capsys)
    expected = json.loads(json.dumps(nano.to_dict()))
    assert report == expected | {
        "name": "fafnet-nano",
        "description": PRESETS["fafnet-nano"].description,
    }


@pytest.mark.usefixtures("quick")
def test_a_table_of_several(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--compare"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["network", "parameters", "multiply-adds", "weights", "peak"]
    assert lines[1].split() == ["M", "G", "MB", "MB"]
    assert [line.split()[0] for line in lines[2 : 2 + len(PRESETS)]] == list(PRESETS)
    assert main(["info", "fafnet-lite", "nano/no-fam", "--compare", "--size", "64x64"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["fafnet-lite", "fafnet-nano/no-fam"]
    assert lines[-1] == "float32, one image of 64 x 64"


@pytest.mark.usefixtures("quick")
def test_a_table_of_the_ablation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "fafnet-nano", "--ablation", "--set", "num_classes=3"]) == 0
    printed = capsys.readouterr().out
    for name, arm in ABLATION.items():
        assert f"fafnet-nano/{name} " in printed
        assert arm.description in printed
    found = reports(["fafnet-nano", "--ablation", "--classes", "3"], capsys)
    base = dataclasses.replace(PRESETS["fafnet-nano"].config, num_classes=3)
    assert {report["name"]: report["config"] for report in found} == {
        f"fafnet-nano/{arm}": ablation(base, arm).to_dict() for arm in ABLATION
    }


@pytest.mark.usefixtures("quick")
def test_the_prefix_of_names_may_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    found = {
        report["name"]: FAFNetConfig.from_dict(report["config"])
        for report in reports(["nano", "release", "nano/zero-flow"], capsys)
    }
    assert found == {
        "fafnet-nano": PRESETS["fafnet-nano"].config,
        "fafnet-release": FAFNetConfig(variant="release"),
        "fafnet-nano/zero-flow": ablation("fafnet-nano", "zero-flow"),
    }


@pytest.mark.usefixtures("quick")
def test_what_is_set_is_changed_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    changes = ["--set", "pooling_sizes=[1, 2]", "--set", "mlp_reduction=null", "--classes", "9"]
    (report,) = reports(["nano", *changes], capsys)
    assert FAFNetConfig.from_dict(report["config"]) == dataclasses.replace(
        PRESETS["fafnet-nano"].config, pooling_sizes=(1, 2), mlp_reduction=None, num_classes=9
    )
    changed = "changed: pooling_sizes=[1,2] mlp_reduction=null num_classes=9"
    assert report["description"].endswith(changed)


@pytest.mark.usefixtures("quick")
def test_a_checkpoint_tells_what_it_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sun.safetensors"
    torch.manual_seed(0)
    notes = {"mean_iou": 0.5, "trained on": "synthetic rooms"}
    save_checkpoint(path, FAFNet(TINY), label_set=SUN37, notes=notes, input_size=(240, 320))
    assert main(["info", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "input size: 320x240 (width x height)" in printed
    assert printed.startswith(f"{path}: a checkpoint\n")
    assert "label set sun37, 37 classes: wall, floor, cabinet" in printed
    assert "rgb_mean: 0.485 0.456 0.406" in printed
    assert "mean_iou: 0.5" in printed
    assert "trained on: synthetic rooms" in printed
    (report,) = reports([str(path)], capsys)
    assert FAFNetConfig.from_dict(report["config"]) == TINY
    assert report["notes"] == notes
    assert report["input_size"] == [240, 320]
    with pytest.raises(SystemExit, match="2"):
        main(["info", str(path), "--classes", "37"])
    assert "classes of a checkpoint" in capsys.readouterr().err
    assert report["label_set"] == SUN37.to_dict()
    assert report["normalisation"]["hha_deviation"] == [0.229, 0.224, 0.225]


@pytest.mark.usefixtures("quick")
def test_a_checkpoint_is_known_by_its_content_and_a_preset_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "net.yaml"
    folder.mkdir()
    save_checkpoint(folder / "model.safetensors", FAFNet(TINY), label_set=SUN37)
    (tmp_path / "nano").write_bytes((folder / "model.safetensors").read_bytes())
    monkeypatch.chdir(tmp_path)
    for name in ("./nano", "net.yaml", str(folder)):
        (report,) = reports([name], capsys)
        assert FAFNetConfig.from_dict(report["config"]) == TINY
    (report,) = reports(["nano"], capsys)
    assert report["name"] == "fafnet-nano"
    assert main(["info", str(tmp_path)]) == 1
    assert "no model.safetensors" in capsys.readouterr().err


@pytest.mark.usefixtures("quick")
def test_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_checkpoint(tmp_path / "model.safetensors", FAFNet(TINY), label_set=SUN37)
    file = tmp_path / "model.safetensors"
    monkeypatch.setattr("fafnet_core.checkpoints.location.download", lambda *_: file)
    (report,) = reports(["hf://me/net.yaml@v1"], capsys)
    assert report["name"] == "hf://me/net.yaml@v1"
    assert FAFNetConfig.from_dict(report["config"]) == TINY


@pytest.mark.usefixtures("quick")
def test_json_of_notes_that_are_no_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = {"loss": float("nan"), "best": [float("-inf"), 1.5]}
    metadata = CheckpointMetadata(TINY, SUN37, notes=notes)
    monkeypatch.setattr(weights, "read_metadata", lambda _: metadata)
    (report,) = reports([str(tmp_path)], capsys)
    assert report["notes"] == {"loss": None, "best": [None, 1.5]}


@pytest.mark.usefixtures("quick")
def test_a_configuration_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tiny.YAML"
    path.write_text(yaml.safe_dump(TINY.to_dict()), encoding="utf-8")
    (report,) = reports([str(path)], capsys)
    assert FAFNetConfig.from_dict(report["config"]) == TINY
    found = reports([str(path), "--ablation"], capsys)
    assert [entry["name"] for entry in found] == [f"{path}/{arm}" for arm in ABLATION]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("broken.safetensors", "nothing", "not a safetensors file"),
        ("wrong.yaml", "bakbone: resnet18", "did you mean 'backbone'"),
        ("wrong.yaml", "backbone: resnet19", "line 1: backbone"),
        ("wrong.yaml", "{", "line 1: not YAML"),
        ("folder/readme", "nothing", "not a safetensors file"),
    ],
)
def test_a_file_that_does_not_fit_fails(
    name: str, content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content, encoding="utf-8")
    assert main(["info", str(path)]) == 1
    error = capsys.readouterr().err
    assert str(path) in error
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fafnet-nanno"], "did you mean 'fafnet-nano'?"),
        (["nano/zero-flw"], "did you mean 'zero-flow'?"),
        (["no.safetensors"], "there is no no.safetensors"),
        (["no.yaml"], "there is no no.yaml"),
        (["hf://net"], "hf://owner/name"),
        ([""], "unknown preset ''"),
        (["nano", "--size", "480"], "'480' is not a size"),
        (["nano", "--size", "480x-1"], "is not a size"),
        (["nano", "--size", "32x64"], "at least 33x33"),
        (["nano", "--size", "480x16385"], "at most 16384"),
        (["nano", "--set", "acfm"], "key.path=value"),
        (["nano", "--set", "acmf=false"], "did you mean 'acfm'?"),
        (["nano", "--set", "acfm=7"], "acfm is 7"),
        (["nano", "--classes", "256"], "num_classes"),
        (["release", "--ablation"], "variant release"),
        (["--ablation"], "which network?"),
        (["--set", "acfm=false"], "which network?"),
        (["--size", "64x96", "--json"], "which network?"),
    ],
)
def test_what_is_asked_wrongly_ends_with_status_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as wrong:
        main(["info", *arguments])
    assert wrong.value.code == 2
    assert message in capsys.readouterr().err
