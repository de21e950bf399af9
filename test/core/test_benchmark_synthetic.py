"""The benchmark of the synthetic rooms."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import cv2
import pytest

from fafnet_core.rooms.dataset import SyntheticData

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def synthetic(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("synthetic")


def test_every_frame_is_made_once_and_counted(synthetic: ModuleType) -> None:
    data = SyntheticData(frames=5, width=64, height=48)
    share = synthetic.make(data, range(2, 5))
    assert share.ended > share.began
    assert min(share.rooms_s, share.registration_s, share.hha_s) > 0
    text = synthetic.measure(data, jobs=1)
    assert text.startswith("64x48, 5 frames, 1 processes: ")
    assert [line.split("  ")[1] for line in text.splitlines()[1:]] == [
        "room and cameras", "registration", "HHA", "all",
    ]  # fmt: skip


def test_the_sheet_is_a_picture_of_six_rooms(synthetic: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "rooms here.png"
    assert synthetic.main(["--size", "64", "48", "--sheet", str(path)]) == 0
    picture = cv2.imread(str(path))
    assert picture is not None
    assert picture.shape[0] == 28 + 3 * 200
    assert picture.shape[1] > 6 * 267


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--jobs", "0"], "--jobs: wanted at least 1"),
        (["--frames", "1", "--jobs", "2"], "at least one for each process"),
        (["--size", "16", "16"], "width is 16"),
        (["--seed", "-1"], "seed is -1"),
    ],
)
def test_what_is_asked_wrongly_of_it(
    synthetic: ModuleType,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    with pytest.raises(SystemExit) as wrong:
        synthetic.main(arguments)
    assert wrong.value.code == 2
    assert message in capsys.readouterr().err
