"""What replaces a part in the ablation (section 4.3, table 1, and controls of our own)."""

from __future__ import annotations

from torch import Tensor, nn

from fafnet_core.models.fam import FlowAlignment
from fafnet_core.models.resize import Resize, same_size


class IdentityFusion(nn.Module):
    """The ablation's "without ACFM": X_fused is X_feat."""

    def forward(self, rgb_feat: Tensor, depth_feat: Tensor) -> tuple[Tensor, Tensor]:
        """Both maps, (B, C, H, W), unchanged."""
        return rgb_feat, depth_feat


class PassThrough(nn.Module):
    """The ablation's "without FAM": X_j at the size of X_i, with nothing learned."""

    def __init__(self, resize: Resize = same_size) -> None:
        super().__init__()
        self.resize = resize

    def forward(self, x_i: Tensor, x_j: Tensor) -> Tensor:
        """X_i (B, C, H, W), X_j (B, C, h, w) -> X_j (B, C, H, W)."""
        return self.resize(x_j, x_i)


class ZeroFlowAlignment(FlowAlignment):
    """A `FlowAlignment` whose flow is zero: the ablation's control for the parameters it adds.

    It has the same parameters and still warps, by zero. X_i is not read: `conv_i` and `conv_flow`
    get no gradient, nor does `conv_j` where what is warped is not its result.
    """

    def flow(self, x_i: Tensor, x_j: Tensor) -> Tensor:
        """Zeros, (B, 2, H, W)."""
        batch, _, height, width = x_i.shape
        return x_i.new_zeros(batch, 2, height, width)
