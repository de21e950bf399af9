"""What the benchmarks share, and what is asked wrongly of them: nothing is measured then."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
import synthetic
from measuring import markdown

from fafnet_core.benchmark.timing import in_turn
from fafnet_core.rooms.dataset import SyntheticData


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("presets --networks fafnet-nano,warp", "wanted key.path=value"),
        ("presets --networks fafnet-nano,wrap=both", "did you mean 'warp'?"),
        ("presets --networks fafnet-nanno", "did you mean 'fafnet-nano'?"),
        ("presets --networks fafnet-nano/zero-flw", "did you mean 'zero-flow'?"),
        ("presets --networks 2*resnet19", "unknown backbone 'resnet19'"),
        ("presets --rounds 0", "argument --rounds: wanted a whole number, at least 1; got '0'"),
        ("presets --size 0 480", "at least 1; got '0'"),
        ("presets --device gpu", "device 'gpu'"),
        ("ablation --out out --arms no-fams", "invalid choice: 'no-fams'"),
        ("synthetic --frames 1 --jobs 2", "at least one for each process"),
        ("synthetic --size 16 16", "width is 16"),
        ("synthetic --seed -1", "seed is -1"),
        ("shipped", "--nyuv2"),
        ("shipped --nyuv2 . --peer MOSAIC", "wanted NAME=FILE"),
        ("shipped --nyuv2 . --peer MOSAIC=no.tflite", "no.tflite of the peer MOSAIC"),
        ("shipped --nyuv2 nowhere --out out.safetensors", "nowhere"),
    ],
)
def test_what_is_asked_wrongly(
    command: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", command.split())
    with pytest.raises(SystemExit) as wrong:
        importlib.import_module(sys.argv[0]).main()
    assert wrong.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_report_that_is_a_picture_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    picture = tmp_path / "rooms.png"
    picture.write_bytes(b"\x89PNG" + bytes(10_000))
    monkeypatch.setattr(sys, "argv", ["published", str(picture)])
    with pytest.raises(SystemExit):
        importlib.import_module("published").main()
    error = capsys.readouterr().err.splitlines()[-1]
    assert "rooms.png is no report" in error
    assert len(error) < 300


def test_ways_are_timed_in_turn_and_the_first_rounds_do_not_count() -> None:
    now, called = 0.0, ""

    def way(name: str, *took: float) -> Callable[[], None]:
        left = list(took)

        def run() -> None:
            nonlocal now, called
            called += name
            now += left.pop(0)

        return run

    ways = {"a": way("a", 9, 1, 2, 6), "b": way("b", 9, 4, 4, 4)}
    times = in_turn(ways, rounds=3, clock=lambda: now, warming=1)
    assert called == 4 * "ab"
    assert (times.ms("a"), times.ms("b")) == (2000, 4000)
    assert times.ratio("a", "b") == 0.5  # of 1/4, 2/4 and 6/4


def test_a_table_in_markdown() -> None:
    table = "| network | ms |\n|---|---|\n| a | 1 |\n| b | 22 |"
    assert markdown(["network", "ms"], [("a", 1), ("b", 22)]) == table


def test_times_of_synthetic_rooms() -> None:
    text = synthetic.measure(SyntheticData(frames=3, width=64, height=48), jobs=1)
    assert text.startswith("64x48, 3 frames, 1 processes: ")
    stages = ["room and cameras", "registration", "HHA", "all"]
    assert [line.split("  ")[1] for line in text.splitlines()[1:]] == stages


def test_the_sheet_is_a_picture_of_six_rooms(tmp_path: Path) -> None:
    path = tmp_path / "rooms here.png"
    assert synthetic.main(["--size", "64", "48", "--sheet", str(path)]) == 0
    picture = cv2.imread(str(path))
    assert picture is not None
    assert picture.shape[0] == 28 + 3 * 200
    assert picture.shape[1] > 6 * 267
