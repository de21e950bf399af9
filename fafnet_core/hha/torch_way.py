"""The operations of `arrays.ArrayWay` on a torch device.

Window sums are added up from shifted slices: a convolution or a matrix product would be computed
in TF32, with ten bits of mantissa, wherever a program has asked for that.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fafnet_core.hha.arrays import Powers, Window


class TorchWay:
    """Tensors on one device."""

    functions: Any = torch

    def __init__(self, device: str | torch.device) -> None:
        self.device = torch.device(device)

    def float32(self, values: Any) -> Tensor:
        """See `ArrayWay.float32`."""
        return torch.as_tensor(values, dtype=torch.float32, device=self.device)

    def boolean(self, values: Any) -> Tensor:
        """See `ArrayWay.boolean`."""
        return torch.as_tensor(values, dtype=torch.bool, device=self.device)

    def masked(self, values: Tensor, mask: Tensor) -> Tensor:
        """See `ArrayWay.masked`."""
        return torch.where(mask, values, 0.0)

    def window_sums(
        self, image: Tensor, powers: Powers, window: Window, rows: slice
    ) -> list[Tensor]:
        """See `ArrayWay.window_sums`."""
        image = image.to(torch.float32)
        columns = {q: _correlate(image, window, q, dim=0)[rows] for q in {q for _, q in powers}}
        return [_correlate(columns[q], window, p, dim=1) for p, q in powers]

    def block_sums(self, image: Tensor, side: int) -> Tensor:
        """See `ArrayWay.block_sums`."""
        height, width = (n // side for n in image.shape)
        whole = image[: height * side, : width * side].to(torch.float32)
        return whole.reshape(height, side, width, side).sum((1, 3))

    def strip_rows(self, width: int) -> int | None:
        """See `ArrayWay.strip_rows`."""
        return None

    def dot(self, factors: Sequence[Tensor | float | None], values: Sequence[Tensor]) -> Tensor:
        """See `ArrayWay.dot`."""
        pairs = zip(factors, values, strict=True)
        products = [factor * value for factor, value in pairs if factor is not None]
        return functools.reduce(torch.add, products)

    def length(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """See `ArrayWay.length`."""
        return torch.sqrt(x * x + y * y + z * z)

    def with_sign_of(self, values: Tensor, signs: Tensor) -> Tensor:
        """See `ArrayWay.with_sign_of`."""
        return torch.copysign(values, signs)

    def levels(self, values: Tensor, scale: float, offset: float = 0.0) -> Tensor:
        """See `ArrayWay.levels`."""
        return (values * scale + offset).round().clip(0, 255).to(torch.uint8)

    def stack(self, channels: Sequence[Tensor]) -> Tensor:
        """See `ArrayWay.stack`."""
        return torch.stack(list(channels), dim=-1)


def _correlate(image: Tensor, window: Window, power: int, dim: int) -> Tensor:
    """Sum image * offset^power over the windows along one dimension (0 or 1)."""
    radius, length = window.radius, image.shape[dim]
    sides = (0, 0, radius, radius) if dim == 0 else (radius, radius, 0, 0)
    padded = functional.pad(image, sides)
    every = (slice(None),) * dim + (slice(None, None, window.stride),)
    total = torch.zeros_like(image[every])
    for start, weight in enumerate(window.weights(power).tolist()):
        if weight:
            total.add_(padded.narrow(dim, start, length)[every], alpha=weight)
    return total
