"""Cross entropy over the labelled pixels, as a sum and a count.

A sum and a count, not a mean: micro-batches and processes hold different numbers of labelled
pixels, so only the sums give the mean over all pixels. The paper does not give its loss. The
release's launch file takes focal loss with gamma 0, which is cross entropy, and divides by all
pixels, the unlabelled ones too (`average_over: all`): a defect, because an image with few labels
then weighs little.

Optional: the Lovász softmax loss (Berman, Triki and Blaschko, CVPR 2018), a convex surrogate of
1 - mean IoU. Mean IoU is what is reported, and cross entropy gives rare classes little weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from fafnet_core.labels import UNLABELLED
from fafnet_core.settings import FieldError, check_fields

AverageOver = Literal["valid", "all"]

# The decoder's logits are a quarter of the image's size, so every fourth pixel of a row and of a
# column shows them all, and sorting a sixteenth of the pixels costs little.
_LOVASZ_STRIDE = 4


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """What is added up, and what it is divided by.

    Attributes:
        average_over: "valid", the labelled pixels; "all", every pixel, as the release does.
        class_weights: one number for each class, at least one above 0; None: all the same.
        label_smoothing: share of the target that is spread over all classes, 0 <= share < 1.
        lovasz: weight of the Lovász softmax loss beside the mean cross entropy; 0 leaves it out.
            It is computed over a whole micro-batch, so another split gives another gradient.
    """

    average_over: AverageOver = "valid"
    class_weights: tuple[Annotated[float, "0 <= x"], ...] | None = None
    label_smoothing: Annotated[float, "0 <= x < 1"] = 0.0
    lovasz: Annotated[float, "0 <= x"] = 0.0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.class_weights is not None and not any(self.class_weights):
            raise FieldError("class_weights", "class_weights are all 0; wanted one above 0")

    def check_classes(self, num_classes: int) -> None:
        """Refuse weights for another number of classes.

        Raises:
            ValueError: there are class weights, and not one for each.
        """
        if self.class_weights is not None and len(self.class_weights) != num_classes:
            raise ValueError(
                f"train.loss.class_weights has {len(self.class_weights)} numbers, but there are"
                f" {num_classes} classes; give one a class"
            )


def summed_loss(
    logits: Tensor, label: Tensor, config: LossConfig | None = None
) -> tuple[Tensor, Tensor]:
    """The loss summed over the labelled pixels, and the number of pixels it is the sum of.

    The mean is sum / count; where no pixel is labelled both are 0, and so are the gradients.

    Args:
        logits: (B, C, H, W), any floating-point type; computed in float32.
        label: (B, H, W) int64, 0..C-1, or 255 where a pixel does not count.
        config: what counts, and how much; by default all labelled pixels alike.

    Returns:
        The sum and the count, both float32 and without dimensions, on the device of the logits.

    Raises:
        ValueError: the shapes do not fit each other, or not the class weights.
    """
    config = config or LossConfig()
    if logits.dim() != 4 or label.shape != (logits.shape[0], *logits.shape[2:]):
        raise ValueError(
            "the loss takes logits (batch, classes, height, width) and labels (batch, height,"
            f" width); got {tuple(logits.shape)} and {tuple(label.shape)}"
        )
    config.check_classes(logits.shape[1])
    logits = logits.float()
    # Summed in a second step: the sum that PyTorch fuses into the loss of images is not
    # repeatable on a GPU.
    losses = F.cross_entropy(
        logits,
        label,
        weight=None if config.class_weights is None else logits.new_tensor(config.class_weights),
        ignore_index=UNLABELLED,
        reduction="none",
        label_smoothing=config.label_smoothing,
    )
    loss, count = losses.sum(), counted_pixels(label, config)
    if config.lovasz:
        every = slice(None, None, _LOVASZ_STRIDE)
        surrogate = lovasz_softmax(logits[..., every, every].softmax(1), label[:, every, every])
        loss = loss + config.lovasz * count * surrogate
    return loss, count


def lovasz_softmax(probabilities: Tensor, label: Tensor) -> Tensor:
    """A convex surrogate of 1 - IoU, its mean over the classes that the labels have.

    Of predictions that are certain (each probability 0 or 1) it is 1 - IoU itself. Berman et al.,
    section 3.2, equations 8 and 9, and algorithm 1 for the gradient of the Lovász extension.

    Args:
        probabilities: (B, C, H, W), float; of a pixel they sum to 1.
        label: (B, H, W) int64, 0..C-1, or 255 where a pixel does not count.

    Returns:
        A number without dimensions; 0 where no pixel is labelled.
    """
    labelled = label != UNLABELLED
    target = label[labelled]
    present = torch.unique(target)
    if present.numel() == 0:
        return probabilities.sum() * 0
    truth = (target == present[:, None]).float()
    errors = (truth - probabilities.movedim(1, 0)[present][:, labelled]).abs()
    errors, order = errors.sort(dim=1, descending=True)
    truth = truth.gather(1, order)
    # At place k: the Jaccard loss if exactly the k + 1 pixels of the largest errors were wrong.
    total = truth.sum(1, keepdim=True)
    intersection = total - truth.cumsum(1)
    union = total + (1 - truth).cumsum(1)
    jaccard_loss = 1 - intersection / union
    steps = jaccard_loss.diff(dim=1, prepend=jaccard_loss.new_zeros(len(present), 1))
    surrogate: Tensor = (errors * steps).sum(1).mean()
    return surrogate


def counted_pixels(label: Tensor, config: LossConfig) -> Tensor:
    """The count of `summed_loss` alone, which needs no logits.

    Args:
        label: of any shape, class ids or 255.
        config: what counts, and how much.
    """
    if config.average_over == "all":
        return torch.tensor(float(label.numel()), device=label.device)
    labelled = label != UNLABELLED
    if config.class_weights is None:
        return labelled.sum().float()
    weights = torch.tensor(config.class_weights, device=label.device)
    # Not label[labelled]: a GPU would have to wait for its size.
    return (weights[label.where(labelled, 0)] * labelled).sum()
