"""Sampling a map at the places of a grid: `Warp` of equation 13.

A grid is a pair (x, y), each (B, H, W): where the features of every pixel come from, with -1 and 1
at the ends of a side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Grid: TypeAlias = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Sampling:
    """Where an offset leads, and what lies beyond the border (equations 12 and 13).

    Attributes:
        step: what an offset of one adds to a coordinate in [-1, 1], by the pixels of that side.
        align_corners: -1 and 1 are the centres of the end pixels (eq. 11), or their outer edges.
        padding_mode: as in `grid_sample`.
    """

    step: Callable[[int], float]
    align_corners: bool
    padding_mode: str

    def pixels(self, size: int) -> float:
        """How many pixels an offset of one moves along a side of `size` pixels."""
        return self.step(size) * (size - 1 if self.align_corners else size) / 2


def _one_pixel(size: int) -> float:
    return 2 / (size - 1)


PIXELS = Sampling(_one_pixel, align_corners=True, padding_mode="border")
"""The flow is in pixels, as "offset of pixels" says; no flow, no motion."""


def warp(features: Tensor, grid: Grid, sampling: Sampling = PIXELS) -> Tensor:
    """Equation 13: the features that lie, bilinearly, at the places of the grid.

    Args:
        features: (B, C, h, w), floating point.
        grid: Omega', x and y, (B, H, W) each, in at least float32; the sampling is computed so.
        sampling: what -1 and 1 are, and what lies beyond.

    Returns:
        (B, C, H, W) in the type and memory format of `features`; NaN where the grid is NaN.
    """
    x, y = grid
    source = features.to(x.dtype)
    channels_last = features.is_contiguous(memory_format=torch.channels_last)
    # Equal, not the same: a copied or unpickled network has a copy.
    if channels_last and sampling == PIXELS and _runs_plainly_on_a_cpu(source, x):
        return _gather(source, x, y).to(features.dtype)
    places = torch.stack((x, y), dim=-1)
    nowhere = _nowhere(places)
    if nowhere is not None:
        places = places.masked_fill(nowhere[..., None], 0)
    warped = F.grid_sample(
        source,
        places,
        mode="bilinear",
        padding_mode=sampling.padding_mode,
        align_corners=sampling.align_corners,
    ).to(features.dtype)
    if nowhere is not None:
        warped = warped.masked_fill(nowhere[:, None], float("nan"))
    # Sampling returns NCHW whatever it was given; left so, every convolution after it would
    # convert back.
    return warped.contiguous(memory_format=torch.channels_last) if channels_last else warped


def _nowhere(places: Tensor) -> Tensor | None:
    """Where coordinates (B, H, W, 2) are NaN, (B, H, W); None: nowhere, or not looked for.

    On a CPU the backward pass of `grid_sample` writes outside of its memory for them, and the
    border's value, which its forward pass gives, would hide that a training has broken down.
    """
    if places.device.type != "cpu" or _is_recorded():
        return None
    nowhere = places.isnan().any(dim=-1)
    return nowhere if bool(nowhere.any()) else None


def _is_recorded() -> bool:
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]


def _runs_plainly_on_a_cpu(features: Tensor, x: Tensor) -> bool:
    """No gradient is wanted, and nobody records the operations to run them elsewhere."""
    if _is_recorded():
        return False
    wants_gradient = torch.is_grad_enabled() and (features.requires_grad or x.requires_grad)
    fits = features.device.type == x.device.type == "cpu" and len(features) == len(x)
    return fits and not wants_gradient


def _gather(features: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """`grid_sample` with a border, corners aligned, for maps that are channels last in memory.

    There a pixel is a row of a table, and a sample the weighted sum of four rows, which is what
    `embedding_bag` does: three to five times as fast as `grid_sample`, which goes channel by
    channel.

    Args:
        features: (B, C, h, w).
        x: (B, H, W), in [-1, 1] or beyond.
        y: (B, H, W).
    """
    batch, channels, height, width = features.shape
    x = ((x + 1) * ((width - 1) / 2)).clamp_(0, width - 1)
    y = ((y + 1) * ((height - 1) / 2)).clamp_(0, height - 1)
    # A side of one pixel has no second one: its weight is zero, its row the same.
    left = x.to(torch.int32).clamp_(0, max(width - 2, 0))
    top = y.to(torch.int32).clamp_(0, max(height - 2, 0))
    right, below = x - left, y - top
    image = torch.arange(batch, dtype=torch.int32, device=x.device)[:, None, None]
    image = image * (height * width)
    corner = image + top * width + left
    to_right, to_below = min(width - 1, 1), min(height - 1, 1) * width
    rows = (corner, corner + to_right, corner + to_below, corner + to_below + to_right)
    above = 1 - below
    shares = (above * (1 - right), above * right, below * (1 - right), below * right)
    sampled = F.embedding_bag(
        torch.stack(rows, dim=-1).view(-1, 4),
        features.permute(0, 2, 3, 1).reshape(-1, channels),
        mode="sum",
        per_sample_weights=torch.stack(shares, dim=-1).view(-1, 4),
    )
    return sampled.view(*x.shape, channels).permute(0, 3, 1, 2)
