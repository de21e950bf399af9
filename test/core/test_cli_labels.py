"""`fafnet labels` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import pytest

from fafnet_core.cli.main import main
from fafnet_core.labels import NYU40, SCANNET20, shipped_label_sets


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["labels", *arguments]) == 0
    return capsys.readouterr().out


def test_list_names_sets_mappings_and_their_sources(capsys: pytest.CaptureFixture[str]) -> None:
    text = asked(capsys, "list")
    assert "nyu40: 40 classes\n  Names and order: S. Gupta" in text
    assert "nyu40 to nyu13\n  classMapping13" in text
    report = json.loads(asked(capsys, "list", "--json"))
    assert [entry["name"] for entry in report["label_sets"]] == shipped_label_sets()
    assert all(entry["source"] for entry in report["label_sets"] + report["mappings"])


def test_show_prints_a_set_and_writes_its_picture(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    picture = tmp_path / "pictures" / "nyu40.png"
    lines = asked(capsys, "show", "nyu40", "--out", str(picture)).splitlines()
    assert any(line.split() == ["1", "floor", "201", "167", "124"] for line in lines)
    assert lines[-2:] == ["group traversable: floor, floor mat", "group people: person"]
    drawn = cv2.imread(str(picture))
    assert drawn is not None
    colours = {(red, green, blue) for blue, green, red in drawn.reshape(-1, 3).tolist()}
    assert set(NYU40.palette) <= colours
    found = json.loads(asked(capsys, "show", "scannet20", "--json"))
    assert (found["names"], found["ignore_index"]) == (list(SCANNET20.names), 255)


def test_show_takes_files_and_checkpoints(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text("names: [floor, robot]")
    assert "mine: 2 classes" in asked(capsys, "show", str(tmp_path / "mine.yaml"))
    assert json.loads(asked(capsys, "show", "default", "--json"))["name"] == "nyu40"
    assert main(["labels", "show", "nyu4O"]) == 1
    assert "did you mean 'nyu40'" in capsys.readouterr().err


def mapped(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(asked(capsys, "map", *arguments, "--json"))
    return report


def test_map_shows_what_ships(capsys: pytest.CaptureFixture[str]) -> None:
    assert mapped(capsys, "nyu40", "nyu13")["classes"]["door"] == "wall"
    lines = [line.split() for line in asked(capsys, "map", "nyu40", "scannet20").splitlines()]
    assert ["13", "desk", "12", "desk"] in lines
    assert ["12", "blinds", "-", "(unlabelled)"] in lines


def test_map_compares_by_name_and_applies_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    mine, merge = tmp_path / "mine.yaml", tmp_path / "merge.yaml"
    mine.write_text("names: [Floor-Mat, robot, chair]")
    report = mapped(capsys, "nyu40", str(mine))
    assert report["source"] == "By name: 2 of the 3 classes are in both."
    assert (report["classes"]["floor mat"], report["classes"]["wall"]) == ("Floor-Mat", None)
    assert report["only_in_to_set"] == ["robot"]
    merge.write_text("classes: {robot: null}")
    assert mapped(capsys, str(mine), str(merge))["to_set"] == "mine-merged"
