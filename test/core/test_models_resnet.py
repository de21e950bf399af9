"""The backbones: torchvision's names and counts, and dilation in place of stride."""

from __future__ import annotations

import pytest
import torch

from fafnet_core.models.resnet import ResNet

# Counts of torchvision's networks less their classifier.
COUNTS = {
    "resnet18": (11_176_512, 60),
    "resnet34": (21_284_672, 108),
    "resnet50": (23_508_032, 159),
    "resnet101": (42_500_160, 312),
    "resnet152": (58_143_808, 465),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(name: str) -> None:
    with torch.device("meta"):
        parameters = list(ResNet(name).parameters())
    assert (sum(p.numel() for p in parameters), len(parameters)) == COUNTS[name]


def test_parameter_names_are_torchvisions() -> None:
    with torch.device("meta"):
        shallow, deep = ResNet("resnet18").state_dict(), ResNet("resnet50").state_dict()
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    first = ["conv1.weight", *(f"bn1.{part}" for part in norm), "layer1.0.conv1.weight"]
    assert list(shallow)[:7] == first
    assert [name for name in shallow if "downsample.0" in name] == [
        f"layer{stage}.0.downsample.0.weight" for stage in (2, 3, 4)
    ]
    assert "layer2.0.downsample.1.running_var" in shallow
    assert tuple(deep["layer3.5.conv3.weight"].shape) == (1024, 256, 1, 1)
    assert tuple(deep["layer1.0.downsample.0.weight"].shape) == (256, 64, 1, 1)
    assert (len(shallow), len(deep)) == (120, 318)


def test_the_stride_of_a_bottleneck_is_in_its_3x3_convolution() -> None:
    with torch.device("meta"):
        block = ResNet("resnet50").get_submodule("layer2.0")
    strides = [block.get_submodule(name).stride for name in ("conv1", "conv2", "conv3")]
    assert strides == [(1, 1), (2, 2), (1, 1)]


@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_shapes(output_stride: int) -> None:
    network = ResNet("resnet18", width_multiplier=0.25, output_stride=output_stride).eval()
    with torch.no_grad():
        maps = network(torch.rand(1, 3, 67, 97))
    strides = [min(stride, output_stride) for stride in (4, 8, 16, 32)]
    assert [tuple(x.shape) for x in maps] == [
        (1, width, -(-67 // stride), -(-97 // stride))
        for width, stride in zip((16, 32, 64, 128), strides, strict=True)
    ]
    assert network.channels == (16, 32, 64, 128)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize("output_stride", [8, 16])
def test_dilation_computes_the_same_features_more_densely(name: str, output_stride: int) -> None:
    torch.manual_seed(0)
    strided = ResNet(name, width_multiplier=1 / 16).eval().double()
    dense = ResNet(name, width_multiplier=1 / 16, output_stride=output_stride).eval().double()
    dense.load_state_dict(strided.state_dict())
    image = torch.randn(1, 3, 97, 130, dtype=torch.float64)
    with torch.no_grad():
        expected, got = strided(image)[3], dense(image)[3]
    every = 32 // output_stride
    torch.testing.assert_close(got[..., ::every, ::every], expected)


def test_a_deep_stem_has_the_names_of_v1c_files() -> None:
    with torch.device("meta"):
        state = ResNet("resnet50_v1c").state_dict()
    convolutions = {name: tuple(x.shape) for name, x in state.items() if x.dim() == 4}
    assert [(n, s) for n, s in convolutions.items() if n.startswith("conv1")] == [
        ("conv1.0.weight", (64, 3, 3, 3)),
        ("conv1.3.weight", (64, 64, 3, 3)),
        ("conv1.6.weight", (128, 64, 3, 3)),
    ]
    assert state["bn1.weight"].shape == (128,)
    assert convolutions["layer1.0.conv1.weight"] == (64, 128, 1, 1)
