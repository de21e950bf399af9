"""`fafnet evaluate` as a user runs it, on rooms that are made up."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from small_network import small_network

from fafnet_core import save_checkpoint
from fafnet_core.cli.main import main
from fafnet_core.evaluation.evaluate import EvaluateConfig, evaluate
from fafnet_core.labels import NYU40, SUN37, LabelSet
from fafnet_core.normalisation import Normalisation
from fafnet_core.training.config import read_config

NORMALISATION = Normalisation(hha_mean=(0.4, 0.4, 0.4))
CONFIG = """\
data: {name: synthetic, seed: 7, frames: 3, width: 64, height: 48, cache: CACHE}
evaluate: {workers: 0, scales: [1, 1.5], boundary_px: 10}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("evaluate")
    (root / "rooms.yaml").write_text(CONFIG.replace("CACHE", str(root / "cache")))
    save_checkpoint(root / "net.safetensors", small_network(40), normalisation=NORMALISATION)
    half = root / "half.safetensors"
    save_checkpoint(half, small_network(40), normalisation=NORMALISATION, input_size=(36, 48))
    sun = small_network(37)
    save_checkpoint(root / "sun.safetensors", sun, label_set=SUN37)
    return root


def command(folder: Path, *more: str, checkpoint: str = "net.safetensors") -> list[str]:
    config = str(folder / "rooms.yaml")
    return ["evaluate", config, "--checkpoint", str(folder / checkpoint), *more]


def report(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    assert main(command(folder, "--json", *more)) == 0
    values: dict[str, Any] = json.loads(capsys.readouterr().out)
    return values


def test_json_has_the_figures_of_evaluate(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = report(folder, capsys)
    dataset = read_config(folder / "rooms.yaml").data.open("val")
    assert (values["data"], values["split"], values["frames"]) == ("synthetic", "val", 3)
    described = values["dataset"]
    assert (described["seed"], described["frames"], described["width"]) == (7, 3, 64)
    assert str(folder) not in json.dumps(described)  # the cache is of this machine
    assert [p["name"] for p in values["protocols"]] == ["single scale", "multi-scale"]
    for protocol, scales in zip(values["protocols"], ((1.0,), (1.0, 1.5)), strict=True):
        result = evaluate(
            small_network(40),
            dataset,
            normalisation=NORMALISATION,
            config=EvaluateConfig(scales=scales, boundary_px=10, workers=0),
        )
        assert protocol["scales"] == list(scales)
        assert protocol["confusion"] == result.confusion.matrix.tolist()
        assert protocol["mean_iou"] == result.scores.mean_iou
        assert protocol["sensors"] == {"synthetic": {"frames": 3, **result.scores.to_dict()}}
        assert result.boundary is not None
        assert protocol["boundary"] == {"width_px": 10, **result.boundary.to_dict()}
        iou = [entry["iou"] for entry in protocol["classes"]]
        assert [math.nan if v is None else v for v in iou] == pytest.approx(
            result.scores.iou.tolist(), nan_ok=True
        )
        assert None in iou  # a class that does not occur
        assert [entry["name"] for entry in protocol["classes"]] == list(NYU40.names)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ([], [36, 48]),
        (["--input-size", "checkpoint"], [36, 48]),
        (["--input-size", "image"], None),
        (["--input-size", "80x60"], [60, 80]),
        (["--set", "evaluate.input_size=[42, 56]"], [42, 56]),
        (["--set", "evaluate.input_size=[42, 56]", "--input-size", "image"], None),
    ],
)
def test_the_input_size_is_that_of_the_option_the_file_or_the_checkpoint(
    folder: Path,
    arguments: list[str],
    wanted: list[int] | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = command(folder, "--protocols", "single", *arguments, checkpoint="half.safetensors")
    assert main([*asked, "--json"]) == 0
    (protocol,) = json.loads(capsys.readouterr().out)["protocols"]
    assert protocol["input_size"] == wanted


def test_protocols_are_reported_one_by_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = report(folder, capsys, "--protocols", "multi-flip,single,single-flip")
    found = [(p["name"], p["scales"], p["flip"]) for p in values["protocols"]]
    assert found == [
        ("multi-scale, flip", [1.0, 1.5], True),
        ("single scale", [1.0], False),
        ("single scale, flip", [1.0], True),
    ]
    assert len({p["mean_iou"] for p in values["protocols"]}) == 3


def test_test_and_val_are_different_frames(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = report(folder, capsys, "--protocols", "single")
    other = report(folder, capsys, "--protocols", "single", "--split", "test")
    assert (one["split"], other["split"]) == ("val", "test")
    assert one["protocols"][0]["confusion"] != other["protocols"][0]["confusion"]


def test_the_table_is_in_percent_and_names_everything(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--split", "test", "--set", "evaluate.blank=hha", "--input-size", "48x36")
    values = report(folder, capsys, *arguments)
    assert main(command(folder, *arguments)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "synthetic, split test, 3 frames, 40 classes (nyu40)" in lines[1]
    for said in (
        "input size  48x36",
        "scales      1, 1.5",
        "averaged    logits",
        "blank       hha",
    ):
        assert any(line.startswith(said) for line in lines)
    assert any("to report, not to choose by" in line for line in lines)
    for protocol in values["protocols"]:
        row = next(line for line in lines if line.startswith(protocol["name"] + " "))
        names = ("mean_iou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou")
        figures = [f"{100 * protocol[name]:.2f}" for name in names]
        assert row.removeprefix(protocol["name"]).split()[:4] == figures
    sensor = next(line for line in lines if line.startswith("multi-scale, synthetic "))
    assert sensor.split()[2:] == [*figures, "3"]  # all frames are of that sensor
    walls = next(line for line in lines if line.startswith("wall ")).split()
    wall = [p["classes"][0] for p in values["protocols"]]
    shown = [f"{100 * c[key]:.2f}" for c in wall for key in ("iou", "accuracy")]
    assert walls[2:] == shown
    absent = next(c["name"] for c in values["protocols"][0]["classes"] if c["iou"] is None)
    assert next(line for line in lines if line.startswith(absent)).split()[-2:] != ["0.00", "0.00"]


def test_csv_has_a_line_for_every_protocol_scope_and_class(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new/classes.csv"
    values = report(folder, capsys, "--csv", str(file))
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) == 2 * 3 * 41
    assert {row["scope"] for row in rows} == {"all", "boundary", "synthetic"}
    means = [row for row in rows if row["class"] == "" and row["scope"] == "all"]
    for row, protocol in zip(means, values["protocols"], strict=True):
        assert row["protocol"] == protocol["name"]
        assert float(row["iou"]) == protocol["mean_iou"]
        assert float(row["accuracy"]) == protocol["mean_accuracy"]
        assert float(row["pixel_accuracy"]) == protocol["pixel_accuracy"]
        assert int(row["pixels"]) == sum(c["pixels"] for c in protocol["classes"])
    for row, entry in zip(rows[1:41], values["protocols"][0]["classes"], strict=True):
        assert (row["class"], int(row["pixels"])) == (entry["name"], entry["pixels"])
        assert row["iou"] == ("" if entry["iou"] is None else str(entry["iou"]))


def test_pictures_are_written(folder: Path, tmp_path: Path) -> None:
    confusion, sheet = tmp_path / "confusion.png", tmp_path / "sheet.png"
    single = ("--protocols", "single", "--sheet", str(sheet))
    assert main(command(folder, *single, "--confusion", str(confusion))) == 0
    assert cv2.imread(str(confusion)) is not None
    all_three = cv2.imread(str(sheet))
    assert main(command(folder, *single, "--frames", "2,0")) == 0
    two = cv2.imread(str(sheet))
    assert all_three is not None
    assert two is not None
    rows = 28 + 240
    # The first row of the one is the last of the other: frame 2, with its prediction.
    last = all_three[28 + 2 * 244 :][:240]
    assert np.array_equal(two[28:rows], last)


def test_an_untrained_network_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", str(folder / "rooms.yaml"), "--checkpoint", "untrained:fafnet-nano"]
    assert main([*arguments, "--protocols", "single"]) == 0
    assert "random weights" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("label_set", "message"),
    [
        (LabelSet("mine", NYU40.names, NYU40.palette[::-1]), ""),
        (LabelSet("mine", ("a", *NYU40.names[1:]), NYU40.palette), "class 0 is 'a'"),
        (SUN37, "37 classes against 40"),
    ],
)
def test_a_network_for_other_classes_is_refused(
    folder: Path,
    tmp_path: Path,
    label_set: LabelSet,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    network = tmp_path / "other.safetensors"
    save_checkpoint(network, small_network(len(label_set)), label_set=label_set)
    arguments = command(folder, "--protocols", "single", checkpoint=str(network))
    assert main(arguments) == (1 if message else 0)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "evaluate.scale=[1]"], "did you mean 'scales'"),
        (["--set", "evaluate.scales=[0]"], "evaluate.scales[0] is 0"),
        (["--set", "evaluate.scales=[1]", "--protocols", "multi"], "multi needs several scales"),
        (["--sheet", "{out}/s.png", "--frames", "3"], "no frame 3, the split has 3"),
        (["--device", "cudo"], "device 'cudo'"),
        (["--input-size", "320x32"], "at least 33 pixels a side"),
        (["--set", "evaluate.input_size=[240]"], "evaluate.input_size is a list of 1"),
        (["--set", "evaluate.input_size=[0, 9]"], "evaluate.input_size[0] is 0"),
    ],
)
def test_errors_are_one_line_and_nothing_is_written(
    folder: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    more = [argument.format(out=tmp_path) for argument in arguments]
    assert main(command(folder, *more)) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_figures_are_printed_though_a_file_cannot_be_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    protocol = ("--protocols", "single")
    assert main(command(folder, "--json", *protocol, "--csv", "/dev/null/classes.csv")) == 1
    assert json.loads(capsys.readouterr().out)["frames"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protocols", "singel"], "unknown protocol 'singel': did you mean 'single'"),
        (["--frames", "1"], "give --sheet"),
        (["--sheet", "s.png", "--frames", "1;2"], "wanted whole numbers with commas"),
        (["--csv", "{folder}"], "is a folder"),
        (["--split", "train"], "invalid choice: 'train'"),
        (["--input-size", "320"], "'320' is no input size; wanted WIDTHxHEIGHT"),
    ],
)
def test_what_is_asked_wrongly_ends_with_status_2(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as wrong:
        main(command(folder, *(argument.format(folder=folder) for argument in arguments)))
    assert wrong.value.code == 2
    assert message in capsys.readouterr().err


def test_data_is_described_as_it_was_found(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("h5py")
    pytest.importorskip("scipy")
    from originals import write_sunrgbd

    write_sunrgbd(tmp_path / "sun", frames=7, test=[0, 1, 2, 3, 4])
    config = tmp_path / "sun.yaml"
    config.write_text(f"data: {{name: sunrgbd, root: {tmp_path / 'sun'}}}\n")
    arguments = ["evaluate", str(config), "--checkpoint", str(folder / "sun.safetensors")]
    assert main([*arguments, "--split", "test", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    described = values["dataset"]
    assert (described["name"], described["root"]) == ("sunrgbd", "sun")
    assert (described["layout"], described["validation"]) == ("original", 0.1)
    sensors = values["protocols"][0]["sensors"]
    assert sensors.keys() == {"kv1", "kv2", "realsense", "xtion"}
