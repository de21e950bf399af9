"""ACFM against a NumPy transcription of equations 4-9, and RGBDFuse against equations 1-3."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fafnet_core.models.acfm import AttentionCrossFusion
from fafnet_core.models.controls import IdentityFusion, PassThrough
from fafnet_core.models.rgbd_fuse import RGBDFuse, no_feedback

Array = NDArray[np.float64]


def mlp_in_numpy(mlp: nn.Module, g: Array) -> Array:
    linears = [module for module in mlp.modules() if isinstance(module, nn.Linear)]
    for index, linear in enumerate(linears):
        g = g @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()
        if index < len(linears) - 1:
            g = np.maximum(g, 0)
    return g


@pytest.mark.parametrize("reduction", [4, 64, None])
def test_acfm_is_equations_4_to_9(reduction: int | None) -> None:
    torch.manual_seed(0)
    acfm = AttentionCrossFusion(8, reduction).double()
    rgb_feat, depth_feat = torch.randn(2, 3, 8, 5, 7, dtype=torch.float64)
    rgb, depth = rgb_feat.numpy(), depth_feat.numpy()

    g = np.concatenate((rgb, depth), axis=1).mean(axis=(2, 3))  # (4)
    l_rgb = 1 / (1 + np.exp(-mlp_in_numpy(acfm.mlp_rgb, g)))  # (5)
    l_depth = 1 / (1 + np.exp(-mlp_in_numpy(acfm.mlp_depth, g)))
    m_depth = depth * l_depth[:, :, None, None]  # (6)
    m_rgb = rgb * l_rgb[:, :, None, None]  # (7)
    depth_fused = m_depth + rgb  # (8)
    rgb_fused = m_rgb + depth  # (9)

    with torch.no_grad():
        got_rgb, got_depth = acfm(rgb_feat, depth_feat)
    np.testing.assert_allclose(got_rgb.numpy(), rgb_fused, rtol=0, atol=1e-12)
    np.testing.assert_allclose(got_depth.numpy(), depth_fused, rtol=0, atol=1e-12)


def test_the_mlp_squeezes_as_configured() -> None:
    def shapes(reduction: int | None) -> list[tuple[int, ...]]:
        mlp = AttentionCrossFusion(32, reduction).mlp_rgb
        return [tuple(p.shape) for p in mlp.parameters() if p.dim() == 2]

    assert shapes(16) == [(2, 64), (32, 2)]
    assert shapes(None) == [(32, 64)]
    assert shapes(1000) == [(1, 64), (32, 1)]


class Scale(nn.Module):
    """Stands for an alignment: shows which maps came, and in which order."""

    def __init__(self, of_i: float, of_j: float) -> None:
        super().__init__()
        self.of_i, self.of_j = of_i, of_j

    def forward(self, x_i: Tensor, x_j: Tensor) -> Tensor:
        return self.of_i * x_i + self.of_j * x_j


def test_rgbd_fuse_is_equations_1_to_3() -> None:
    rgb_feat, depth_feat = torch.full((1, 1, 2, 2), 3.0), torch.full((1, 1, 2, 2), 5.0)
    fuse = RGBDFuse(IdentityFusion(), align_rgb=Scale(10, 1), align_depth=Scale(100, 1))
    feat_fused, rgb, depth = fuse(rgb_feat, depth_feat)
    rgb_warped = 10 * 5 + 3
    depth_warped = 100 * 3 + 5
    assert (feat_fused == rgb_warped + depth_warped).all()  # (1)
    assert (rgb == 3 + rgb_warped).all()  # (2)
    assert (depth == 5 + depth_warped).all()  # (3)


def test_without_feedback_the_streams_go_on_as_they_are() -> None:
    rgb_feat, depth_feat = torch.rand(2, 1, 4, 3, 3)
    fuse = RGBDFuse(IdentityFusion(), PassThrough(), PassThrough(), feedback=no_feedback)
    feat_fused, rgb, depth = fuse(rgb_feat, depth_feat)
    assert torch.equal(feat_fused, rgb_feat + depth_feat)
    assert rgb is rgb_feat
    assert depth is depth_feat
