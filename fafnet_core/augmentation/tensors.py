"""Samples become the tensors that a network and its loss take."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fafnet_core.augmentation.config import Padding
from fafnet_core.labels import UNLABELLED
from fafnet_core.normalisation import Normalisation
from fafnet_core.samples import RgbdSample, SampleError


class Batch(NamedTuple):
    """What the network and the loss take; of one sample, the same without the first dimension.

    Attributes:
        rgb: (B, 3, H, W) float32, normalised.
        hha: (B, 3, H, W) float32, normalised.
        label: (B, H, W) int64, class ids; 255 is ignored.
    """

    rgb: Tensor
    hha: Tensor
    label: Tensor


class ToTensors:
    """Normalises a sample and pads it to a size.

    Args:
        normalisation: x = (level / 255 - mean) / deviation.
        pad: what fills the padding: "mean" is 0 in the tensors, "black" is level 0.
        pad_label: the label of the padding.
    """

    def __init__(
        self, normalisation: Normalisation, *, pad: Padding = "mean", pad_label: int = UNLABELLED
    ) -> None:
        # There are only 256 levels: each is normalised once, here.
        self._rgb = _levels(*normalisation.affine("rgb"))
        self._hha = _levels(*normalisation.affine("hha"))
        self._black = pad == "black"
        self._pad_label = pad_label

    def __call__(self, sample: RgbdSample, size: tuple[int, int] | None = None) -> Batch:
        """The tensors of one sample, without the first dimension of `Batch`.

        Args:
            sample: with HHA.
            size: (height, width) to pad to, evenly on both sides; None: the sample's own.

        Raises:
            SampleError: the sample has no HHA, or is larger than `size`.
        """
        if sample.hha is None:
            raise SampleError(sample.name, "no HHA; call with_hha() first")
        (height, width), (rows, columns) = sample.size, size or sample.size
        top, left = (rows - height) // 2, (columns - width) // 2
        if min(top, left) < 0:
            raise SampleError(
                sample.name,
                f"{width}x{height} is larger than the {columns}x{rows} to pad it to; crop it first",
            )
        place = slice(top, top + height), slice(left, left + width)
        label = np.full((rows, columns), self._pad_label, np.int64)
        label[place] = sample.label
        return Batch(
            self._image(sample.rgb, self._rgb, (rows, columns), place),
            self._image(sample.hha, self._hha, (rows, columns), place),
            torch.from_numpy(label),
        )

    def _image(
        self,
        image: NDArray[np.uint8],
        levels: NDArray[np.float32],
        size: tuple[int, int],
        place: tuple[slice, slice],
    ) -> Tensor:
        values = np.zeros((3, *size), np.float32)
        if self._black:
            values[:] = levels[:, :1, None]
        for channel, plane in enumerate(cv2.split(image)):
            cv2.LUT(plane, levels[channel], dst=values[channel][place])
        return torch.from_numpy(values)


def _levels(scale: NDArray[np.float64], offset: NDArray[np.float64]) -> NDArray[np.float32]:
    """What each of the 256 levels of three channels becomes: (3, 256)."""
    return (np.arange(256) * scale[:, None] + offset[:, None]).astype(np.float32)
