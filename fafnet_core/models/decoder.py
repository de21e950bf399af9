"""The aligned decoder (right half of fig. 2; section 3.1, last paragraphs).

At each level a FAM joins the level above to the fused map of that level. The paper draws no more
than that; lateral and level convolutions and the joint classifier are those of Li et al., "Semantic
Flow for Fast and Accurate Scene Parsing" (2020), where the FAM is from.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fafnet_core.models.layers import added_to, conv_bn_relu
from fafnet_core.models.resize import upsample_like


class AlignedDecoder(nn.Module):
    """From the fused maps of all levels to class scores at the finest of them.

    Args:
        in_channels: channels of the fused maps that have a lateral connection, finest first.
        channels: width of the context and of every level.
        context: the module that the coarsest fused map goes through, to `channels` channels.
        align: one module a lateral connection, finest first: (X_i = lateral, X_j = level above)
            -> X_j aligned to X_i and at its size.
        join: from all levels, finest first, to class scores at the finest.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        context: nn.Module,
        align: Sequence[nn.Module],
        join: nn.Module,
    ) -> None:
        super().__init__()
        self.context = context
        self.laterals = nn.ModuleList(conv_bn_relu(width, channels, 1) for width in in_channels)
        self.align = nn.ModuleList(align)
        self.join = join

    def forward(self, feat_fused: Sequence[Tensor]) -> Tensor:
        """Feat_fused of every RGBDFuse block, finest first -> (B, num_classes, H, W) of the first.

        `feat_fused` holds one map more than there are lateral connections: the coarsest, for the
        context.
        """
        *fine, coarsest = feat_fused
        levels = [self.context(coarsest)]
        stages = zip(self.laterals, self.align, fine, strict=True)
        for lateral, align, fused in reversed(list(stages)):
            x_i = lateral(fused)
            levels.insert(0, x_i + align(x_i, levels[0]))
        logits: Tensor = self.join(levels)
        return logits


class ConcatenatedLevels(nn.Module):
    """SFNet's end: all levels at the finest size, side by side, through one 3x3 convolution.

    Args:
        levels: how many there are.
        channels: of each.
        num_classes: channels of the result.
    """

    def __init__(self, levels: int, channels: int, num_classes: int) -> None:
        super().__init__()
        # The coarsest, which is the context, goes in as it is.
        self.levels = nn.ModuleList(conv_bn_relu(channels, channels, 3) for _ in range(levels - 1))
        self.classifier = nn.Sequential(
            *conv_bn_relu(levels * channels, channels, 3), nn.Conv2d(channels, num_classes, 1)
        )

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """All levels, finest first, (B, C, h, w) -> (B, num_classes, H, W) of the first."""
        *refined, context = levels
        finest, *coarser = (level(x) for level, x in zip(self.levels, refined, strict=True))
        upsampled = [upsample_like(x, finest) for x in (*coarser, context)]
        logits: Tensor = self.classifier(torch.cat((finest, *upsampled), dim=1))
        return logits


class SummedLevels(nn.Module):
    """The same with the upsampling behind the joint convolution: a quarter of the work.

    A convolution of maps side by side is the sum of one convolution a map. Upsampling does not
    quite commute with those, but a coarse level has little to say about one fine pixel; so each is
    convolved at its own size, where it is cheap, and what is upsampled and added is the result.

    Args:
        levels: how many there are.
        channels: of each.
        num_classes: channels of the result.
        separable: so many of the finest levels have depthwise separable convolutions.
    """

    def __init__(self, levels: int, channels: int, num_classes: int, separable: int = 0) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            _separable_convolution(channels)
            if level < separable
            else nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            for level in range(levels)
        )
        self.classifier = nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.Conv2d(channels, num_classes, 1)
        )

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """All levels, finest first, (B, C, h, w) -> (B, num_classes, H, W) of the first."""
        finest, *coarser = (level(x) for level, x in zip(self.levels, levels, strict=True))
        for x in coarser:
            finest = added_to(finest, upsample_like(x, finest))
        logits: Tensor = self.classifier(finest)
        return logits


def _separable_convolution(channels: int) -> nn.Module:
    """A 3x3 convolution whose part of each input channel has one pattern for all outputs."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
    )
