"""The Flow Alignment Module against its equations 10-13, and where half precision would fail."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fafnet_core.models.fam import FlowAlignment, FlowRules, moved_grid
from fafnet_core.models.release import RELEASED_SAMPLING
from fafnet_core.models.resize import upsample_like
from fafnet_core.models.warp import PIXELS, Sampling, warp


def moved(features: Tensor, flow: Tensor, sampling: Sampling = PIXELS) -> Tensor:
    return warp(features, moved_grid(flow, sampling), sampling)


def constant_flow(like: Tensor, dx: float, dy: float) -> Tensor:
    flow = torch.empty(like.shape[0], 2, *like.shape[-2:], dtype=like.dtype)
    flow[:, 0], flow[:, 1] = dx, dy
    return flow


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-4), (torch.bfloat16, 2e-2)]
)
@pytest.mark.parametrize("size", [(120, 160), (7, 640), (2, 2)])
def test_zero_flow_is_the_identity(
    dtype: torch.dtype, tolerance: float, size: tuple[int, int]
) -> None:
    features = torch.rand(2, 3, *size).to(dtype)
    warped = moved(features, constant_flow(features, 0, 0))
    assert warped.dtype == dtype
    torch.testing.assert_close(warped, features, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("dx", "dy"), [(3.0, 0.0), (0.25, 0.0), (-0.5, 1.75), (2.3, -3.6)])
def test_a_shift_is_brought_back(dx: float, dy: float) -> None:
    # On a plane bilinear sampling is exact, so the shifted plane must come back to the digit.
    v, u = torch.meshgrid(
        torch.arange(20, dtype=torch.float64), torch.arange(30, dtype=torch.float64), indexing="ij"
    )

    def plane(u: Tensor, v: Tensor) -> Tensor:
        return (0.7 * u - 1.3 * v + 2)[None, None]

    shifted = plane(u - dx, v - dy)
    warped = moved(shifted, constant_flow(shifted, dx, dy))
    inner = (..., slice(4, -4), slice(4, -4))
    torch.testing.assert_close(warped[inner], plane(u, v)[inner], rtol=0, atol=1e-12)


def test_the_flow_is_read_pixel_by_pixel() -> None:
    features = torch.rand(2, 3, 9, 11, dtype=torch.float64)
    flow = (torch.rand(2, 2, 9, 11, dtype=torch.float64) - 0.5) * 6
    warped = moved(features, flow)
    for b, v, u in [(0, 0, 0), (0, 4, 5), (1, 8, 10), (1, 3, 9)]:
        x = float((u + flow[b, 0, v, u]).clamp(0, 10))
        y = float((v + flow[b, 1, v, u]).clamp(0, 8))
        x0, y0 = min(int(x), 9), min(int(y), 7)
        ax, ay = x - x0, y - y0
        patch = features[b, :, y0 : y0 + 2, x0 : x0 + 2]
        weights = torch.tensor([[1 - ay], [ay]]) * torch.tensor([[1 - ax, ax]])
        expected = (patch * weights).sum(dim=(1, 2))
        torch.testing.assert_close(warped[b, :, v, u], expected, rtol=0, atol=1e-6)


def test_beyond_the_border_is_the_border() -> None:
    features = torch.rand(1, 2, 5, 6, dtype=torch.float64)
    warped = moved(features, constant_flow(features, -100, 0))
    torch.testing.assert_close(warped, features[..., :1].expand_as(features), rtol=0, atol=1e-12)


def test_gradients_of_the_warp() -> None:
    features = torch.rand(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    # Away from whole pixels, where bilinear sampling has a kink.
    flow = (torch.rand(1, 2, 4, 5, dtype=torch.float64) * 0.6 + 0.2).requires_grad_()
    assert torch.autograd.gradcheck(moved, (features, flow))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(7, 9), (5, 4), (1, 6), (3, 1)])
@pytest.mark.parametrize("sampling", [PIXELS, RELEASED_SAMPLING])
@torch.no_grad()
def test_both_layouts_are_warped_alike(
    dtype: torch.dtype, size: tuple[int, int], sampling: Sampling
) -> None:
    # Channels last takes another way on a CPU; batches, far flows and coarse maps included.
    features = torch.randn(3, 5, *size).to(dtype)
    flow = torch.randn(3, 2, 7, 9).to(dtype) * 4
    flow[0, 0, 0, 0] = 1e6
    expected = moved(features, flow, sampling)
    got = moved(features.to(memory_format=torch.channels_last), flow, sampling)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12 if dtype == torch.float64 else 1e-2
    torch.testing.assert_close(got, expected, rtol=0, atol=tolerance)


@pytest.fixture
def small_flow_module() -> FlowAlignment:
    """A FAM 640 pixels wide will use: X''_j is X_j, flows are some tenths of a pixel."""
    torch.manual_seed(0)
    module = FlowAlignment(4)
    with torch.no_grad():
        module.get_parameter("conv_j.weight").copy_(torch.eye(4)[:, :, None, None])
        module.conv_flow.weight.normal_(std=0.02)
    return module


@pytest.mark.parametrize("how", ["autocast", "bfloat16 module"])
def test_half_precision_keeps_its_coordinates(small_flow_module: FlowAlignment, how: str) -> None:
    # Signs that alternate at random: half a pixel lost in a coordinate is an error of about one.
    x_j = torch.randint(0, 2, (1, 4, 8, 640)).float() * 2 - 1
    x_i = torch.rand(1, 4, 8, 640)
    with torch.no_grad():
        expected = small_flow_module(x_i, x_j)
        if how == "autocast":
            with torch.autocast("cpu", dtype=torch.bfloat16):
                warped = small_flow_module(x_i, x_j)
        else:
            warped = small_flow_module.bfloat16()(x_i.bfloat16(), x_j.bfloat16())
    assert warped.dtype == torch.bfloat16
    # The flow itself is rounded to 8 bits, the result too: hundredths, not halves.
    assert (warped.float() - expected).abs().max() < 0.03


def test_equation_10_by_hand() -> None:
    torch.manual_seed(0)
    module = FlowAlignment(3, upsample_like).double()
    torch.nn.init.normal_(module.conv_flow.weight, std=0.1)
    x_i = torch.rand(2, 3, 9, 13, dtype=torch.float64)
    x_j = torch.rand(2, 3, 5, 7, dtype=torch.float64)
    conv = torch.nn.functional.conv2d
    x_j_up = upsample_like(conv(x_j, module.get_parameter("conv_j.weight")), x_i)
    x_flow = conv(
        torch.cat([conv(x_i, module.get_parameter("conv_i.weight")), x_j_up], dim=1),
        module.conv_flow.weight,
        padding=1,
    )
    torch.testing.assert_close(module(x_i, x_j), moved(x_j_up, x_flow))


def test_an_untrained_module_moves_nothing() -> None:
    torch.manual_seed(0)
    module = FlowAlignment(6)
    x_i, x_j = torch.rand(2, 1, 6, 12, 16)
    torch.testing.assert_close(module(x_i, x_j), module.conv_j(x_j), rtol=0, atol=2e-5)


def test_a_narrow_flow_warps_the_map_itself() -> None:
    torch.manual_seed(0)
    module = FlowAlignment(8, upsample_like, FlowRules(reduction=4, warps_projection=False))
    assert module.get_parameter("conv_i.weight").shape == (2, 8, 1, 1)
    x_i, x_j = torch.rand(1, 8, 12, 16), torch.rand(1, 8, 6, 8)
    torch.testing.assert_close(module(x_i, x_j), upsample_like(x_j, x_i), rtol=0, atol=2e-5)
    torch.nn.init.normal_(module.conv_flow.weight)
    seen = upsample_like(module.conv_j(x_j), x_i)
    torch.testing.assert_close(module(x_i, x_j), moved(x_j, module.flow(x_i, seen)))


@pytest.mark.parametrize(("sampling", "pixels"), [(PIXELS, 1.0), (RELEASED_SAMPLING, 0.5)])
def test_how_far_an_offset_of_one_leads(sampling: Sampling, pixels: float) -> None:
    assert sampling.pixels(17) == pytest.approx(pixels)
    ramp = torch.arange(17.0).expand(1, 1, 17, 17)
    there = moved(ramp, constant_flow(ramp, 2, 0), sampling)
    here = moved(ramp, constant_flow(ramp, 0, 0), sampling)
    torch.testing.assert_close((there - here)[0, 0, 8, 4:12], torch.full((8,), 2 * pixels))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_flow_that_is_not_a_number_shows_and_does_not_end_the_process(
    layout: torch.memory_format,
) -> None:
    features = torch.randn(2, 3, 9, 11).contiguous(memory_format=layout).requires_grad_()
    flow = torch.zeros(2, 2, 9, 11)
    flow[1, 0, 4, 5] = float("nan")
    flow.requires_grad_()
    warped = moved(features, flow)
    lost = warped.isnan()
    assert lost[1, :, 4, 5].all()
    assert lost.sum() == 3
    warped.nansum().backward()  # type: ignore[no-untyped-call]
    assert features.grad is not None
    assert features.grad.isfinite().all()
    with torch.no_grad():
        assert moved(features, flow)[1, :, 4, 5].isnan().all()
