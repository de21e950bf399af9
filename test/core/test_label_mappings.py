"""Mappings between label sets: those that ship, files, merging and dropping by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fafnet_core.labels import (
    ADE20K_INDOOR,
    NYU13,
    NYU40,
    SCANNET20,
    SUN37,
    LabelSet,
    load_mapping,
    shipped_mappings,
)
from fafnet_core.labels.mappings import (
    chosen_mapping,
    mapping_onto,
    merge_classes,
    read_mapping,
    same_names,
)

MINE = LabelSet(
    "mine",
    ("floor", "floor mat", "wall", "cable"),
    ((1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4)),
    groups={"traversable": ("floor", "floor mat"), "traps": ("cable",)},
)


@pytest.mark.parametrize(("before", "after"), shipped_mappings())
def test_mappings_that_ship_name_every_class_and_a_source(before: str, after: str) -> None:
    mapping = load_mapping(before, after)
    assert (mapping.from_set.name, mapping.to_set.name) == (before, after)
    assert list(mapping.classes) == list(mapping.from_set.names)
    assert len(mapping.source) > 20


def test_nyu40_goes_to_every_other_indoor_set() -> None:
    reached = {b for a, b in shipped_mappings() if a == "nyu40"}
    assert reached == {"nyu13", "sun37", "scannet20", "ade20k", "ade20k-indoor"}


def test_nyu13_is_what_its_table_says() -> None:
    ids = [NYU13.names.index(str(load_mapping("nyu40", "nyu13").classes[n])) for n in NYU40.names]
    # classMapping13, counted from 1.
    assert [i + 1 for i in ids] == [
        12, 5, 6, 1, 4, 9, 10, 12, 13, 6, 8, 6, 13, 10, 6, 13, 6, 7, 7, 5,
        7, 3, 2, 6, 11, 7, 7, 7, 7, 7, 7, 6, 7, 7, 7, 7, 7, 7, 6, 7,
    ]  # fmt: skip


def test_mappings_that_go_two_ways_agree() -> None:
    first, then = load_mapping("nyu40", "ade20k"), load_mapping("ade20k", "ade20k-indoor")
    both = load_mapping("nyu40", "ade20k-indoor")
    ids = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(then.apply(first.apply(ids)), both.apply(ids))
    to_sun, on = load_mapping("nyu40", "sun37"), load_mapping("sun37", "nyu13")
    direct = load_mapping("nyu40", "nyu13")
    np.testing.assert_array_equal(on.apply(to_sun.apply(ids))[:37], direct.apply(ids)[:37])


def test_labels_are_mapped_pixel_by_pixel() -> None:
    mapping = load_mapping("nyu40", "scannet20")
    labels = np.array([[0, 12], [38, 255]], np.uint8)
    assert mapping.apply(labels).tolist() == [[0, 255], [19, 255]]
    assert SCANNET20.names[19] == "otherfurniture"


def test_classes_are_merged_and_dropped_by_name() -> None:
    mapping = merge_classes(MINE, {"floor mat": "floor", "cable": None})
    merged = mapping.to_set
    assert (merged.name, merged.names) == ("mine-merged", ("floor", "wall"))
    assert merged.palette == ((1, 1, 1), (3, 3, 3))
    assert merged.groups == {"traversable": ("floor",)}
    assert mapping.apply(np.array([0, 1, 2, 3, 255], np.uint8)).tolist() == [0, 0, 1, 255, 255]


def test_a_merged_class_may_have_a_new_name() -> None:
    merged = merge_classes(MINE, {"floor": "ground", "floor mat": "ground"}).to_set
    assert merged.names == ("ground", "wall", "cable")
    assert merged.palette[0] == MINE.palette[0]


def test_names_that_are_no_class_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown class 'flor': did you mean 'floor'"):
        merge_classes(MINE, {"flor": "floor"})
    with pytest.raises(ValueError, match="no class of 'mine' is left"):
        merge_classes(MINE, dict.fromkeys(MINE.names))


def written(folder: Path, text: str) -> Path:
    path = folder / "map.yaml"
    path.write_text(text)
    return path


def test_a_file_maps_to_a_set_beside_it_or_merges(tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text("names: [low, high]")
    path = written(
        tmp_path,
        "to_set: two.yaml\nclasses: {floor: low, floor mat: low, wall: high, cable: null}\n",
    )
    mapping = read_mapping(path, MINE)
    assert mapping.to_set.names == ("low", "high")
    assert mapping.apply(np.arange(4, dtype=np.uint8)).tolist() == [0, 0, 1, 255]
    assert chosen_mapping(MINE, str(path)).to_set == mapping.to_set
    path = written(tmp_path, "from_set: nyu40\nclasses: {floor mat: floor}\nsource: me")
    assert len(read_mapping(path).to_set) == 39
    assert read_mapping(path).source == "me"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("from_set: nyu40", "lacks classes"),
        ("classes: {a: b}", "from_set is missing"),
        ("from_set: nyu4\nclasses: {}", "line 1: unknown label set 'nyu4'"),
        ("from_set: nyu40\nclasses:\n  wal: floor", "line 3: classes: unknown class of from_set"),
        (
            "from_set: sun37\nto_set: nyu13\nclasses:\n  wall: wal",
            "line 4: classes.wall: unknown class of to_set 'wal': did you mean 'wall'",
        ),
        ("from_set: sun37\nto_set: nyu13\nclasses: {wall: wall}", "lacks floor, cabinet"),
        ("from_set: nyu40\nto_set: no.yaml\nclasses: {}", "line 2: unknown label set 'no.yaml'"),
    ],
)
def test_a_wrong_mapping_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=message) as refused:
        read_mapping(path)
    assert str(refused.value).startswith(str(path))


def test_a_mapping_of_other_classes_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "from_set: nyu40\nclasses: {floor mat: floor}")
    with pytest.raises(ValueError, match=r"line 1: the mapping is for 'nyu40'.* not for 'mine'"):
        read_mapping(path, MINE)
    with pytest.raises(FileNotFoundError, match="no mapping from mine to nyu13 ships"):
        chosen_mapping(MINE, "nyu13")
    with pytest.raises(FileNotFoundError, match="'sun37' has a mapping: nyu13"):
        chosen_mapping(SUN37, "none.yaml")


def test_a_setting_chooses_a_mapping_that_ships() -> None:
    assert chosen_mapping(NYU40, "ade20k-indoor").to_set is ADE20K_INDOOR
    other = LabelSet("nyu40", ("a",), ((1, 2, 3),))
    with pytest.raises(ValueError, match="has other classes"):
        chosen_mapping(other, "nyu13")


def test_classes_of_both_sets_are_found_by_name() -> None:
    new = LabelSet("n", ("Floor_Mat", "robot", "wall"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)))
    assert same_names(NYU40, new) == {0: 19, 2: 0}


def test_a_setting_leads_to_a_given_set_and_the_rest_goes_by_name() -> None:
    kitchen = LabelSet("kitchen", ("cupboard", "Floor", "wall"), ((1, 1, 1),) * 3)
    mapping = mapping_onto(NYU40, kitchen, {"cabinet": "cupboard", "wall": None})
    assert mapping.to_set is kitchen
    assert {old: new for old, new in mapping.classes.items() if new} == {
        "cabinet": "cupboard",
        "floor": "Floor",
    }
    assert mapping_onto(NYU40, NYU13, "nyu13") == load_mapping("nyu40", "nyu13")
    with pytest.raises(ValueError, match=r"no class of 'nyu40' becomes one of 'mine'.*cable"):
        mapping_onto(NYU40, MINE, {"wall": None, "floor": None, "floor mat": None})
