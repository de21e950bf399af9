"""How a coarse map gets the size of a finer one."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

Resize = Callable[[Tensor, Tensor], Tensor]
"""Brings a map (first) to the size of another (second)."""


def same_size(x: Tensor, like: Tensor) -> Tensor:
    """`x` itself: inside RGBDFuse both maps have one size, and upsampling is skipped."""
    del like
    return x


def upsample_like(x: Tensor, like: Tensor) -> Tensor:
    """`x`, (B, C, h, w), bilinearly at the height and width of `like`, corners on corners."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=True)
