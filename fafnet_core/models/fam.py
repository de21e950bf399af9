"""The Flow Alignment Module, FAM (section 3.4, fig. 5, equations 10-13).

The same module aligns one modality to the other inside RGBDFuse, and a coarse map to a finer one in
the decoder; only there are the sizes different, which is what `resize` is for. The paper and its
authors' code do not agree on all of it: `FlowRules` holds what differs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

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


@dataclass(frozen=True)
class Sampling:
    """Where an offset leads, and what lies beyond the border (equations 12 and 13).

    Attributes:
        step: what an offset of one adds to a coordinate in [-1, 1], by the pixels of that side.
        align_corners: -1 and 1 are the centres of the end pixels (eq. 11), or their outer edges.
        padding_mode: as in `grid_sample`.
    """

    step: Callable[[int], float]
    align_corners: bool
    padding_mode: str

    def pixels(self, size: int) -> float:
        """How many pixels an offset of one moves along a side of `size` pixels."""
        return self.step(size) * (size - 1 if self.align_corners else size) / 2


def _one_pixel(size: int) -> float:
    return 2 / (size - 1)


def _one_part(size: int) -> float:
    return 1 / size


PIXELS = Sampling(_one_pixel, align_corners=True, padding_mode="border")
"""The flow is in pixels, as "offset of pixels" says; no flow, no motion."""

RELEASED = Sampling(_one_part, align_corners=False, padding_mode="zeros")
"""As the authors' code has it: eq. 11's grid is read as if -1 and 1 were outer edges.

A flow of zero is then not the identity: it stretches the map by W / (W - 1) about its centre, and
the border row and column are mixed with zeros.
"""


@dataclass(frozen=True)
class FlowRules:
    """What sets the FAM of the paper apart from those of its authors' code.

    Attributes:
        projection: channels of both 1x1 convolutions, for maps of C channels; None: there are none
            and the flow sees the maps themselves.
        warps_projection: what is warped is X''_j (fig. 5), or X_j as it came.
        sampling: where the flow leads.
        starts_at_zero: Conv_flow starts at zero, or as PyTorch does it.
    """

    projection: Callable[[int], int] | None
    warps_projection: bool
    sampling: Sampling
    starts_at_zero: bool


def _same(channels: int) -> int:
    return channels


def _reduced(channels: int, reduction: int) -> int:
    return max(1, channels // reduction)


PAPER_FLOW = FlowRules(_same, warps_projection=True, sampling=PIXELS, starts_at_zero=True)
"""Figure 5. The paper does not give the width of its 1x1 convolutions: they keep the map's."""

RELEASED_FUSION_FLOW = FlowRules(
    None, warps_projection=False, sampling=RELEASED, starts_at_zero=False
)
"""Inside the RGBDFuse of the authors' code: Conv_flow alone."""

RELEASED_DECODER_FLOW = FlowRules(
    partial(_reduced, reduction=2), warps_projection=False, sampling=RELEASED, starts_at_zero=False
)
"""In the decoder of the authors' code: the coarse map itself is sampled at the fine places."""


def narrow_flow(reduction: int) -> FlowRules:
    """For small networks: the flow from C / reduction channels, and X_j warped as it came.

    The place of a thing needs fewer channels than its class, and a map that is warped as it is
    keeps the meaning that the next stage's ImageNet weights expect.
    """
    return FlowRules(
        partial(_reduced, reduction=reduction),
        warps_projection=False,
        sampling=PIXELS,
        starts_at_zero=True,
    )


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
        if rules.projection is not None:
            seen = rules.projection(channels)
            self.conv_i = nn.Conv2d(channels, seen, 1, bias=False)
            self.conv_j = nn.Conv2d(channels, seen, 1, bias=False)
        self.conv_flow = nn.Conv2d(2 * seen, 2, 3, padding=1, bias=False)
        if rules.starts_at_zero:
            nn.init.zeros_(self.conv_flow.weight)
        self.resize = resize
        self.rules = rules

    def forward(self, x_i: Tensor, x_j: Tensor) -> Tensor:
        """X_i (B, C, H, W), X_j (B, C, h, w) -> X_warped (B, C, H, W)."""
        # 1x1 before the upsampling, as in fig. 5: on the smaller map it is the cheaper order.
        projected = self.resize(self.conv_j(x_j), x_i)  # X''_j
        x_flow = self.flow(x_i, projected)
        warped = projected if self.rules.warps_projection else x_j
        return warp(warped, x_flow, self.rules.sampling)

    def flow(self, x_i: Tensor, x_j: Tensor) -> Tensor:
        """X_i and X''_j, both (B, C, H, W) -> X_flow (B, 2, H, W): x and y offsets."""
        x_flow: Tensor = self.conv_flow(torch.cat((self.conv_i(x_i), x_j), dim=1))  # Eq. 10.
        return x_flow


class ZeroFlowAlignment(FlowAlignment):
    """A `FlowAlignment` whose flow is zero: the ablation's control for the parameters it adds.

    It has the same parameters and warps, by nothing. X_i is not read: `conv_i` and `conv_flow`
    get no gradient, nor does `conv_j` where what is warped is not its result.
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


def warp(features: Tensor, flow: Tensor, sampling: Sampling = PIXELS) -> Tensor:
    """Equations 11-13: the features found where the flow points.

    With `PIXELS` the value at (u, v) is that of `features` at (u, v) + flow(u, v), bilinearly; a
    place beyond the border has the border's value. A flow of zero is the identity. The paper calls
    the flow an "offset of pixels" and adds it to coordinates in [-1, 1]; here it is scaled by
    2 / (W - 1), 2 / (H - 1) first.

    Args:
        features: (B, C, h, w), floating point.
        flow: (B, 2, H, W), x offsets, then y, in units of `sampling`; H and W at least 2, as
            eq. 11 divides by W - 1 and H - 1.
        sampling: where the flow leads.

    Returns:
        (B, C, H, W) in the type and memory format of `features`.
    """
    # Coordinates and sampling are at least float32, also for bfloat16 maps and under autocast:
    # bfloat16 rounds a coordinate of a map 640 wide by up to 0.6 pixels.
    dtype = torch.promote_types(features.dtype, torch.float32)
    flow = flow.to(dtype)
    height, width = flow.shape[-2:]
    # Eq. 11 and 12, one axis at a time: Omega' = Omega + X_flow.
    x = _axis(width, flow) + flow[:, 0] * sampling.step(width)
    y = _axis(height, flow)[:, None] + flow[:, 1] * sampling.step(height)
    # Eq. 13.
    channels_last = features.is_contiguous(memory_format=torch.channels_last)
    source = features.to(dtype)
    # Equal, not the same: a copied or unpickled network has a copy.
    if channels_last and sampling == PIXELS and _runs_plainly_on_a_cpu(source, flow):
        return _gather(source, x, y).to(features.dtype)
    grid = torch.stack((x, y), dim=-1)
    nowhere = _nowhere(grid)
    if nowhere is not None:
        grid = grid.masked_fill(nowhere[..., None], 0)
    warped = F.grid_sample(
        source,
        grid,
        mode="bilinear",
        padding_mode=sampling.padding_mode,
        align_corners=sampling.align_corners,
    ).to(features.dtype)
    if nowhere is not None:
        warped = warped.masked_fill(nowhere[:, None], float("nan"))
    # Sampling returns NCHW whatever it was given; left so, every convolution after it would
    # convert back.
    return warped.contiguous(memory_format=torch.channels_last) if channels_last else warped


def _nowhere(grid: Tensor) -> Tensor | None:
    """Where coordinates (B, H, W, 2) are NaN, (B, H, W); None: nowhere, or not looked for.

    On a CPU the backward pass of `grid_sample` writes outside of its memory for them, and the
    border's value, which its forward pass gives, would hide that a training has broken down.
    """
    if grid.device.type != "cpu" or _is_recorded():
        return None
    nowhere = grid.isnan().any(dim=-1)
    return nowhere if bool(nowhere.any()) else None


def _is_recorded() -> bool:
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]


def _runs_plainly_on_a_cpu(features: Tensor, flow: Tensor) -> bool:
    """No gradient is wanted, and nobody records the operations to run them elsewhere."""
    if _is_recorded():
        return False
    wants_gradient = torch.is_grad_enabled() and (features.requires_grad or flow.requires_grad)
    fits = features.device.type == flow.device.type == "cpu" and len(features) == len(flow)
    return fits and not wants_gradient


def _gather(features: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """`grid_sample` with a border, corners aligned, for maps that are channels last in memory.

    There a pixel is a row of a table, and a sample the weighted sum of four rows, which is what
    `embedding_bag` does: three to five times as fast as `grid_sample`, which goes channel by
    channel.

    Args:
        features: (B, C, h, w).
        x: (B, H, W), in [-1, 1] or beyond.
        y: (B, H, W).
    """
    batch, channels, height, width = features.shape
    x = ((x + 1) * ((width - 1) / 2)).clamp_(0, width - 1)
    y = ((y + 1) * ((height - 1) / 2)).clamp_(0, height - 1)
    # A side of one pixel has no second one: its weight is zero, its row the same.
    left = x.to(torch.int32).clamp_(0, max(width - 2, 0))
    top = y.to(torch.int32).clamp_(0, max(height - 2, 0))
    right, below = x - left, y - top
    image = torch.arange(batch, dtype=torch.int32, device=x.device)[:, None, None]
    image = image * (height * width)
    corner = image + top * width + left
    to_right, to_below = min(width - 1, 1), min(height - 1, 1) * width
    rows = (corner, corner + to_right, corner + to_below, corner + to_below + to_right)
    above = 1 - below
    shares = (above * (1 - right), above * right, below * (1 - right), below * right)
    sampled = F.embedding_bag(
        torch.stack(rows, dim=-1).view(-1, 4),
        features.permute(0, 2, 3, 1).reshape(-1, channels),
        mode="sum",
        per_sample_weights=torch.stack(shares, dim=-1).view(-1, 4),
    )
    return sampled.view(*x.shape, channels).permute(0, 3, 1, 2)


def _axis(size: int, like: Tensor) -> Tensor:
    """Equation 11 in one direction, (size,): pixel 0 at -1, pixel size - 1 at 1."""
    position = torch.arange(size, dtype=like.dtype, device=like.device)
    return (2 * position - size + 1) / (size - 1)
