"""The encoders: from images to one fused map a level (left half of fig. 2, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from fafnet_core.models.backbone import Backbone


class TwoStreamEncoder(nn.Module):
    """Two backbones; behind each of their stages a block fuses both maps and feeds both back.

    Args:
        rgb_stream: the backbone of colour.
        depth_stream: the backbone of HHA, with the same channels.
        fuse: four blocks, (RGB_feat, Depth_feat) -> (Feat_fused, RGB, Depth), such as `RGBDFuse`.
    """

    def __init__(
        self, rgb_stream: Backbone, depth_stream: Backbone, fuse: Sequence[nn.Module]
    ) -> None:
        super().__init__()
        self.rgb_stream = rgb_stream
        self.depth_stream = depth_stream
        self.fuse1, self.fuse2, self.fuse3, self.fuse4 = fuse

    def forward(self, rgb: Tensor, hha: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Both (B, 3, H, W) -> Feat_fused of the four levels, at strides 4, 8, 16, 32 or less."""
        color, depth = self.rgb_stream, self.depth_stream
        rgb, hha = color.stem(rgb), depth.stem(hha)
        fused1, rgb, hha = self.fuse1(color.layer1(rgb), depth.layer1(hha))
        fused2, rgb, hha = self.fuse2(color.layer2(rgb), depth.layer2(hha))
        fused3, rgb, hha = self.fuse3(color.layer3(rgb), depth.layer3(hha))
        fused4, _, _ = self.fuse4(color.layer4(rgb), depth.layer4(hha))
        return fused1, fused2, fused3, fused4


class OneStreamEncoder(nn.Module):
    """Colour alone or HHA alone: what a second modality is measured against.

    Args:
        stream: the backbone.
        modality: which of the two images it sees.
    """

    def __init__(self, stream: Backbone, modality: Literal["rgb", "hha"]) -> None:
        super().__init__()
        self.stream = stream
        self.modality = modality

    def forward(self, rgb: Tensor, hha: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Both (B, 3, H, W) -> the maps of the four stages of one of them."""
        maps: tuple[Tensor, Tensor, Tensor, Tensor] = self.stream(
            rgb if self.modality == "rgb" else hha
        )
        return maps
