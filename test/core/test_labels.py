"""Label sets: published names, colours that can be told apart, round trips, files."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fafnet_core.labels
from fafnet_core.checkpoints.checkpoint import read_metadata
from fafnet_core.labels import (
    ADE20K,
    ADE20K_INDOOR,
    NYU13,
    NYU40,
    SCANNET20,
    SUN37,
    LabelSet,
    load_label_set,
    shipped_label_sets,
)
from fafnet_core.labels.files import source_of
from fafnet_core.nearest import unknown_name


def test_published_sets_have_their_names_in_order() -> None:
    assert (len(NYU40), len(SUN37)) == (40, 37)
    assert NYU40.names[:3] == ("wall", "floor", "cabinet")
    assert NYU40.names[-3:] == ("otherstructure", "otherfurniture", "otherprop")
    assert SUN37.names == NYU40.names[:37]
    assert len(set(NYU40.names)) == 40
    assert NYU40.ignore_index == 255


def test_other_published_sets_have_their_names_in_order() -> None:
    assert NYU13.names == (
        "bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "picture", "sofa",
        "table", "tv", "wall", "window",
    )  # fmt: skip
    ids = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39)
    assert SCANNET20.names == tuple(NYU40.names[i - 1] for i in ids)
    assert SCANNET20.palette[0] == (174, 199, 232)
    assert (len(ADE20K), len(ADE20K_INDOOR)) == (150, 20)
    assert [ADE20K.names[i - 1] for i in (1, 4, 6, 20, 150)] == [
        "wall", "floor", "ceiling", "chair", "flag",
    ]  # fmt: skip
    assert (ADE20K_INDOOR.names[0], ADE20K_INDOOR.names[-1]) == ("Wall", "Human")


def test_no_two_classes_share_a_colour_and_none_is_the_unlabelled_one() -> None:
    colours = np.array(NYU40.palette)
    for a, b in itertools.combinations(range(40), 2):
        distance = np.abs(colours[a] - colours[b]).sum()
        assert distance >= 40, (NYU40.names[a], NYU40.names[b])
    assert colours.sum(axis=1).min() > 100


@pytest.mark.parametrize("name", shipped_label_sets())
def test_sets_that_ship_have_a_source_and_colours_that_differ(name: str) -> None:
    label_set = load_label_set(name)
    assert label_set.name == name
    assert label_set is load_label_set(name)
    assert len(source_of(name)) > 20
    assert len({*label_set.palette, (0, 0, 0)}) == len(label_set) + 1
    assert LabelSet.from_dict(json.loads(label_set.to_json())) == label_set


def test_importing_label_sets_reads_no_file() -> None:
    code = (
        "import yaml\n"
        "yaml.compose = None\n"
        "import fafnet_core.labels\n"
        "try:\n"
        "    fafnet_core.labels.NYU40\n"
        "except TypeError:\n"
        "    print('read now')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "read now\n"
    with pytest.raises(AttributeError, match="NYU41"):
        fafnet_core.labels.NYU41  # noqa: B018


def test_the_checkpoint_that_ships_has_the_classes_of_the_file() -> None:
    assert read_metadata("default").label_set == NYU40


def test_colourise_looks_up_each_pixel_and_leaves_unlabelled_black() -> None:
    labels = np.array([[0, 39], [255, 40]], np.uint8)
    colours = NYU40.colourise(labels)
    assert colours.dtype == np.uint8
    assert colours.tolist() == [
        [list(NYU40.palette[0]), list(NYU40.palette[39])],
        [[0, 0, 0], [0, 0, 0]],
    ]


def test_label_sets_are_read_again_and_refused_if_they_do_not_fit() -> None:
    assert LabelSet.from_dict(NYU40.to_dict()) == NYU40
    with pytest.raises(ValueError, match="2 names but 1 colours"):
        LabelSet("x", ("a", "b"), ((1, 2, 3),))
    with pytest.raises(ValueError, match="has 0 classes"):
        LabelSet("x", (), ())
    with pytest.raises(ValueError, match="not a label set"):
        LabelSet.from_dict({"name": "x"})
    with pytest.raises(ValueError, match="group 'g': unknown class 'c'"):
        LabelSet("x", ("a",), ((1, 2, 3),), groups={"g": ("c",)})


def test_groups_travel_with_a_set_and_do_not_make_it_another() -> None:
    plain = LabelSet("x", ("a", "b"), ((1, 2, 3), (4, 5, 6)))
    grouped = LabelSet(plain.name, plain.names, plain.palette, groups={"g": ("b",)})
    assert "groups" not in plain.to_dict()  # as files of before have it
    assert LabelSet.from_dict(grouped.to_dict()).groups == {"g": ("b",)}
    assert grouped == plain
    assert hash(grouped) == hash(plain)


def written(tmp_path: Path, text: str, name: str = "mine.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_file_of_your_own_classes(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """\
names: [floor, wall, no, 12]
colours:
  wall: [1, 2, 3]
  no: "#0A141e"
  12: 102030
groups: {traversable: [floor]}
unlabelled: 200
""",
    )
    mine = load_label_set(path)
    assert (mine.name, mine.names) == ("mine", ("floor", "wall", "no", "12"))
    assert mine.palette[1:] == ((1, 2, 3), (10, 20, 30), (16, 32, 48))
    assert mine.palette[0] not in (*mine.palette[1:], (0, 0, 0))
    assert (mine.ignore_index, mine.groups) == (200, {"traversable": ("floor",)})
    assert load_label_set(str(path)) == mine


def test_a_file_needs_names_only_and_json_of_a_running_node_is_one(tmp_path: Path) -> None:
    alone = load_label_set(written(tmp_path, "names: [a, b]"))
    assert (alone.ignore_index, len(set(alone.palette))) == (255, 2)
    node = load_label_set(written(tmp_path, NYU40.to_json(), "node.json"))
    assert (node, node.groups) == (NYU40, NYU40.groups)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colours: {}", "lacks names"),
        ("names: [a]\nnmae: x", "line 2: unknown key 'nmae': did you mean 'name'?"),
        ("names: floor", "line 1: names is 'floor'; wanted a list, each text"),
        ("names:\n- a\n- b\n- a", r"line 4: names\[2\] is 'a', as is names\[0\]"),
        ("names:\n- a\n- ''", r"line 3: names\[1\] is empty"),
        ("names: [floor]\ncolours:\n  flor: [1, 2, 3]", "line 3: colours: unknown class 'flor'"),
        ("names: [a]\ncolours:\n  a: [1, 2, 300]", r"line 3: colours.a"),
        ("names: [a]\ncolours:\n  a: red", "line 3: colours.a is 'red'; wanted"),
        ("names: [a]\ncolours:\n  a: #ff0000", "line 3: colours.a is null"),
        ("names: [a, b]\npalette: [[1, 2, 3]]", "line 2: palette has 1 colours for 2 classes"),
        ("names: [a]\npalette: [[1, 2, 3]]\ncolours: {a: ff0000}", "colours and palette are both"),
        ("names: [a, b]\nunlabelled: 1", "ignore_index is 1; wanted 2 to 255"),
        ("names: [a]\ngroups:\n  g: [b]", "line 3: groups.g: unknown class 'b'"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=message) as refused:
        load_label_set(path)
    assert str(refused.value).startswith(str(path))


def test_what_is_no_label_set_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"did you mean 'nyu40'.*no such file"):
        load_label_set("nyu4o")


def test_unknown_names_come_with_the_nearest_or_all() -> None:
    known = ("alpha", "beta")
    assert unknown_name("key", "alpa", known) == "unknown key 'alpa': did you mean 'alpha'?"
    assert unknown_name("key", "zzz", known) == "unknown key 'zzz': known: alpha, beta"
