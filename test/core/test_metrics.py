"""Confusion matrices and their figures: by hand, against NumPy and against torchmetrics."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics.functional.classification as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fafnet_core.evaluation.metrics import ConfusionMatrix


def counted(prediction: Any, target: Any, classes: int = 3) -> ConfusionMatrix:
    confusion = ConfusionMatrix(classes)
    confusion.update(np.asarray(prediction), np.asarray(target))
    return confusion


def test_figures_of_a_case_done_by_hand() -> None:
    #   target      0  0  0  0  1  1  2  unlabelled
    confusion = counted([0, 0, 0, 1, 1, 0, 2, 9], [0, 0, 0, 0, 1, 1, 2, 255])
    assert confusion.matrix.tolist() == [[3, 1, 0], [1, 1, 0], [0, 0, 1]]
    scores = confusion.compute()
    assert scores.iou == pytest.approx([3 / 5, 1 / 3, 1])
    assert scores.accuracy == pytest.approx([3 / 4, 1 / 2, 1])
    assert scores.pixels.tolist() == [4, 2, 1]
    assert scores.pixel_accuracy == pytest.approx(5 / 7)
    assert scores.mean_accuracy == pytest.approx(2.25 / 3)
    assert scores.mean_iou == pytest.approx((3 / 5 + 1 / 3 + 1) / 3)
    assert scores.frequency_weighted_iou == pytest.approx((4 * 3 / 5 + 2 / 3 + 1) / 7)


def test_a_class_that_never_occurs_is_left_out_of_the_means() -> None:
    scores = counted([0, 0, 1, 1], [0, 0, 1, 0], classes=4).compute()
    assert np.isnan(scores.iou).tolist() == [False, False, True, True]
    assert np.isnan(scores.accuracy).tolist() == [False, False, True, True]
    assert scores.mean_iou == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert scores.mean_accuracy == pytest.approx((2 / 3 + 1) / 2)


def test_a_class_that_is_only_predicted_has_iou_0_which_counts_and_no_accuracy() -> None:
    scores = counted([0, 0, 2], [0, 0, 0]).compute()
    assert scores.iou[2] == 0
    assert np.isnan(scores.accuracy[2])
    assert scores.mean_iou == pytest.approx((2 / 3 + 0) / 2)
    assert scores.mean_accuracy == pytest.approx(2 / 3)
    assert scores.frequency_weighted_iou == pytest.approx(2 / 3)


def test_without_a_labelled_pixel_every_figure_is_nan_and_none_in_json() -> None:
    scores = counted([0, 1], [255, 255]).compute()
    assert list(scores.to_dict().values()) == [None] * 4
    assert np.isnan(scores.iou).all()
    assert scores.pixels.tolist() == [0, 0, 0]


frames = st.integers(2, 12).flatmap(
    lambda classes: st.tuples(
        st.just(classes), st.integers(0, 2**32 - 1), st.integers(1, 400), st.floats(0, 1)
    )
)


@given(frames)
@settings(max_examples=60, deadline=None)
def test_counts_equal_numpys_and_torchmetrics_and_iou_too(
    frame: tuple[int, int, int, float],
) -> None:
    classes, seed, pixels, unlabelled = frame
    rng = np.random.default_rng(seed)
    # Some classes only, so that there are some that never occur, or are only predicted.
    target = rng.choice(rng.integers(0, classes, classes), pixels).astype(np.uint8)
    target[rng.random(pixels) < unlabelled] = 255
    prediction = rng.choice(rng.integers(0, classes, classes), pixels).astype(np.uint8)
    confusion = counted(prediction, target, classes)

    by_hand = np.zeros((classes, classes), np.int64)
    np.add.at(by_hand, (target[target != 255], prediction[target != 255]), 1)
    assert np.array_equal(confusion.matrix, by_hand)

    tensors = [torch.from_numpy(values).long() for values in (prediction, target)]
    theirs = reference.multiclass_confusion_matrix(*tensors, num_classes=classes, ignore_index=255)
    assert np.array_equal(confusion.matrix, theirs.numpy())
    if not (target != 255).any():
        return
    scores = confusion.compute()
    iou, accuracy = reference.multiclass_jaccard_index, reference.multiclass_accuracy
    for figure, average, mine in (
        (iou, "none", scores.iou),
        (iou, "macro", scores.mean_iou),
        (iou, "weighted", scores.frequency_weighted_iou),
        (accuracy, "micro", scores.pixel_accuracy),
    ):
        found = figure(*tensors, num_classes=classes, ignore_index=255, average=average)
        # Where nothing is there to divide, torchmetrics says 0.
        assert np.nan_to_num(mine) == pytest.approx(found.numpy(), abs=1e-5)


@pytest.mark.parametrize("prediction_type", [np.uint8, np.int32, np.int64])
@pytest.mark.parametrize("target_type", [np.uint8, np.uint16, np.int64])
def test_arrays_tensors_and_both_count_the_same(prediction_type: Any, target_type: Any) -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 250, (2, 5, 7)).astype(target_type)
    target[0, 0] = 255
    prediction = rng.integers(0, 250, (2, 5, 7)).astype(prediction_type)
    matrices = []
    for first in (prediction, torch.from_numpy(prediction)):
        for second in (target, torch.from_numpy(target)):
            confusion = ConfusionMatrix(250)
            confusion.update(first, second)
            matrices.append(confusion.matrix)
    assert matrices[0].sum() == 2 * 5 * 7 - 7
    assert matrices[0].dtype == np.int64
    assert all(np.array_equal(matrices[0], matrix) for matrix in matrices[1:])


def test_updates_and_merges_add_up() -> None:
    rng = np.random.default_rng(1)
    pairs = rng.integers(0, 5, (4, 2, 30))
    parts = [counted(prediction, target, 5) for prediction, target in pairs]
    merged, updated = ConfusionMatrix(5), ConfusionMatrix(5)
    for part, (prediction, target) in zip(parts, pairs, strict=True):
        merged.merge(part)
        updated.update(prediction, target)
    whole = counted(pairs[:, 0], pairs[:, 1], 5)
    assert np.array_equal(merged.matrix, whole.matrix)
    assert np.array_equal(updated.matrix, whole.matrix)


def tensors(values: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(values)


@pytest.mark.parametrize("kind", [np.asarray, tensors])
@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        ([0, 1], [0, 7], "target is 7"),
        ([0, 1], [0, -1], "target is -1"),
        ([0, 3], [0, 1], "prediction is 3"),
        ([1, 3], [1, 1], "prediction is 3; wanted a class, 0..2$"),
        ([1, 2], [1, 7], "target is 7; wanted a class, 0..2, or 255 where there is no label$"),
        ([0, -2], [0, 1], "prediction is -2"),
        ([0, 1, 2], [0, 1], r"prediction is \(3,\), target \(2,\)"),
        ([0.0, 1.0], [0, 1], "prediction holds .*float64"),
        ([0, 1], [False, True], "target holds .*bool"),
    ],
)
def test_what_cannot_be_counted_is_refused_and_changes_nothing(
    kind: Any, prediction: list[int], target: list[int], message: str
) -> None:
    confusion = ConfusionMatrix(3)
    with pytest.raises(ValueError, match=message):
        confusion.update(kind(np.array(prediction)), kind(np.array(target)))
    assert not confusion.matrix.any()


def test_impossible_matrices_are_refused() -> None:
    with pytest.raises(ValueError, match="wanted at least 1"):
        ConfusionMatrix(0)
    for number in (0, 1, 39):
        with pytest.raises(ValueError, match=f"is {number}, one of the classes 0..39;"):
            ConfusionMatrix(40, ignore_index=number)


@pytest.mark.parametrize("ignore_index", [-100, -1, 3, 255])
@pytest.mark.parametrize("kind", [np.asarray, tensors])
def test_any_number_that_is_no_class_can_be_ignored(kind: Any, ignore_index: int) -> None:
    confusion = ConfusionMatrix(3, ignore_index)
    confusion.update(kind(np.array([0, 2, 1])), kind(np.array([0, ignore_index, 2])))
    assert confusion.matrix.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_the_door_of_before_goes_on() -> None:
    from fafnet_core.training import metrics

    assert metrics.ConfusionMatrix is ConfusionMatrix


def test_arrays_are_counted_without_pytorch() -> None:
    code = (
        "import sys, numpy\nfrom fafnet_core.evaluation.metrics import ConfusionMatrix\n"
        "c = ConfusionMatrix(2); c.update(numpy.array([1]), numpy.array([1])); c.compute()\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
