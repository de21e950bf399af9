"""The MobileNets: their shapes, strides and dilations, torchvision's names."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_networks import streams
from torch import Tensor, nn

from fafnet_core import build_model
from fafnet_core.checkpoints.pretrained import load_backbone
from fafnet_core.models.config import preset_config
from fafnet_core.models.mobilenet import MobileNet
from fafnet_core.models.resnet import ResNet

FIRST = (1, 4, 7, 14)
"""Torchvision's number of the first block of each stage."""


def test_it_has_the_parameters_of_the_published_network() -> None:
    # torchvision's MobileNetV2 has 3,504,872; 1280 x 1000 + 1000 are the classifier's, 412,160 the
    # last convolution's with its norm.
    count = sum(parameter.numel() for parameter in MobileNet().parameters())
    assert count == 3_504_872 - 1_281_000 - 412_160


def test_multi_avg_has_the_parameters_of_mlcommons_file() -> None:
    # 1,605,728 in its kernels; each of 50 convolutions has a norm with two numbers a channel.
    network = MobileNet("mobilenet_multi_avg")
    kernels = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert (len(kernels), sum(kernel.numel() for kernel in kernels)) == (50, 1_605_728)
    assert any(isinstance(module, nn.ReLU) for module in network.modules())
    assert not any(isinstance(module, nn.ReLU6) for module in network.modules())


@pytest.mark.parametrize(("output_stride", "strides"), [(32, (4, 8, 16, 32)), (16, (4, 8, 16, 16))])
@pytest.mark.parametrize(
    ("name", "channels"),
    [("mobilenet_v2", (24, 32, 96, 320)), ("mobilenet_multi_avg", (32, 64, 160, 448))],
)
@torch.inference_mode()
def test_maps_have_the_strides_and_channels_of_four_stages(
    name: str, channels: tuple[int, ...], output_stride: int, strides: tuple[int, ...]
) -> None:
    maps = MobileNet(name, output_stride=output_stride).eval()(torch.zeros(1, 3, 65, 97))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (width, -(-65 // stride), -(-97 // stride))
        for width, stride in zip(channels, strides, strict=True)
    ]


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_multi_avg"])
@torch.inference_mode()
def test_dilation_gives_the_strided_map_at_every_second_pixel(name: str) -> None:
    torch.manual_seed(0)
    strided = MobileNet(name, output_stride=32).eval()
    dense = MobileNet(name, output_stride=16).eval()
    dense.load_state_dict(strided.state_dict())
    image = torch.randn(1, 3, 128, 160)
    torch.testing.assert_close(dense(image)[3][..., ::2, ::2], strided(image)[3])


def test_torchvisions_names_have_a_place_each() -> None:
    network = MobileNet()
    theirs = ["features.0.0.weight", "features.1.conv.1.weight", "features.2.conv.0.0.weight"]
    theirs += ["features.17.conv.3.running_var", "features.18.0.weight", "classifier.1.bias"]
    assert network.own_names(theirs) == {
        "features.0.0.weight": "first.0.weight",
        "features.1.conv.1.weight": "layer1.0.conv.1.weight",
        "features.2.conv.0.0.weight": "layer1.1.conv.0.0.weight",
        "features.17.conv.3.running_var": "layer4.3.conv.3.running_var",
    }
    own = list(network.state_dict())
    assert network.own_names(own) == dict(zip(own, own, strict=True))


def test_widths_are_multiples_of_eight() -> None:
    assert MobileNet(width_multiplier=0.35).channels == (8, 16, 32, 112)
    assert MobileNet(width_multiplier=1.4).channels == (32, 48, 136, 448)


def torchvisions() -> dict[str, Tensor]:
    """A state dict as torchvision writes it: other names, a last convolution, a classifier."""
    torch.manual_seed(7)
    state: dict[str, Tensor] = {}
    for name, tensor in MobileNet().state_dict().items():
        value = torch.rand(tensor.shape) if tensor.is_floating_point() else torch.tensor(5)
        if found := re.match(r"layer(\d)\.(\d)\.", name):
            block = FIRST[int(found[1]) - 1] + int(found[2])
            state[f"features.{block}.{name.removeprefix(found[0])}"] = value
        else:
            state[name.replace("first.", "features.0.")] = value
    state["features.18.0.weight"] = torch.rand(1280, 320, 1, 1)
    return state | {"classifier.1.weight": torch.rand(1000, 1280)}


def test_torchvisions_file_fills_both_streams(tmp_path: Path) -> None:
    state = torchvisions()
    torch.save(state, tmp_path / "mobilenet_v2.pth")
    model = build_model(replace(preset_config("fafnet-mobile"), backbone="mobilenet_v2"))
    report = load_backbone(model, tmp_path / "mobilenet_v2.pth")
    for stream in streams(model):
        assert isinstance(stream, MobileNet)
        own = stream.state_dict()
        places = stream.own_names(state)
        assert set(places.values()) == own.keys()
        assert all(torch.equal(own[place], state[name]) for name, place in places.items())
    assert set(report.left) == {"features.18.0.weight", "classifier.1.weight"}


def test_another_networks_file_is_refused_by_its_name(tmp_path: Path) -> None:
    torch.save(ResNet("resnet18").state_dict(), tmp_path / "resnet.pth")
    with pytest.raises(ValueError, match="mobilenet_multi_avg"):
        load_backbone(build_model("fafnet-mobile"), tmp_path / "resnet.pth")
