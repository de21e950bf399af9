"""What is asked wrongly of a benchmark is said in one line, and nothing is measured."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--networks", "fafnet-nano,warp"], "wanted key.path=value"),
        (["--networks", "fafnet-nano,warp=["], "not YAML"),
        (["--networks", "fafnet-nano,wrap=both"], "did you mean 'warp'?"),
        (["--networks", "fafnet-nanno"], "did you mean 'fafnet-nano'?"),
        (["--networks", "fafnet-nano/zero-flw"], "did you mean 'zero-flow'?"),
        (["--networks", "2*resnet19"], "unknown backbone 'resnet19'"),
        (["--frames", "0"], "--frames and --size: wanted at least 1"),
        (["--frames", "-1"], "wanted a whole number from 0; got '-1'"),
        (["--size", "0", "480"], "--frames and --size: wanted at least 1"),
        (["--device", "gpu"], "device 'gpu' is not one"),
        (["--precision", "float12"], "unknown precision 'float12'"),
    ],
)
def test_what_is_asked_wrongly_of_presets(
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    presets = importlib.import_module("presets")
    monkeypatch.setattr(sys, "argv", ["presets.py", *arguments])
    with pytest.raises(SystemExit) as wrong:
        presets.main()
    assert wrong.value.code == 2
    assert message in capsys.readouterr().err
