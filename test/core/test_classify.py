"""From coarse logits to the classes of pixels: cells against the plain definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fafnet_core.runtimes.classify import NotFiniteError, classify, classify_everywhere

SIDES = st.integers(1, 9)


@settings(deadline=None, max_examples=60)
@given(
    classes=st.integers(1, 60),
    entries=st.tuples(SIDES, SIDES),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    spread=st.sampled_from([0.1, 3.0, 30.0]),
    same_size=st.booleans(),
    seed=st.integers(0, 999),
)
# What the possible classes leave over is a millionth at one corner.
@example(classes=58, entries=(7, 3), size=(2, 2), spread=3.0, same_size=False, seed=321)
def test_cells_give_what_every_class_at_full_size_gives(
    classes: int,
    entries: tuple[int, int],
    size: tuple[int, int],
    spread: float,
    same_size: bool,
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(classes, *entries, generator=generator)
    seen = None if same_size else (4 * entries[0], 4 * entries[1])
    found = classify(logits, size, seen)
    labels, confidence = found.labels, found.confidence
    wanted, probability = (result.numpy() for result in classify_everywhere(logits, size, seen))
    assert labels.dtype == np.uint8
    assert confidence.dtype == np.float32
    assert labels.shape == confidence.shape == size
    # Where the best two are apart by more than rounding: there is one right answer.
    margin = spread * 1e-4
    doubtful = _second_best_within(margin, logits, size, seen)
    assert ((labels == wanted) | doubtful).all()
    assert (confidence > 0).all()
    # The logarithm of the other classes' sum is interpolated, which is never less than the sum.
    assert (confidence <= probability + 1e-4).all()


def _second_best_within(
    margin: float,
    logits: torch.Tensor,
    size: tuple[int, int],
    seen: tuple[int, int] | None,
) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Where the best class changes when all classes are raised by a little, one at a time."""
    wanted, _ = classify_everywhere(logits, size, seen)
    doubtful = np.zeros(size, bool)
    for label in range(len(logits)):
        raised = logits.clone()
        raised[label] += margin
        doubtful |= (classify_everywhere(raised, size, seen)[0] != wanted).numpy()
    return doubtful


def test_of_two_equal_classes_the_first_one_is_taken() -> None:
    found = classify(torch.zeros(5, 3, 3), (12, 12))
    assert (found.labels == 0).all()
    np.testing.assert_allclose(found.confidence, 0.2, atol=1e-6)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_a_number_is_refused(value: float) -> None:
    logits = torch.zeros(3, 4, 4)
    logits[1, 2, 2] = value
    with pytest.raises(NotFiniteError, match="precision float32"):
        classify(logits, (16, 16))


@pytest.mark.parametrize("across", [True, False])
def test_labels_of_another_size_lie_where_the_network_saw_them(across: bool) -> None:
    def found(row: torch.Tensor, pixels: int) -> list[int]:
        """Labels along a side of so many pixels, where the network saw 64; class 1 has `row`."""
        logits = torch.stack([torch.zeros(8, 16), row.expand(8, 16)])
        size, seen = (16, pixels), (32, 64)
        if across:
            labels = classify(logits, size, seen).labels
        else:
            labels = classify(logits.transpose(1, 2), size[::-1], seen[::-1]).labels.T
        assert (labels == labels[0]).all()
        along: list[int] = labels[0].tolist()
        return along

    # Class 1 beyond the middle of what was seen, class 0 before it.
    for pixels in (40, 64, 100, 129, 256):
        labels = found(torch.linspace(-1, 1, 16), pixels)
        half = pixels // 2
        assert labels == [0] * half + labels[half : pixels - half] + [1] * half
    # Off the middle too, to a thousandth: the edge lies at pixel 12.7 of what was seen.
    assert found(torch.linspace(0, 63, 16) - 12.7, 6400).count(0) == round((12.7 + 0.5) * 100)
