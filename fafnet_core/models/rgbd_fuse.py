"""The RGBDFuse block (section 3.2, fig. 3, equations 1-3)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

Feedback = Callable[[Tensor, Tensor], Tensor]
"""What a stream goes on with, from its own map (first) and the warped one (second)."""


def add_feedback(feat: Tensor, warped: Tensor) -> Tensor:
    """Equations 2 and 3: a plain sum, with no ReLU behind it."""
    return feat + warped


def no_feedback(feat: Tensor, warped: Tensor) -> Tensor:
    """The stream's own map: behind the last block there is no stage to feed."""
    del warped
    return feat


class RGBDFuse(nn.Module):
    """Cross-fuses the modalities, aligns each to the other, and feeds both back.

    Where the paper is silent: both FAMs start from the maps as ACFM gives them, neither from what
    the other one warped, and each has its own weights.

    Both maps are warped towards each other, so the two may overshoot, and RGB_warped leaves the
    pixels that the labels were drawn on; with `PassThrough` as `align_rgb` only depth is warped.

    Args:
        acfm: (RGB_feat, Depth_feat) -> (RGB_fused, Depth_fused), such as `AttentionCrossFusion`.
        align_rgb: (X_i = Depth_fused, X_j = RGB_fused) -> RGB_warped, such as `FlowAlignment`.
        align_depth: (X_i = RGB_fused, X_j = Depth_fused) -> Depth_warped.
        feedback: what each stream goes on with.
    """

    def __init__(
        self,
        acfm: nn.Module,
        align_rgb: nn.Module,
        align_depth: nn.Module,
        feedback: Feedback = add_feedback,
    ) -> None:
        super().__init__()
        self.acfm = acfm
        self.align_rgb = align_rgb
        self.align_depth = align_depth
        self.feedback = feedback

    def forward(self, rgb_feat: Tensor, depth_feat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """RGB_feat, Depth_feat -> Feat_fused, RGB, Depth, all (B, C, H, W).

        RGB and Depth are the maps that the next stage of each stream takes.
        """
        rgb_fused, depth_fused = self.acfm(rgb_feat, depth_feat)
        rgb_warped: Tensor = self.align_rgb(depth_fused, rgb_fused)
        depth_warped: Tensor = self.align_depth(rgb_fused, depth_fused)
        feat_fused = rgb_warped + depth_warped  # Eq. 1.
        rgb = self.feedback(rgb_feat, rgb_warped)  # Eq. 2.
        depth = self.feedback(depth_feat, depth_warped)  # Eq. 3.
        return feat_fused, rgb, depth
