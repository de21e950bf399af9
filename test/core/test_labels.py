"""Label sets: published names, colours that can be told apart, round trips."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fafnet_core.labels import NYU40, SUN37, LabelSet
from fafnet_core.nearest import unknown_name


def test_published_sets_have_their_names_in_order() -> None:
    assert (len(NYU40), len(SUN37)) == (40, 37)
    assert NYU40.names[:3] == ("wall", "floor", "cabinet")
    assert NYU40.names[-3:] == ("otherstructure", "otherfurniture", "otherprop")
    assert SUN37.names == NYU40.names[:37]
    assert len(set(NYU40.names)) == 40
    assert NYU40.ignore_index == 255


def test_no_two_classes_share_a_colour_and_none_is_the_unlabelled_one() -> None:
    colours = np.array(NYU40.palette)
    for a, b in itertools.combinations(range(40), 2):
        distance = np.abs(colours[a] - colours[b]).sum()
        assert distance >= 40, (NYU40.names[a], NYU40.names[b])
    assert colours.sum(axis=1).min() > 100


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


def test_unknown_names_come_with_the_nearest_or_all() -> None:
    known = ("alpha", "beta")
    assert unknown_name("key", "alpa", known) == "unknown key 'alpa': did you mean 'alpha'?"
    assert unknown_name("key", "zzz", known) == "unknown key 'zzz': known: alpha, beta"
