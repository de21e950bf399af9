"""Pictures of an evaluation: figure 7's sheet and the confusion matrix."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core.evaluation.confusion_picture import confusion_picture
from fafnet_core.evaluation.metrics import ConfusionMatrix
from fafnet_core.evaluation.sheets import prediction_sheet
from fafnet_core.labels import NYU40, LabelSet
from fafnet_core.samples import RgbdSample

RED, GREEN, BLUE, YELLOW = (200, 0, 0), (0, 200, 0), (0, 0, 200), (220, 220, 0)
LABELS = LabelSet("four", ("a", "b", "c", "d"), (RED, GREEN, BLUE, YELLOW))
TITLE = 28
"""Height of the titles over the columns."""


def a_sample(height: int = 48, width: int = 64, label: int = 0) -> RgbdSample:
    return RgbdSample(
        rgb=np.full((height, width, 3), (10, 120, 130), np.uint8),
        hha=np.full((height, width, 3), (50, 60, 70), np.uint8),
        label=np.full((height, width), label, np.uint8),
        name="one",
    )


def constant(sample: RgbdSample, label: int) -> NDArray[np.uint8]:
    return np.full(sample.size, label, np.uint8)


def colours_at(
    picture: NDArray[np.uint8], row: int, columns: int, width: int
) -> list[tuple[int, ...]]:
    """The colours in the middle of each column's panel."""
    return [
        tuple(picture[row, column * (width + 4) + width // 2].tolist()) for column in range(columns)
    ]


def has_colour(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> bool:
    return bool((picture == colour).all(axis=2).any())


def test_columns_are_colour_hha_truth_and_predictions_in_rows_of_frames() -> None:
    first, second = a_sample(), a_sample(label=1)
    sheet = prediction_sheet(
        [(first, constant(first, 2)), (second, constant(second, 0))],
        LABELS,
        others={"other": [constant(first, 1), constant(second, 2)]},
        row_height=48,
    )
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == 5 * 64 + 4 * 4
    start = [(10, 120, 130), (50, 60, 70)]
    assert colours_at(sheet, TITLE + 24, 5, 64) == [*start, RED, BLUE, GREEN]
    assert colours_at(sheet, TITLE + 48 + 4 + 24, 5, 64) == [*start, GREEN, RED, BLUE]


def test_the_legend_shows_the_classes_that_occur_and_no_other() -> None:
    sample = a_sample()
    sheet = prediction_sheet([(sample, constant(sample, 1))], LABELS, row_height=48)
    legend = sheet[TITLE + 48 :]
    assert has_colour(legend, RED)
    assert has_colour(legend, GREEN)
    assert not has_colour(legend, BLUE)
    assert not has_colour(legend, (0, 0, 0))
    sample.label[0] = 255
    sheet = prediction_sheet([(sample, constant(sample, 1))], LABELS, row_height=48)
    assert has_colour(sheet[TITLE + 48 :], (0, 0, 0))


def test_every_class_of_forty_is_in_the_legend_whatever_the_width() -> None:
    sample = a_sample(40, 20)
    sample.label[:] = np.arange(40)[:, None]
    sheet = prediction_sheet([(sample, sample.label.copy())], NYU40)
    legend = sheet[TITLE + 240 :]
    assert all(has_colour(legend, colour) for colour in NYU40.palette)


def test_frames_of_different_sizes_are_brought_to_one_height() -> None:
    large, narrow = a_sample(96, 128), a_sample(48, 32, label=1)
    sheet = prediction_sheet(
        [(large, constant(large, 0)), (narrow, constant(narrow, 1))], LABELS, row_height=48
    )
    assert sheet.shape[1] == 4 * 64 + 3 * 4
    second = sheet[TITLE + 48 + 4 + 24]
    for column in range(4):
        left = column * 68
        assert tuple(second[left + 16]) != (255, 255, 255)
        assert (second[left + 33 : left + 64] == 255).all()  # paper at its right


def test_what_does_not_fit_is_refused() -> None:
    sample = a_sample()
    good = constant(sample, 0)
    with pytest.raises(ValueError, match="one frame"):
        prediction_sheet([], LABELS)
    with pytest.raises(ValueError, match=r"\(2, 2\)"):
        prediction_sheet([(sample, good[:2, :2])], LABELS)
    with pytest.raises(ValueError, match="'other' has 0"):
        prediction_sheet([(sample, good)], LABELS, others={"other": []})
    with pytest.raises(ValueError, match="two columns are called 'prediction'"):
        prediction_sheet([(sample, good)], LABELS, others={"prediction": [good]})


def confusion(*rows: list[int]) -> ConfusionMatrix:
    counts = ConfusionMatrix(len(rows))
    counts.matrix[:] = rows
    return counts


def near(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> int:
    """How many pixels have that colour, but for rounding."""
    distance = np.abs(picture.astype(int) - colour).max(axis=2)
    return int((distance <= 1).sum())


DARKEST, NO_TARGET = (8, 48, 107), (228, 228, 228)


def test_a_class_that_is_only_predicted_has_a_grey_row() -> None:
    both = confusion_picture(confusion([9, 0], [0, 9]), "ab")
    assert near(both, NO_TARGET) < 1000  # edges of letters
    grey = confusion_picture(confusion([9, 3], [0, 0]), "ab")
    assert near(grey, NO_TARGET) > 10_000


def test_only_classes_that_occur_are_drawn() -> None:
    two = confusion_picture(confusion([9, 1], [2, 5]), ["wall", "floor"])
    four = confusion_picture(
        confusion([9, 0, 1, 0], [0, 0, 0, 0], [2, 0, 5, 0], [0, 0, 0, 0]),
        ["wall", "never", "floor", "neither"],
    )
    assert np.array_equal(two, four)


def test_rows_are_parts_of_their_own_target() -> None:
    few = confusion_picture(confusion([3, 1], [0, 1]), "ab")
    many = confusion_picture(confusion([3, 1], [0, 10]), "ab")
    assert np.array_equal(few, many)


def test_a_perfect_network_has_a_dark_diagonal_and_forty_classes_stay_apart() -> None:
    counts = ConfusionMatrix(40)
    np.fill_diagonal(counts.matrix, np.arange(1, 41) * 1000)
    picture = confusion_picture(counts, NYU40.names, "a title")
    assert picture.dtype == np.uint8
    assert min(picture.shape[:2]) > 40 * 30
    ink = picture.astype(int).sum(axis=2) < 3 * 250
    for border in (ink[:5], ink[-5:], ink[:, :5], ink[:, -5:]):
        assert not border.any()  # nothing is cut off
    assert near(picture, DARKEST) > 40 * 400


def test_a_matrix_that_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="pixel"):
        confusion_picture(confusion([0, 0], [0, 0]), "ab")
    with pytest.raises(ValueError, match="3 names"):
        confusion_picture(confusion([1, 0], [0, 1]), "abc")


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ValueError, match="pip install matplotlib"):
        confusion_picture(confusion([9, 1], [2, 5]), "ab")
