"""The summed loss: beside PyTorch's means, over parts of a batch, and where nothing is labelled."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fafnet_core.settings import FieldError
from fafnet_core.training.loss import LossConfig, counted_pixels, lovasz_softmax, summed_loss


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Logits (4, 5, 6, 7) and labels, a third of which is 255, unevenly over the images."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 5, 6, 7, generator=generator)
    label = torch.randint(0, 5, (4, 6, 7), generator=generator)
    ignored = torch.rand(4, 6, 7, generator=generator)
    label[ignored < torch.tensor([0.0, 0.2, 0.4, 0.8]).view(4, 1, 1)] = 255
    return logits, label


@pytest.mark.parametrize("weights", [None, (1.0, 0.5, 2.0, 0.0, 1.0)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_sum_over_count_is_pytorchs_mean(
    batch: tuple[Tensor, Tensor], weights: tuple[float, ...] | None, smoothing: float
) -> None:
    logits, label = batch
    config = LossConfig(class_weights=weights, label_smoothing=smoothing)
    total, count = summed_loss(logits, label, config)
    expected = F.cross_entropy(
        logits,
        label,
        weight=None if weights is None else torch.tensor(weights),
        ignore_index=255,
        label_smoothing=smoothing,
    )
    torch.testing.assert_close(total / count, expected)


def test_the_count_is_of_labelled_pixels(batch: tuple[Tensor, Tensor]) -> None:
    logits, label = batch
    _, count = summed_loss(logits, label)
    assert count.item() == (label != 255).sum().item()
    assert counted_pixels(label, LossConfig()) == count


def test_the_parts_of_a_batch_add_up_to_the_whole(batch: tuple[Tensor, Tensor]) -> None:
    logits, label = batch
    whole = torch.stack(summed_loss(logits, label))
    parts = [torch.stack(summed_loss(logits[i : i + 1], label[i : i + 1])) for i in range(4)]
    torch.testing.assert_close(sum(parts), whole)


def test_the_release_divides_by_unlabelled_pixels_too(batch: tuple[Tensor, Tensor]) -> None:
    """Focal loss with gamma 0 is -log p, 0 at ignored pixels, averaged over every pixel."""
    logits, label = batch
    total, count = summed_loss(logits, label, LossConfig(average_over="all"))
    assert count.item() == 4 * 6 * 7
    losses = F.cross_entropy(logits, label, reduction="none", ignore_index=255)
    torch.testing.assert_close(total / count, losses.mean())


@pytest.mark.parametrize(
    "config",
    [LossConfig(), LossConfig(class_weights=(1.0, 2.0)), LossConfig(lovasz=1.0)],
    ids=["plain", "weights", "lovasz"],
)
def test_nothing_labelled_is_zero_with_gradients_of_zero(config: LossConfig) -> None:
    logits = torch.randn(2, 2, 3, 3, requires_grad=True)
    label = torch.full((2, 3, 3), 255)
    total, count = summed_loss(logits, label, config)
    assert (total.item(), count.item()) == (0, 0)
    total.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad.abs().max() == 0


def test_bfloat16_logits_are_summed_in_float32() -> None:
    logits = torch.zeros(1, 2, 300, 300, dtype=torch.bfloat16)
    total, count = summed_loss(logits, torch.zeros(1, 300, 300, dtype=torch.int64))
    # In bfloat16 a sum stops growing where its next step is more than what is added.
    assert total.dtype == torch.float32
    torch.testing.assert_close(total / count, torch.tensor(2.0).log())


def _certain(prediction: Tensor, classes: int) -> Tensor:
    return F.one_hot(prediction, classes).movedim(-1, 1).float()


def test_lovasz_of_certain_predictions_is_one_minus_iou(batch: tuple[Tensor, Tensor]) -> None:
    logits, label = batch
    prediction = logits.argmax(1)
    valid = label != 255
    ious = []
    for kind in torch.unique(label[valid]):
        found, true = (prediction == kind) & valid, label == kind
        ious.append((found & true).sum() / (found | true).sum())
    surrogate = lovasz_softmax(_certain(prediction, 5), label)
    torch.testing.assert_close(surrogate, 1 - torch.stack(ious).mean())
    right = label.where(valid, 0)
    assert lovasz_softmax(_certain(right, 5), label) == 0


def test_lovasz_stands_beside_cross_entropy_and_can_be_descended() -> None:
    generator = torch.Generator().manual_seed(1)
    label = torch.randint(0, 3, (2, 8, 8), generator=generator)
    logits = torch.zeros(2, 3, 8, 8, requires_grad=True)
    entropy, count = summed_loss(logits, label)
    both, same = summed_loss(logits, label, LossConfig(lovasz=0.5))
    seen = label[:, ::4, ::4]
    surrogate = lovasz_softmax(torch.full((2, 3, 2, 2), 1 / 3), seen)
    assert count == same
    torch.testing.assert_close(both / count, entropy / count + 0.5 * surrogate)
    (gradient,) = torch.autograd.grad(lovasz_softmax(logits.softmax(1), label), logits)
    with torch.no_grad():
        lower = lovasz_softmax((logits - 5 * gradient).softmax(1), label)
    assert lower < lovasz_softmax(logits.softmax(1), label)


def test_what_does_not_fit_is_refused(batch: tuple[Tensor, Tensor]) -> None:
    logits, label = batch
    with pytest.raises(ValueError, match=r"got \(4, 5, 6, 7\) and \(4, 6, 6\)"):
        summed_loss(logits, label[:, :, :6])
    with pytest.raises(ValueError, match=r"class_weights has 2 numbers, .* 5 classes"):
        summed_loss(logits, label, LossConfig(class_weights=(1, 2)))
    wrong: dict[str, Any] = {
        "average_over": "void",
        "label_smoothing": 1.0,
        "lovasz": -0.1,
        "class_weights": (0, 0),
    }
    for name, value in wrong.items():
        with pytest.raises(FieldError, match=f"^{name} "):
            LossConfig(**{name: value})
