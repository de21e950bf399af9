"""`fafnet benchmark` as a user runs it: what is measured and reported, not how long it takes."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import cv2
import pytest

from fafnet_core import build_model, save_checkpoint
from fafnet_core.benchmark.contenders import STAGES
from fafnet_core.cli.main import main

NETWORK = "untrained:fafnet-nano"
TINY = ["--sizes", "64x48", "--threads", "1", "--rounds", "2", "--camera", "64x48"]
FLOAT32 = ["--precisions", "float32"]


def report(capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    assert main(["benchmark", *TINY, "--json", *more]) == 0
    values: dict[str, Any] = json.loads(capsys.readouterr().out)
    return values


def networks(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in values["rows"] if row["what"] == "network"]


def test_rows_are_those_that_were_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--networks", NETWORK, "--runtimes", "torch", "--sizes", "64x48,96x64"]
    values = report(capsys, *asked, "--threads", "1,2")
    rows = networks(values)
    assert [(row["width"], row["height"], row["threads"]) for row in rows] == [
        (64, 48, 1),
        (64, 48, 2),
        (96, 64, 1),
        (96, 64, 2),
    ]
    for row in rows:
        named = [row[key] for key in ("network", "runtime", "precision", "device")]
        assert named == [NETWORK, "torch", "float32", "cpu"]
        assert 0 < row["ms"] <= row["p95_ms"]
        assert row["frames"] >= 2
        assert row["labels_equal"] == 1
        assert row["peak_mb"] > 0
        assert row["busy_ms"] is None
    stages = [(row["what"], row["threads"]) for row in values["rows"] if row["what"] != "network"]
    assert stages == [(stage, threads) for threads in (1, 2) for stage in STAGES]
    assert values["left_out"] == []


def test_machine_and_versions(capsys: pytest.CaptureFixture[str]) -> None:
    machine = report(capsys, "--networks", NETWORK, "--runtimes", "torch")["machine"]
    assert machine["processor"]
    assert machine["cores"] >= 1
    assert {"fafnet_ros", "python", "torch", "numpy"} <= set(machine["versions"])
    assert machine["date"].endswith("+00:00")


@pytest.mark.skipif(not importlib.util.find_spec("openvino"), reason="OpenVINO is not installed")
def test_labels_of_a_runtime_are_compared_with_pytorch_that_has_no_row(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (row,) = networks(report(capsys, "--networks", NETWORK, "--runtimes", "openvino", *FLOAT32))
    assert (row["runtime"], row["precision"]) == ("openvino", "float32")
    assert 0.995 <= row["labels_equal"] <= 1
    assert row["of_first"] == 1


def test_beside_a_busy_process(capsys: pytest.CaptureFixture[str]) -> None:
    values = report(capsys, "--networks", NETWORK, "--runtimes", "torch", "--busy")
    assert all(0 < row["busy_ms"] <= row["busy_p95_ms"] for row in values["rows"])


def test_the_table_the_picture_and_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, picture, file = (tmp_path / name for name in ("n.safetensors", "t.png", "t.json"))
    save_checkpoint(checkpoint, build_model("fafnet-nano"), input_size=(36, 48))
    asked = ["--networks", f"{checkpoint},fafnet-nano", "--runtimes", "torch"]
    assert main(["benchmark", *TINY, *asked, "--plot", str(picture), "--json", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    for start in (str(checkpoint), "fafnet-nano", *STAGES):
        assert len([line for line in lines if line.startswith(f"{start}  ")]) == 1
    assert len(networks(json.loads(file.read_text()))) == 2
    pixels = cv2.imread(str(picture))
    assert pixels is not None
    assert pixels.shape[1] >= 600


def test_what_cannot_be_had_is_left_out_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--networks", NETWORK, "--runtimes", "torch", "--precisions", "float32,float16"]
    assert main(["benchmark", *TINY, *asked, "--device", "cpu"]) == 0
    assert "left out: torch float16: precision float16 needs a GPU" in capsys.readouterr().out


def test_where_no_network_can_be_had_it_fails(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--networks", "default", "--runtimes", "torch", "--sizes", "8x8"]
    assert main(["benchmark", *TINY, *asked]) == 1
    assert "too small for this network" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--networks", "fafnet-nanno"], "did you mean 'fafnet-nano'?"),
        (["--networks", "default,untrained:fafnet-lit"], "did you mean 'fafnet-lite'?"),
        (["--networks", "defult"], "did you mean 'default'?"),
        (["--networks", ""], "unknown network ''"),
        (["--networks", "hf://net"], "hf://owner/name"),
        (["--runtimes", "torch,opnvino"], "did you mean 'openvino'?"),
        (["--precisions", "bfloat"], "did you mean 'bfloat16'?"),
        (["--sizes", "320"], "'320' is no size"),
        (["--sizes", "image"], "'image' is no size"),
        (["--threads", "0"], "wanted a whole number, 1 to"),
        (["--rounds", "-1"], "wanted a whole number, 1 to"),
        (["--plot", "."], "is a folder"),
    ],
)
def test_what_is_asked_wrongly_ends_with_status_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as wrong:
        main(["benchmark", *arguments])
    assert wrong.value.code == 2
    assert message in capsys.readouterr().err
