"""What a network costs, against what is counted by hand, published, or measured."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from tiny_networks import TINY
from torch import Tensor, nn

from fafnet_core.models import FAFNet, FAFNetConfig, ablation
from fafnet_core.models.summary import LiveTensors, ModelSummary, summarise


@cache
def cost(arm: str) -> ModelSummary:
    return summarise(ablation(TINY, arm), (64, 96))


def test_stages_by_hand() -> None:
    stages = {stage.name: stage for stage in cost("all-fams").stages}

    def check(name: str, shape: tuple[int, ...], parameters: int, multiply_adds: int) -> None:
        stage = stages[name]
        assert (stage.shape, stage.parameters, stage.multiply_adds) == (
            (1, *shape),
            parameters,
            multiply_adds,
        )

    # 7x7 with stride 2 from 3 to 8 channels; a norm has a weight and a bias a channel.
    stem = 7 * 7 * 3 * 8
    check("encoder.rgb_stream.stem", (8, 16, 24), stem + 16, stem * 32 * 48)
    # Four 3x3 from 8 to 8.
    layer1 = 4 * 9 * 8 * 8
    check("encoder.depth_stream.layer1", (8, 16, 24), layer1 + 4 * 16, layer1 * 16 * 24)
    # Two MLPs 16 -> 4 -> 8, each once an image; two FAMs of two 1x1 and a 3x3 from 16 to 2.
    mlps = 2 * (16 * 4 + 4 * 8)
    fams = 2 * (2 * 8 * 8 + 9 * 16 * 2)
    check("encoder.fuse1", (8, 16, 24), mlps + 2 * (4 + 8) + fams, mlps + fams * 16 * 24)
    check("decoder.laterals.2", (16, 4, 6), 32 * 16 + 32, 32 * 16 * 4 * 6)
    # In the decoder the level above is projected at its own size, a quarter of the pixels.
    fine, coarse = 16 * 24, 8 * 12
    flow = 9 * 32 * 2
    check(
        "decoder.align.0",
        (16, 16, 24),
        2 * 16 * 16 + flow,
        16 * 16 * (fine + coarse) + flow * fine,
    )
    check("upsampling", (5, 64, 96), 0, 0)


def test_stages_come_in_the_order_in_which_they_run() -> None:
    names = [stage.name for stage in cost("all-fams").stages]
    assert names[:7] == [
        "encoder.rgb_stream.stem",
        "encoder.depth_stream.stem",
        "encoder.rgb_stream.layer1",
        "encoder.depth_stream.layer1",
        "encoder.fuse1",
        "encoder.rgb_stream.layer2",
        "encoder.depth_stream.layer2",
    ]
    assert names[14:17] == ["decoder.context", "decoder.laterals.2", "decoder.align.2"]
    assert names[-1] == "upsampling"


@pytest.mark.parametrize("arm", ["all-fams", "baseline", "hha-only"])
def test_the_stages_add_up(arm: str) -> None:
    summary = cost(arm)
    model = FAFNet(summary.config)
    assert summary.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert summary.parameters == sum(stage.parameters for stage in summary.stages)
    assert summary.multiply_adds == sum(stage.multiply_adds for stage in summary.stages)
    floats = summary.parameters + sum(b.numel() for b in model.buffers() if b.is_floating_point())
    counters = sum(not buffer.is_floating_point() for buffer in model.buffers())
    assert summary.weight_bytes == 4 * floats + 8 * counters
    streams = {stage.name.split(".")[1] for stage in summary.stages if "layer4" in stage.name}
    assert streams == ({"stream"} if arm == "hha-only" else {"rgb_stream", "depth_stream"})


def test_resnet18_has_its_published_cost() -> None:
    # torchvision: 1,814,073,344 multiply-adds and 11,689,512 parameters, with a classifier of
    # 512 x 1000 that FAFNet has not.
    config = FAFNetConfig(backbone="resnet18", output_stride=32, modality="rgb")
    stages = summarise(config, (224, 224)).stages
    stream = [stage for stage in stages if stage.name.startswith("encoder.stream.")]
    assert len(stream) == 5
    assert sum(stage.multiply_adds for stage in stream) == 1_814_073_344 - 512_000
    assert sum(stage.parameters for stage in stream) == 11_689_512 - 513_000


def test_the_release_has_the_cost_of_its_authors_code() -> None:
    summary = summarise("fafnet-release")
    assert summary.size == (480, 640)
    assert summary.parameters == 92_388_232
    assert round(summary.multiply_adds / 1e9) == 203
    stages = {stage.name: stage.parameters for stage in summary.stages}
    # The shortcuts that both streams share count where they are first: 256 to 512 and a norm.
    shared = stages["encoder.rgb_stream.layer2"] - stages["encoder.depth_stream.layer2"]
    assert shared == 256 * 512 + 2 * 512


def test_cost_grows_with_the_images() -> None:
    once, twice = cost("baseline"), summarise(ablation(TINY, "baseline"), (64, 96), batch=2)
    assert twice.multiply_adds == 2 * once.multiply_adds
    assert twice.peak_bytes == pytest.approx(2 * once.peak_bytes, rel=1e-3)
    assert twice.parameters == once.parameters
    assert twice.stages[0].shape == (2, 8, 16, 24)


@pytest.mark.parametrize("device", ["cpu", "meta"])
@torch.no_grad()
def test_the_peak_of_a_small_network_by_hand(device: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(8, 4, 1))
    model.to(device)
    with LiveTensors(model.parameters()) as live:
        image = torch.empty(1, 3, 10, 20, device=device)
        result = model(image)
    # The second convolution has the image, its input and its output.
    assert live.peak == (3 + 8 + 4) * 10 * 20 * 4
    assert live.alive == (3 + 4) * 10 * 20 * 4
    del result
    assert live.alive == 3 * 10 * 20 * 4


@pytest.mark.parametrize("arm", ["all-fams", "baseline"])
@torch.no_grad()
def test_the_peak_is_that_of_a_real_forward(arm: str) -> None:
    expected = cost(arm)
    model = FAFNet(expected.config).eval()
    with LiveTensors((*model.parameters(), *model.buffers())) as live:
        rgb, hha = torch.zeros(1, 3, 64, 96), torch.zeros(1, 3, 64, 96)
        logits: Tensor = model(rgb, hha)
    # On the meta device a batch norm also returns a copy of its statistics.
    assert expected.peak_bytes == pytest.approx(live.peak, rel=0.005)
    assert live.alive == sum(4 * tensor.numel() for tensor in (rgb, hha, logits))


def test_model_and_random_numbers_are_left_alone() -> None:
    model = FAFNet(ablation(TINY, "baseline")).train()
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    assert summarise(model, (64, 96)) == cost("baseline")
    assert torch.equal(torch.rand(1), expected)
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())
    assert "stem" not in vars(model.get_submodule("encoder.rgb_stream"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fafnet-nanno",), "did you mean 'fafnet-nano'"),
        ((TINY, (32, 64)), "at least 33 x 33"),
        ((TINY, (64, 64), 0), "at least one image"),
    ],
)
def test_errors(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        summarise(*arguments)
