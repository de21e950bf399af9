"""Figures of semantic segmentation (section 4.1 of the paper), all from one confusion matrix.

Everything is summed over the pixels of all frames before anything is divided: a class's IoU is not
the mean of its IoU in each frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fafnet_core.labels import UNLABELLED

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Scores:
    """What a confusion matrix says, as fractions; NaN where there is nothing to divide by.

    A class that occurs in neither target nor prediction has no IoU (NaN) and is left out of the
    mean. A class that is predicted and occurs in no target has an IoU of 0, which counts in the
    mean, and no accuracy.

    Attributes:
        mean_iou: mean of `iou`, NaN left out.
        pixel_accuracy: part of the labelled pixels that got their class.
        mean_accuracy: mean of `accuracy`, NaN left out.
        frequency_weighted_iou: mean of `iou`, weighted with `pixels`.
        iou: (C,) float64, intersection over union of target and prediction.
        accuracy: (C,) float64, part of a class's pixels that got it (its recall).
        pixels: (C,) int64, pixels of each class in the target.
    """

    mean_iou: float
    pixel_accuracy: float
    mean_accuracy: float
    frequency_weighted_iou: float
    iou: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    pixels: NDArray[np.int64]

    def to_dict(self) -> dict[str, float | None]:
        """Return the four figures as JSON has them: NaN becomes None."""
        figures = ("mean_iou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou")
        return {name: finite_or_none(getattr(self, name)) for name in figures}


class ConfusionMatrix:
    """Counts of pixels by target and predicted class.

    Attributes:
        num_classes: C; the classes are 0..C-1.
        ignore_index: target of pixels that are not counted, whatever is predicted there.
        matrix: (C, C) int64; row: target, column: prediction. It is the state and may be written
            to: `torch.distributed.all_reduce(torch.from_numpy(confusion.matrix))` sums it over the
            processes of a group on CPUs.

    Raises:
        ValueError: no classes, or `ignore_index` is one of them.
    """

    def __init__(self, num_classes: int, ignore_index: int = UNLABELLED) -> None:
        if num_classes < 1:
            raise ValueError(f"num_classes is {num_classes}; wanted at least 1")
        if 0 <= ignore_index < num_classes:
            raise ValueError(
                f"ignore_index is {ignore_index}, one of the classes 0..{num_classes - 1}; wanted"
                f" another number, such as {UNLABELLED}"
            )
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.matrix = np.zeros((num_classes, num_classes), np.int64)

    def update(self, prediction: NDArray[Any] | Tensor, target: NDArray[Any] | Tensor) -> None:
        """Count the pixels of a frame or a batch.

        Args:
            prediction: class ids, integers, any shape; 0..C-1 wherever the target is counted.
                A tensor is counted on its device.
            target: class ids of the same shape; 0..C-1, or `ignore_index`.

        Raises:
            ValueError: the shapes differ, the values are not integers or out of range; nothing is
                counted then.
        """
        if tuple(prediction.shape) != tuple(target.shape):
            raise ValueError(
                f"prediction is {tuple(prediction.shape)}, target {tuple(target.shape)}; wanted one"
                " shape: resize the logits to the labels' size"
            )
        if isinstance(prediction, np.ndarray) and isinstance(target, np.ndarray):
            self.matrix += self._count_arrays(prediction, target)
        else:
            self.matrix += self._count_tensors(prediction, target)

    def merge(self, other: ConfusionMatrix) -> None:
        """Add the counts of another one, with the same classes."""
        self.matrix += other.matrix

    def compute(self) -> Scores:
        """Return the figures of what has been counted so far."""
        right = np.diag(self.matrix).astype(np.float64)
        pixels = self.matrix.sum(axis=1)
        union = pixels + self.matrix.sum(axis=0) - right
        total = pixels.sum()
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: a figure that does not exist
            iou, accuracy = right / union, right / pixels
            return Scores(
                mean_iou=_mean(iou),
                pixel_accuracy=float(right.sum() / total),
                mean_accuracy=_mean(accuracy),
                frequency_weighted_iou=float(np.nansum(pixels * iou) / total),
                iou=iou,
                accuracy=accuracy,
                pixels=pixels,
            )

    def _count_arrays(
        self, prediction: NDArray[np.generic], target: NDArray[np.generic]
    ) -> NDArray[np.int64]:
        for name, values in (("prediction", prediction), ("target", target)):
            if not np.issubdtype(values.dtype, np.integer):
                raise _not_integers(name, values.dtype)
        counted = target != self.ignore_index
        of, to = (values[counted].astype(np.int64) for values in (target, prediction))
        if of.size:
            self._check_range("target", int(of.min()), int(of.max()))
            self._check_range("prediction", int(to.min()), int(to.max()))
        of *= self.num_classes
        of += to
        return np.bincount(of, minlength=self.matrix.size).reshape(self.matrix.shape)

    def _count_tensors(
        self, prediction: NDArray[Any] | Tensor, target: NDArray[Any] | Tensor
    ) -> NDArray[np.int64]:
        # PyTorch is loaded only where there are tensors, which is where it is loaded already.
        import torch

        of = torch.as_tensor(target)
        to = torch.as_tensor(prediction)
        of = of.to(to.device) if isinstance(prediction, torch.Tensor) else of
        to = to.to(of.device)
        for name, values in (("prediction", to), ("target", of)):
            if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
                raise _not_integers(name, values.dtype)
        of, to = of.long(), to.long()
        counted = of != self.ignore_index
        of, to = of[counted], to[counted]
        if of.numel():
            extremes = torch.stack([*of.aminmax(), *to.aminmax()]).tolist()
            self._check_range("target", *extremes[:2])
            self._check_range("prediction", *extremes[2:])
        counts = torch.bincount(of * self.num_classes + to, minlength=self.matrix.size)
        array: NDArray[np.int64] = counts.cpu().numpy().reshape(self.matrix.shape)
        return array

    def _check_range(self, name: str, least: int, most: int) -> None:
        if least >= 0 and most < self.num_classes:
            return
        wrong = least if least < 0 else most
        raise ValueError(
            f"a {name} is {wrong}; wanted a class, 0..{self.num_classes - 1}"
            + (f", or {self.ignore_index} where there is no label" if name == "target" else "")
        )


def finite_or_none(value: float) -> float | None:
    """Return the number, or None for NaN, which JSON does not have."""
    return float(value) if math.isfinite(value) else None


def _not_integers(name: str, dtype: object) -> ValueError:
    return ValueError(f"{name} holds {dtype}; wanted integers, the ids of classes (argmax first)")


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan
