"""The Flow Alignment Module, FAM (section 3.4, fig. 5, equations 10-13).

The same module aligns one modality to the other inside RGBDFuse, and a coarse map to a finer one in
the decoder; only there are the sizes different, which is what `resize` is for.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Resize = Callable[[Tensor, Tensor], Tensor]
"""Brings a map (first) to the size of another (second)."""


def same_size(x: Tensor, like: Tensor) -> Tensor:
    """`x` itself: inside RGBDFuse both maps have one size, and upsampling is skipped."""
    del like
    return x


def upsample_like(x: Tensor, like: Tensor) -> Tensor:
    """`x`, (B, C, h, w), bilinearly at the height and width of `like`, corners on corners."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=True)


class FlowAlignment(nn.Module):
    """Moves the features of X_j to where those of X_i are, by a flow learned from both.

    Where the paper is silent: the 1x1 convolutions keep the width and have neither bias nor norm.
    Conv_flow is 3x3 without bias and starts at zero, so an untrained FAM moves nothing.

    Args:
        channels: C, channels of both maps.
        resize: brings X'_j to the size of X'_i.
    """

    def __init__(self, channels: int, resize: Resize = same_size) -> None:
        super().__init__()
        self.conv_i = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv_j = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv_flow = nn.Conv2d(2 * channels, 2, 3, padding=1, bias=False)
        nn.init.zeros_(self.conv_flow.weight)
        self.resize = resize

    def forward(self, x_i: Tensor, x_j: Tensor) -> Tensor:
        """X_i (B, C, H, W), X_j (B, C, h, w) -> X_warped (B, C, H, W)."""
        # 1x1 before the upsampling, as in fig. 5: on the smaller map it is the cheaper order.
        x_j = self.resize(self.conv_j(x_j), x_i)  # X''_j
        return warp(x_j, self.flow(x_i, x_j))

    def flow(self, x_i: Tensor, x_j: Tensor) -> Tensor:
        """X_i and X''_j, both (B, C, H, W) -> X_flow (B, 2, H, W): x and y offsets in pixels."""
        x_flow: Tensor = self.conv_flow(torch.cat((self.conv_i(x_i), x_j), dim=1))  # Eq. 10.
        return x_flow


class ZeroFlowAlignment(FlowAlignment):
    """A `FlowAlignment` whose flow is zero: the ablation's control for the parameters it adds.

    It has the same parameters and warps, by nothing. X_i is not read: `conv_i` and `conv_flow`
    get no gradient.
    """

    def flow(self, x_i: Tensor, x_j: Tensor) -> Tensor:
        """Zeros, (B, 2, H, W)."""
        batch, _, height, width = x_i.shape
        return x_i.new_zeros(batch, 2, height, width)


class PassThrough(nn.Module):
    """The ablation's "without FAM": X_j at the size of X_i, with nothing learned."""

    def __init__(self, resize: Resize = same_size) -> None:
        super().__init__()
        self.resize = resize

    def forward(self, x_i: Tensor, x_j: Tensor) -> Tensor:
        """X_i (B, C, H, W), X_j (B, C, h, w) -> X_j (B, C, H, W)."""
        return self.resize(x_j, x_i)


def warp(features: Tensor, flow: Tensor) -> Tensor:
    """Equations 11-13: the features found where the flow points.

    The value at (u, v) is that of `features` at (u, v) + flow(u, v), bilinearly; a place beyond the
    border has the border's value. A flow of zero is the identity.

    The paper calls the flow an "offset of pixels" and adds it to coordinates in [-1, 1]; here it is
    in pixels and is scaled by 2 / (W - 1), 2 / (H - 1) first.

    Args:
        features: (B, C, H, W), floating point.
        flow: (B, 2, H, W), x offsets, then y, in pixels; H and W at least 2, as eq. 11 divides by
            W - 1 and H - 1.

    Returns:
        (B, C, H, W) in the type and memory format of `features`.
    """
    # Coordinates and sampling are at least float32, also for bfloat16 maps and under autocast:
    # bfloat16 rounds a coordinate of a map 640 wide by up to 0.6 pixels.
    dtype = torch.promote_types(features.dtype, torch.float32)
    flow = flow.to(dtype)
    height, width = flow.shape[-2:]
    # Eq. 11 and 12, one axis at a time: Omega' = Omega + X_flow.
    x = _axis(width, flow) + flow[:, 0] * (2 / (width - 1))
    y = _axis(height, flow)[:, None] + flow[:, 1] * (2 / (height - 1))
    omega = torch.stack((x, y), dim=-1)
    # Eq. 13. align_corners=True is eq. 11's convention: -1 and 1 are the centres of end pixels.
    warped = F.grid_sample(
        features.to(dtype), omega, mode="bilinear", padding_mode="border", align_corners=True
    ).to(features.dtype)
    # Sampling returns NCHW whatever it was given; left so, every convolution after it would
    # convert back.
    if features.is_contiguous(memory_format=torch.channels_last):
        warped = warped.contiguous(memory_format=torch.channels_last)
    return warped


def _axis(size: int, like: Tensor) -> Tensor:
    """Equation 11 in one direction, (size,): pixel 0 at -1, pixel size - 1 at 1."""
    position = torch.arange(size, dtype=like.dtype, device=like.device)
    return (2 * position - size + 1) / (size - 1)
