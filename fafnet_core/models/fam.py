"""The Flow Alignment Module, FAM (section 3.4, fig. 5).

Equation 10 is `FlowAlignment.flow`, 11 and 12 are `moved_grid`, 13 is `warp` (`warp.py`).

The same module aligns one modality to the other inside RGBDFuse, and a coarse map to a finer one in
the decoder; only there are the sizes different, which is what `resize` is for.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fafnet_core.models.resize import Resize, same_size
from fafnet_core.models.warp import PIXELS, Grid, Sampling, warp


@dataclass(frozen=True)
class FlowRules:
    """What differs between FAMs; the defaults are those of figure 5.

    The paper does not give the width of its 1x1 convolutions: they keep the map's. Small networks
    take C / reduction and warp X_j itself: to place a thing takes fewer channels than to name it,
    and X_j keeps the meaning that the next stage's ImageNet weights expect.

    Attributes:
        reduction: both 1x1 convolutions go from C channels to C / reduction, at least 1; None:
            there are none, and the flow sees the maps themselves.
        warps_projection: what is warped is X''_j (fig. 5), or X_j itself.
        sampling: where the flow leads.
        starts_at_zero: Conv_flow starts at zero, or with PyTorch's initialisation.
    """

    reduction: int | None = 1
    warps_projection: bool = True
    sampling: Sampling = PIXELS
    starts_at_zero: bool = True


PAPER_FLOW = FlowRules()


class FlowAlignment(nn.Module):
    """Moves the features of X_j to where those of X_i are, by a flow learned from both.

    Where the paper is silent: the 1x1 convolutions have neither bias nor norm; Conv_flow is 3x3
    without bias and starts at zero, so an untrained FAM moves nothing.

    Args:
        channels: C, channels of both maps.
        resize: brings X'_j to the size of X'_i.
        rules: the paper's, or others.
    """

    def __init__(
        self, channels: int, resize: Resize = same_size, rules: FlowRules = PAPER_FLOW
    ) -> None:
        super().__init__()
        seen = channels
        self.conv_i: nn.Conv2d | nn.Identity = nn.Identity()
        self.conv_j: nn.Conv2d | nn.Identity = nn.Identity()
        if rules.reduction is not None:
            seen = max(1, channels // rules.reduction)
            self.conv_i = nn.Conv2d(channels, seen, 1, bias=False)
            self.conv_j = nn.Conv2d(channels, seen, 1, bias=False)
        self.conv_flow = nn.Conv2d(2 * seen, 2, 3, padding=1, bias=False)
        if rules.starts_at_zero:
            nn.init.zeros_(self.conv_flow.weight)
        self.resize = resize
        self.rules = rules

    def forward(self, x_i: Tensor, x_j: Tensor) -> Tensor:
        """X_i (B, C, H, W), X_j (B, C, h, w) -> X_warped (B, C, H, W)."""
        sampling = self.rules.sampling
        # 1x1 before the upsampling, as in fig. 5: on the smaller map it is the cheaper order.
        projected = self.resize(self.conv_j(x_j), x_i)  # X''_j
        x_flow = self.flow(x_i, projected)  # Eq. 10.
        omega = moved_grid(x_flow, sampling)  # Eq. 11 and 12.
        return warp(projected if self.rules.warps_projection else x_j, omega, sampling)  # Eq. 13.

    def flow(self, x_i: Tensor, x_j: Tensor) -> Tensor:
        """Equation 10: X_i and X''_j, both (B, C, H, W) -> X_flow (B, 2, H, W), x and y offsets."""
        x_flow: Tensor = self.conv_flow(torch.cat((self.conv_i(x_i), x_j), dim=1))
        return x_flow


def moved_grid(x_flow: Tensor, sampling: Sampling = PIXELS) -> Grid:
    """Equations 11 and 12: the regular grid Omega, moved by the flow to Omega'.

    The paper calls the flow an "offset of pixels" and adds it to coordinates in [-1, 1]; here it is
    scaled by 2 / (W - 1), 2 / (H - 1) first. Features at (u, v) come from (u, v) + flow(u, v).

    Args:
        x_flow: (B, 2, H, W), x offsets, then y, in units of `sampling`; H and W at least 2.
        sampling: where an offset leads.

    Returns:
        x and y, (B, H, W) each, in at least float32, also under autocast: bfloat16 rounds a
        coordinate of a map 640 wide by up to 0.6 pixels.
    """
    flow = x_flow.to(torch.promote_types(x_flow.dtype, torch.float32))
    height, width = flow.shape[-2:]
    u = torch.arange(width, dtype=flow.dtype, device=flow.device)
    v = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None]
    omega_x = (2 * u - width + 1) / (width - 1)  # Eq. 11.
    omega_y = (2 * v - height + 1) / (height - 1)
    x = omega_x + flow[:, 0] * sampling.step(width)  # Eq. 12.
    y = omega_y + flow[:, 1] * sampling.step(height)
    return x, y
