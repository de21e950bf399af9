"""The bands of pixels near class boundaries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core.evaluation.boundaries import boundary_band


def band_of(*rows: str, width_px: float) -> list[str]:
    """Bands drawn with letters: digits are classes, '.' is unlabelled; '#' is near."""
    label = np.array([[255 if c == "." else int(c) for c in row] for row in rows], np.uint8)
    band = boundary_band(label, width_px)
    return ["".join("#" if near else "." for near in row) for row in band]


@pytest.mark.parametrize(
    ("width_px", "band"),
    [(0, "........"), (0.9, "........"), (1, "...##..."), (2.5, "..####.."), (4, "########")],
)
def test_a_straight_boundary_has_so_many_pixels_on_either_side(width_px: float, band: str) -> None:
    assert band_of("00001111", "00001111", width_px=width_px) == [band, band]


def test_edges_of_unlabelled_regions_are_no_boundaries() -> None:
    assert band_of("000...", "000...", width_px=3) == ["......", "......"]
    assert band_of("......", "......", width_px=3) == ["......", "......"]


def test_two_classes_meet_across_an_unlabelled_strip_no_wider_than_the_band() -> None:
    assert band_of("000.111", width_px=1) == ["......."]
    assert band_of("000.111", width_px=2) == ["..#.#.."]
    assert band_of("000.111", width_px=3) == [".##.##."]


def test_a_band_equals_the_distances_of_all_pairs_of_pixels() -> None:
    rng = np.random.default_rng(4)
    for width_px in (1.0, 2.3, 4.0):
        label = rng.choice(np.array([0, 1, 7, 254, 255], np.uint8), (6, 8))
        label = label.repeat(2, 0).repeat(2, 1)
        rows, columns = (axis.ravel() for axis in np.indices(label.shape))
        apart = np.hypot(rows[:, None] - rows, columns[:, None] - columns)
        flat = label.ravel()
        other = (flat[:, None] != flat) & (flat != 255) & (flat[:, None] != 255)
        wanted = (other & (apart <= width_px)).any(1).reshape(label.shape)
        assert np.array_equal(boundary_band(label, width_px), wanted)


@pytest.mark.parametrize(
    ("label", "width_px", "message"),
    [
        (np.zeros((4, 4), np.int64), 1, "wanted uint8"),
        (np.zeros((1, 4, 4), np.uint8), 1, "wanted uint8"),
        (np.zeros((4, 4), np.uint8), -1, "width_px is -1"),
        (np.zeros((4, 4), np.uint8), float("nan"), "width_px is nan"),
    ],
)
def test_labels_and_widths_that_make_no_band_are_refused(
    label: NDArray[Any], width_px: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        boundary_band(label, width_px)
