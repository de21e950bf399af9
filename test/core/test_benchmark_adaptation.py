"""The adaptation benchmark: its frames are a data set, and its table has every group of runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from adaptation import open_frames
from adaptation_data import divide, read_scenes, write_folder
from adaptation_report import Run, table
from originals import NYU_CAMERA_MATRIX, NYU_SHAPE, room

from fafnet_core.datasets.frames import read_stored
from fafnet_core.files import write_png

FRAMES = {
    "train": {"0001": "kitchen", "0004": "office"},
    "test": {"0002": "kitchen", "0003": "bath"},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two frames to train and two to test, in ESANet's layout."""
    root = tmp_path_factory.mktemp("esanet")
    seen = room(NYU_SHAPE, NYU_CAMERA_MATRIX, seed=1)
    for split, names in FRAMES.items():
        for name in names:
            write_png(root / split / "rgb" / f"{name}.png", seen.rgb)
            write_png(root / split / "labels_40" / f"{name}.png", seen.label + np.uint8(1))
    return root


def scenes_file(folder: Path, lines: str) -> Path:
    path = folder / "scenes.txt"
    path.write_text(lines, encoding="utf-8")
    return path


def test_frames_are_divided_by_their_type_and_need_one(root: Path, tmp_path: Path) -> None:
    lines = [f"{name} {kind}\n" for names in FRAMES.values() for name, kind in names.items()]
    types = read_scenes(scenes_file(tmp_path, "".join(lines)))
    scenes = divide(root, types, ["kitchen"])
    assert (scenes.train, scenes.test) == (["0001"], ["0002"])
    assert (scenes.other_train, scenes.other_test) == (["0004"], ["0003"])
    with pytest.raises(ValueError, match=r"1 train frames .* no type of scene, such as 0001"):
        divide(root, read_scenes(scenes_file(tmp_path, "".join(lines[1:]))), ["kitchen"])
    with pytest.raises(ValueError, match="line 1 is '0001'"):
        read_scenes(scenes_file(tmp_path, "0001\n"))


def test_a_list_of_frames_is_a_data_set(root: Path, tmp_path: Path) -> None:
    import cv2

    for split, names in FRAMES.items():
        (root / split / "depth").mkdir(exist_ok=True)
        for name in names:
            counts = np.full(NYU_SHAPE, 2000, np.uint16)
            cv2.imwrite(str(root / split / "depth" / f"{name}.png"), counts)
    write_folder(tmp_path, root, ["0004"], ["0002", "0003"])
    assert [sample.name for sample in open_frames(tmp_path, "train")] == ["0004"]
    test = open_frames(tmp_path, "test")
    assert list(test.names) == ["0002", "0003"]
    stored = read_stored(root / "test" / "labels_40" / "0002.png")
    np.testing.assert_array_equal(test[0].label, stored - np.uint8(1))


def test_the_table_has_mean_and_spread_over_the_seeds() -> None:
    def run(way: str, frames: int, seed: int, iou: float) -> Run:
        scores = {"mean_iou": iou, "pixel_accuracy": 0.5}
        return Run(way, frames, seed, [], 60.0 * frames, {"new": scores, "rest": scores})

    text = table([run("base", 0, 0, 0.2), run("random", 5, 0, 0.3), run("random", 5, 1, 0.34),
                  run("picked", 5, 0, 0.4)])  # fmt: skip
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert rows[2][:4] == ["0", "base", "1", "20.0"]
    assert rows[3][:4] == ["5", "picked", "1", "40.0"]
    assert rows[4][:4] == ["5", "random", "2", "32.0 ± 2.8"]
