"""CVAT's Segmentation mask 1.1: what is written comes back, and faults are named with places."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fafnet_core.cli.main import main
from fafnet_core.datasets.cvat import CvatExport, label_colours, task_labels, write_cvat
from fafnet_core.datasets.frames import read_stored
from fafnet_core.files import write_png
from fafnet_core.labels import NYU40, LabelSet

KITCHEN = LabelSet(
    "kitchen", ("floor", "black cat", "pot"), ((200, 10, 10), (0, 0, 0), (9, 9, 200))
)
SIZE = (4, 6)
LABELMAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nfloor:200,10,10::\npot:9,9,200::\n"


def ids() -> NDArray[np.uint8]:
    return np.resize(np.array([0, 1, 2, 255], np.uint8), SIZE)


def png(colours: NDArray[np.uint8]) -> bytes:
    stored = io.BytesIO()
    Image.fromarray(colours).save(stored, "PNG")
    return stored.getvalue()


def of_colour(*colour: int) -> bytes:
    return png(np.full((*SIZE, 3), colour, np.uint8))


def export(path: Path, images: dict[str, bytes], labelmap: str = LABELMAP) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labelmap.txt", labelmap)
        for name, content in images.items():
            archive.writestr(f"SegmentationClass/{name}.png", content)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two frames whose labels are still those of the network."""
    into = tmp_path / "picked"
    for name in ("a", "b"):
        write_png(into / "rgb" / f"{name}.png", np.zeros((*SIZE, 3), np.uint8))
        write_png(into / "labels" / f"{name}.png", np.zeros(SIZE, np.uint8))
    (into / "classes.yaml").write_text("names: [floor, pot]\n", encoding="utf-8")
    return into


@pytest.mark.parametrize("label_set", [KITCHEN, NYU40], ids=lambda each: each.name)
def test_what_is_written_is_read(label_set: LabelSet, tmp_path: Path) -> None:
    write_cvat(tmp_path / "a.zip", {"frame": ids()}, label_set)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    for source in (tmp_path / "a.zip", tmp_path / "unpacked"):
        found = dict(CvatExport(source, label_set).labels({"frame": SIZE}))
        np.testing.assert_array_equal(found["frame"], ids())


def test_a_class_never_has_the_colour_of_unlabelled_pixels_or_of_another_class() -> None:
    colours = label_colours(KITCHEN)
    assert colours["floor"] == (200, 10, 10)
    assert (0, 0, 0) not in colours.values()
    assert len(set(colours.values())) == 3
    assert '"background"' in task_labels(KITCHEN)


def test_corrected_labels_replace_those_of_the_network(folder: Path, tmp_path: Path) -> None:
    images = {"a": of_colour(9, 9, 200), "b": of_colour(0, 0, 0)}
    source = export(tmp_path / "x.zip", images)
    assert main(["labels", "import", str(source), "--into", str(folder)]) == 0
    assert (read_stored(folder / "labels" / "a.png") == 1).all()
    assert (read_stored(folder / "labels" / "b.png") == 255).all()


def test_frames_without_annotation_are_left_out_where_the_user_says_so(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = export(tmp_path / "x.zip", {"a": of_colour(9, 9, 200)})
    command = ["labels", "import", str(source), "--into", str(folder)]
    assert main(command) == 1
    assert "no labels of 1 of 2 frames" in capsys.readouterr().err
    assert (read_stored(folder / "labels" / "a.png") == 0).all()
    assert main([*command, "--partial"]) == 0
    assert [path.name for path in (folder / "labels").iterdir()] == ["a.png"]
    assert [path.name for path in (folder / "labels-unchecked").iterdir()] == ["b.png"]


@pytest.mark.parametrize(
    ("name", "content", "labelmap", "told"),
    [
        ("a", of_colour(1, 2, 3), LABELMAP, "a.png, row 0, column 0: colour (1, 2, 3) is none of"),
        ("a", of_colour(7, 7, 7), f"{LABELMAP}cable:7,7,7::\n", "unknown class 'cable'"),
        ("a", png(np.zeros((2, 3, 3), np.uint8)), LABELMAP, "a.png is 3x2, but its colour image"),
        ("c", of_colour(0, 0, 0), LABELMAP, "frames that are not there: c"),
        ("a", b"no image", LABELMAP, "a.png is not an image"),
        ("a", of_colour(0, 0, 0), "floor:1,2::\n", "labelmap.txt line 1 is 'floor:1,2::'"),
        ("a", of_colour(0, 0, 0), f"{LABELMAP}x:9,9,200::\n", "x has the colour of pot"),
        ("../../a", of_colour(9, 9, 200), LABELMAP, "are labels of one frame, a"),
    ],
)
def test_faults_are_named_and_change_nothing(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes,
    labelmap: str,
    told: str,
) -> None:
    images = {"a": of_colour(0, 0, 0), "b": of_colour(0, 0, 0), name: content}
    source = export(tmp_path / "x.zip", images, labelmap)
    before = sorted(tmp_path.rglob("*"))
    assert main(["labels", "import", str(source), "--into", str(folder)]) == 1
    assert told in capsys.readouterr().err
    assert (read_stored(folder / "labels" / "a.png") == 0).all()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_zip_that_unpacks_to_too_much_is_refused(folder: Path, tmp_path: Path) -> None:
    source = export(tmp_path / "x.zip", {"a": b""}, "#" * (1 << 21))
    with pytest.raises(ValueError, match=r"labelmap\.txt has more than 1 MiB"):
        CvatExport(source, KITCHEN)


def test_what_is_no_export_says_which_format_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK no")
    with pytest.raises(ValueError, match=r"Segmentation mask 1\.1"):
        CvatExport(tmp_path / "x.zip", KITCHEN)
    with pytest.raises(ValueError, match=r"has no labelmap\.txt"):
        CvatExport(tmp_path, KITCHEN)
