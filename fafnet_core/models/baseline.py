"""The baseline of the paper's ablation (section 4.3): a two-stream DeepLabv3+, fused by addition.

Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation"
(2018): atrous spatial pyramid pooling over the deepest map, joined with the finest one at stride 4.
Plain 3x3 convolutions, as that paper has them for ResNets.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fafnet_core.models.context import refuse_to_train_on_one_image
from fafnet_core.models.layers import conv_bn_relu
from fafnet_core.models.resize import upsample_like

_RATES_AT_16 = (6, 12, 18)
_LOW_LEVEL_SHARE = 48 / 256


class ElementWiseSum(nn.Module):
    """Takes the place of `RGBDFuse`: the sum of both maps, and nothing fed back."""

    def forward(self, rgb_feat: Tensor, depth_feat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """RGB_feat, Depth_feat -> their sum, and both unchanged; all (B, C, H, W)."""
        return rgb_feat + depth_feat, rgb_feat, depth_feat


class AtrousPyramidPooling(nn.Module):
    """ASPP: a 1x1 and three dilated 3x3 convolutions and the mean of the image, side by side.

    Args:
        in_channels: channels of the map.
        channels: channels of every branch and of the result.
        output_stride: of the map; the rates 6, 12, 18 belong to 16 and shrink or grow with it.
        dropout: probability of dropping a channel of the result in training.
    """

    def __init__(
        self, in_channels: int, channels: int, output_stride: int = 16, dropout: float = 0.1
    ) -> None:
        super().__init__()
        rates = [rate * 16 // output_stride for rate in _RATES_AT_16]
        self.branches = nn.ModuleList(
            [conv_bn_relu(in_channels, channels, 1)]
            + [conv_bn_relu(in_channels, channels, 3, dilation=rate) for rate in rates]
        )
        self.image = nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv_bn_relu(in_channels, channels, 1))
        self.bottleneck = nn.Sequential(
            *conv_bn_relu(5 * channels, channels, 1), nn.Dropout2d(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, channels, H, W).

        Raises:
            ValueError: one image in training mode.
        """
        refuse_to_train_on_one_image(self.image, x)
        image = self.image(x).expand(-1, -1, *x.shape[-2:])
        context: Tensor = self.bottleneck(
            torch.cat((*(branch(x) for branch in self.branches), image), dim=1)
        )
        return context


class DeepLabDecoder(nn.Module):
    """Joins the context to the finest map and classifies there.

    Args:
        in_channels: channels of the finest map.
        channels: width of the context and of the decoder.
        num_classes: channels of the result.
        context: the module that the coarsest map goes through, to `channels` channels.
    """

    def __init__(
        self, in_channels: int, channels: int, num_classes: int, context: nn.Module
    ) -> None:
        super().__init__()
        low_level = max(1, round(channels * _LOW_LEVEL_SHARE))
        self.context = context
        self.low_level = conv_bn_relu(in_channels, low_level, 1)
        self.classifier = nn.Sequential(
            *conv_bn_relu(low_level + channels, channels, 3),
            *conv_bn_relu(channels, channels, 3),
            nn.Conv2d(channels, num_classes, 1),
        )

    def forward(self, feat_fused: Sequence[Tensor]) -> Tensor:
        """The maps of all levels, finest first -> (B, num_classes, H, W) of the first."""
        low_level = self.low_level(feat_fused[0])
        context = upsample_like(self.context(feat_fused[-1]), low_level)
        logits: Tensor = self.classifier(torch.cat((low_level, context), dim=1))
        return logits
