"""MobileNetV2: its shape, its strides and dilations, torchvision's names."""

from __future__ import annotations

import pytest
import torch

from fafnet_core import FAFNetConfig, build_model
from fafnet_core.models.mobilenet import InvertedResidual, MobileNetV2


def test_it_has_the_parameters_of_the_published_network() -> None:
    # torchvision's MobileNetV2 has 3,504,872; 1280 x 1000 + 1000 are the classifier's, 412,160 the
    # last convolution's with its norm.
    count = sum(parameter.numel() for parameter in MobileNetV2().parameters())
    assert count == 3_504_872 - 1_281_000 - 412_160


@pytest.mark.parametrize(("output_stride", "strides"), [(32, (4, 8, 16, 32)), (16, (4, 8, 16, 16))])
@torch.inference_mode()
def test_maps_have_the_strides_and_channels_of_four_stages(
    output_stride: int, strides: tuple[int, ...]
) -> None:
    maps = MobileNetV2(output_stride=output_stride).eval()(torch.zeros(1, 3, 65, 97))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (width, -(-65 // stride), -(-97 // stride))
        for width, stride in zip((24, 32, 96, 320), strides, strict=True)
    ]


@torch.inference_mode()
def test_dilation_gives_the_strided_map_at_every_second_pixel() -> None:
    torch.manual_seed(0)
    strided = MobileNetV2(output_stride=32).eval()
    dense = MobileNetV2(output_stride=16).eval()
    dense.load_state_dict(strided.state_dict())
    image = torch.randn(1, 3, 128, 160)
    torch.testing.assert_close(dense(image)[3][..., ::2, ::2], strided(image)[3])


def test_a_block_adds_its_input_only_where_the_shape_stays() -> None:
    same = InvertedResidual(8, 8, 6, stride=1, dilation=1).eval()
    for parameter in same.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.randn(1, 8, 5, 7)
    with torch.inference_mode():
        assert torch.equal(same(x.clone()), x)
        wider = InvertedResidual(8, 16, 6, stride=1, dilation=1).eval()
        for parameter in wider.parameters():
            torch.nn.init.zeros_(parameter)
        assert torch.equal(wider(x), torch.zeros(1, 16, 5, 7))


def test_torchvisions_names_have_a_place_each() -> None:
    network = MobileNetV2()
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
    assert MobileNetV2(width_multiplier=0.35).channels == (8, 16, 32, 112)
    assert MobileNetV2(width_multiplier=1.4).channels == (32, 48, 136, 448)


def test_the_preset_is_small_and_has_every_block_of_the_paper() -> None:
    model = build_model("fafnet-mobile")
    assert sum(parameter.numel() for parameter in model.parameters()) < 7e6
    config = model.config
    assert (config.fusion, config.acfm, config.warp) == ("rgbd_fuse", True, "both")
    assert config.fusion_alignment == config.decoder_alignment == "flow"


def test_the_release_takes_no_mobilenet() -> None:
    with pytest.raises(ValueError, match="ResNet"):
        FAFNetConfig(variant="release", backbone="mobilenet_v2")
