"""Context of the deepest fused map, where the decoder of fig. 2 starts.

The paper does not say what is there; its authors' code has the pyramid pooling of Zhao et al.,
"Pyramid Scene Parsing Network" (2017), which this is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fafnet_core.models.resize import upsample_like


class PyramidPooling(nn.Module):
    """Averages over grids of several sizes, joined to the map itself.

    Args:
        in_channels: channels of the map.
        channels: channels of every pooled branch and of the result.
        sizes: side lengths of the grids.
        dropout: probability of dropping a channel of the result in training.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        sizes: Sequence[int] = (1, 2, 3, 6),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                GridMeans(size),
                nn.Conv2d(in_channels, channels, 1, bias=False),
                nn.BatchNorm2d(channels),
            )
            for size in sizes
        )
        self.bottleneck = nn.Sequential(
            nn.Conv2d(in_channels + len(sizes) * channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Dropout2d(dropout),
        )
        self._pools_to_one = 1 in sizes

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, channels, H, W).

        Raises:
            ValueError: one image in training mode: the 1x1 branch has one value a channel, whose
                variance batch normalisation cannot take.
        """
        if self._pools_to_one:
            refuse_to_train_on_one_image(self.branches, x)
        pooled = [upsample_like(branch(x), x) for branch in self.branches]
        context: Tensor = self.bottleneck(torch.cat((*pooled, x), dim=1))
        return context


class GridMeans(nn.Module):
    """`nn.AdaptiveAvgPool2d` as two products of matrices.

    A file of it runs at every size, and on every runtime at the speed of its products; the
    pooling itself is taken apart by exporters into steps for one size.

    Args:
        size: cells along each side of the grid; cell i of n pixels is from floor(i n / size) to
            ceil((i + 1) n / size).
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, size, size): the mean of every cell."""
        rows, row_counts = self._cells(x.shape[-2], x)
        columns, column_counts = self._cells(x.shape[-1], x)
        sums = rows @ x @ columns.T
        # Divided last: in bfloat16 the ones of the matrices are exact, and one over a count is not.
        means = sums / (row_counts[:, None] * column_counts)
        channels_last = x.is_contiguous(memory_format=torch.channels_last)
        return means.contiguous(memory_format=torch.channels_last) if channels_last else means

    def _cells(self, pixels: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Which pixels are in which cell, (size, pixels) of 0 and 1, and how many, (size,)."""
        cell = torch.arange(self.size, device=like.device)[:, None]
        pixel = torch.arange(pixels, device=like.device)
        inside = (pixel >= cell * pixels // self.size) & (pixel * self.size < (cell + 1) * pixels)
        member = inside.to(like.dtype)
        return member, member.sum(dim=1)


def refuse_to_train_on_one_image(pooled: nn.Module, x: Tensor) -> None:
    """Refuse to train `pooled`, behind a 1x1 pooling, on a single value a channel.

    Raises:
        ValueError: `x` (B, C, H, W) is one image, and plain batch norms inside are in training.
    """
    norms = (m for m in pooled.modules() if isinstance(m, nn.BatchNorm2d))
    # The batch comes last: a trace must not record the comparison.
    if any(norm.training for norm in norms) and x.shape[0] == 1:
        raise ValueError(
            "FAFNet cannot train on a batch of one image: batch normalisation behind the 1x1 "
            "pooling has a single value a channel. Use two or more images a batch (drop a last "
            "batch of one), nn.SyncBatchNorm over several devices, or model.eval()"
        )
