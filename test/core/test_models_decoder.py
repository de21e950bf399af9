"""The pyramid pooling and the aligned decoder, each against a transcription of its drawing."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fafnet_core.models.context import PyramidPooling
from fafnet_core.models.controls import PassThrough
from fafnet_core.models.decoder import AlignedDecoder, ConcatenatedLevels, SummedLevels
from fafnet_core.models.fam import FlowAlignment
from fafnet_core.models.resize import upsample_like


@torch.no_grad()
def test_pyramid_pooling_by_hand() -> None:
    torch.manual_seed(0)
    module = PyramidPooling(6, 4, sizes=(1, 2, 3)).eval()
    x = torch.rand(2, 6, 9, 12)
    pooled = [
        upsample_like(branch[2](branch[1](F.adaptive_avg_pool2d(x, size))), x)
        for size, branch in zip((1, 2, 3), module.branches, strict=True)
        if isinstance(branch, nn.Sequential)
    ]
    torch.testing.assert_close(module(x), module.bottleneck(torch.cat([*pooled, x], dim=1)))


@pytest.mark.parametrize("size", [(2, 2), (5, 3), (14, 18)])
def test_pyramid_pooling_takes_maps_smaller_than_its_grids(size: tuple[int, int]) -> None:
    module = PyramidPooling(6, 4).eval()
    assert module(torch.rand(1, 6, *size)).shape == (1, 4, *size)


def test_synchronised_norms_may_train_on_one_image_a_device() -> None:
    # nn.SyncBatchNorm runs on GPUs only; a group norm stands for "no plain batch norm".
    module = PyramidPooling(6, 4)
    for branch in module.branches:
        assert isinstance(branch, nn.Sequential)
        branch[2] = nn.GroupNorm(2, 4)
    assert module.train()(torch.rand(1, 6, 5, 5)).isfinite().all()


def top_down() -> tuple[AlignedDecoder, list[Tensor]]:
    """A decoder of three levels that gives its levels as they are, and maps for it."""
    torch.manual_seed(0)
    align = [FlowAlignment(8, upsample_like), PassThrough(upsample_like)]
    nn.init.normal_(align[0].get_parameter("conv_flow.weight"), std=0.1)
    decoder = AlignedDecoder((3, 4), 8, nn.Conv2d(5, 8, 1), align, join=nn.Identity()).eval()
    return decoder, [torch.rand(2, 3, 17, 21), torch.rand(2, 4, 9, 11), torch.rand(2, 5, 5, 6)]


@torch.no_grad()
def test_the_top_down_path_by_hand() -> None:
    decoder, (fine, middle, coarse) = top_down()
    x3 = decoder.context(coarse)
    x_i = decoder.laterals[1](middle)
    x2 = x_i + decoder.align[1](x_i, x3)
    x_i = decoder.laterals[0](fine)
    x1 = x_i + decoder.align[0](x_i, x2)
    for level, expected in zip(decoder((fine, middle, coarse)), (x1, x2, x3), strict=True):
        torch.testing.assert_close(level, expected)


def levels() -> list[Tensor]:
    return [torch.rand(2, 8, 17, 21), torch.rand(2, 8, 9, 11), torch.rand(2, 8, 5, 6)]


@torch.no_grad()
def test_concatenated_levels_by_hand() -> None:
    torch.manual_seed(0)
    join = ConcatenatedLevels(3, 8, num_classes=7).eval()
    x1, x2, x3 = levels()
    y1, y2 = join.levels[0](x1), join.levels[1](x2)
    joined = torch.cat([y1, upsample_like(y2, y1), upsample_like(x3, y1)], dim=1)
    torch.testing.assert_close(join((x1, x2, x3)), join.classifier(joined))


@torch.no_grad()
def test_summed_levels_are_one_convolution_of_the_concatenation() -> None:
    # Of levels of one size, where there is nothing to upsample.
    torch.manual_seed(0)
    join = SummedLevels(3, 8, num_classes=7).eval()
    maps = [torch.rand(2, 8, 9, 11) for _ in range(3)]
    weights: list[Tensor] = [level.get_parameter("weight") for level in join.levels]
    joined = F.conv2d(torch.cat(maps, dim=1), torch.cat(weights, dim=1), padding=1)
    torch.testing.assert_close(join(maps), join.classifier(joined))


@torch.no_grad()
def test_separable_levels_are_convolutions_of_rank_one() -> None:
    # Of each input channel all outputs see one pattern, at so many of the finest levels.
    torch.manual_seed(0)
    join = SummedLevels(3, 8, num_classes=7, separable=2).eval()
    x1, x2, x3 = levels()
    full = [
        level.get_parameter("1.weight") * level.get_parameter("0.weight")[:, 0]
        for level in join.levels[:2]
    ]
    y1, y2 = (F.conv2d(x, weight, padding=1) for x, weight in zip((x1, x2), full, strict=True))
    y3 = F.conv2d(x3, join.levels[2].get_parameter("weight"), padding=1)
    expected = join.classifier(y1 + upsample_like(y2, y1) + upsample_like(y3, y1))
    torch.testing.assert_close(join((x1, x2, x3)), expected)


@torch.no_grad()
def test_summed_levels_upsample_what_their_convolutions_give() -> None:
    torch.manual_seed(0)
    join = SummedLevels(3, 8, num_classes=7).eval()
    x1, x2, x3 = levels()
    y1, y2, y3 = (level(x) for level, x in zip(join.levels, (x1, x2, x3), strict=True))
    expected = join.classifier(y1 + upsample_like(y2, y1) + upsample_like(y3, y1))
    torch.testing.assert_close(join((x1, x2, x3)), expected)
