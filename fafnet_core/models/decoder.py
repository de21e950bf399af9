"""The aligned decoder (right half of fig. 2; section 3.1, last paragraphs).

At each level a FAM joins the level above to the fused map of that level. The paper draws no more
than that; lateral and level convolutions and the joint classifier are those of Li et al., "Semantic
Flow for Fast and Accurate Scene Parsing" (2020), where the FAM is from.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fafnet_core.models.fam import upsample_like


class AlignedDecoder(nn.Module):
    """From the fused maps of all levels to class scores at the finest of them.

    Args:
        in_channels: channels of the fused maps that have a lateral connection, finest first.
        channels: width of the context and of every level.
        num_classes: channels of the result.
        context: the module that the coarsest fused map goes through, to `channels` channels.
        align: one module a lateral connection, finest first: (X_i = lateral, X_j = level above)
            -> X_j aligned to X_i and at its size.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        num_classes: int,
        context: nn.Module,
        align: Sequence[nn.Module],
    ) -> None:
        super().__init__()
        self.context = context
        self.laterals = nn.ModuleList(conv_bn_relu(width, channels, 1) for width in in_channels)
        self.align = nn.ModuleList(align)
        self.levels = nn.ModuleList(conv_bn_relu(channels, channels, 3) for _ in in_channels)
        self.classifier = nn.Sequential(
            *conv_bn_relu((len(in_channels) + 1) * channels, channels, 3),
            nn.Conv2d(channels, num_classes, 1),
        )

    def forward(self, feat_fused: Sequence[Tensor]) -> Tensor:
        """Feat_fused of every RGBDFuse block, finest first -> (B, num_classes, H, W) of the first.

        `feat_fused` holds one map more than there are lateral connections: the coarsest, for the
        context.
        """
        *fine, coarsest = feat_fused
        x = self.context(coarsest)
        outputs = [x]
        stages = zip(self.laterals, self.align, self.levels, fine, strict=True)
        for lateral, align, level, fused in reversed(list(stages)):
            x_i = lateral(fused)
            x = x_i + align(x_i, x)
            # The level below gets the sum, the classifier what a 3x3 convolution makes of it.
            outputs.insert(0, level(x))
        finest, *coarser = outputs
        joined = torch.cat((finest, *(upsample_like(y, finest) for y in coarser)), dim=1)
        logits: Tensor = self.classifier(joined)
        return logits


def conv_bn_relu(
    in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1
) -> nn.Sequential:
    """A convolution that keeps the size of its map, batch norm, ReLU."""
    padding = dilation * (kernel_size // 2)
    return nn.Sequential(
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            padding=padding,
            dilation=dilation,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
