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
                nn.AdaptiveAvgPool2d(size),
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
