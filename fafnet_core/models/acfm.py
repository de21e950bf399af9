"""The Attention Cross Fusion Module, ACFM (section 3.3, fig. 4, equations 4-9)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

CrossFuse = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From a modality's map, the other's and the attention vector of the first to its fused map."""


def cross_fuse(feat: Tensor, other_feat: Tensor, attention: Tensor) -> Tensor:
    """Equations 6 and 8 (or 7 and 9): M = feat * L, fused = M + the other modality's input.

    Args:
        feat: the modality that the attention vector is for, (B, C, H, W).
        other_feat: the other modality, (B, C, H, W).
        attention: L, (B, C), in [0, 1].
    """
    # One pass over memory in place of two; eq. 6-9 are never needed apart.
    return torch.addcmul(other_feat, feat, attention[:, :, None, None])


class AttentionCrossFusion(nn.Module):
    """Weighs the channels of each modality by what both hold, and adds the other modality.

    The paper's F_mlp is one fully connected layer that "squeezes"; here it is 2C -> C / reduction
    -> C with a ReLU between, as its authors released it; `reduction=None` is the single layer.
    Each modality has an MLP of its own. PyTorch's default initialisation.

    Args:
        channels: C, channels of each of the two maps.
        reduction: divides C for the hidden layer (which has at least one unit); None: no hidden
            layer.
        fuse: `cross_fuse`, the paper's, or another.
    """

    def __init__(
        self, channels: int, reduction: int | None = 16, fuse: CrossFuse = cross_fuse
    ) -> None:
        super().__init__()
        self.fuse = fuse
        self.mlp_rgb = _mlp(channels, reduction)
        self.mlp_depth = _mlp(channels, reduction)

    def forward(self, rgb_feat: Tensor, depth_feat: Tensor) -> tuple[Tensor, Tensor]:
        """RGB_feat, Depth_feat, both (B, C, H, W) -> RGB_fused, Depth_fused, both (B, C, H, W)."""
        # Eq. 4. Pooling is by channel: the mean of the concatenation is that of the means.
        g = torch.cat((rgb_feat.mean(dim=(2, 3)), depth_feat.mean(dim=(2, 3))), dim=1)
        # Eq. 5.
        l_rgb = torch.sigmoid(self.mlp_rgb(g))
        l_depth = torch.sigmoid(self.mlp_depth(g))
        rgb_fused = self.fuse(rgb_feat, depth_feat, l_rgb)  # Eq. 7 and 9.
        depth_fused = self.fuse(depth_feat, rgb_feat, l_depth)  # Eq. 6 and 8.
        return rgb_fused, depth_fused


def _mlp(channels: int, reduction: int | None) -> nn.Module:
    if reduction is None:
        return nn.Linear(2 * channels, channels)
    hidden = max(1, channels // reduction)
    return nn.Sequential(
        nn.Linear(2 * channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, channels)
    )
