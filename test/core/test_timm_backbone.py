"""Backbones of timm: cut between their stages they are what timm has in one piece."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny_networks import streams
from tiny_training import same_bits
from tolerances import assert_same_maps
from torch import Tensor, nn

from fafnet_core import FAFNet, FAFNetConfig, build_model, load_checkpoint, save_checkpoint
from fafnet_core.checkpoints.pretrained import load_backbone
from fafnet_core.inference import Segmenter
from fafnet_core.labels import NYU40
from fafnet_core.models.timm_backbone import TimmBackbone

SMALL = [
    "resnet18",
    "convnext_atto",
    "efficientnet_b0",
    "mobilenetv4_conv_small",
    "mambaout_femto",
    "repvit_m1",
]


def build(name: str, **settings: Any) -> FAFNet:
    settings = {"output_stride": 32, "decoder_channels": 8, "mlp_reduction": 64} | settings
    return build_model(FAFNetConfig(backbone=f"timm/{name}", **settings))


@pytest.fixture
def timm() -> Any:
    return pytest.importorskip("timm", reason="timm is not installed")


# A library of one network, made like timm's.


class Extractor(nn.ModuleDict):
    """As timm's `FeatureListNet`: children one after another, some of them tapped."""

    def __init__(
        self, strides: tuple[int, ...] = (2, 4, 8, 16, 32), output_fmt: str = "NCHW"
    ) -> None:
        super().__init__()
        self.output_fmt = output_fmt
        self.return_layers: dict[str, str] = {}
        channels, before = 3, 1
        for index, stride in enumerate(strides):
            name = "stem" if stride < 4 else f"stages_{index - 1}"
            layer = nn.Conv2d(channels, 4 * index + 4, 3, stride // before, padding=1)
            self[name] = Last(layer) if output_fmt == "NHWC" else layer
            self.return_layers[name] = str(index)
            channels, before = 4 * index + 4, stride
        self.register_buffer("table", torch.ones(1), persistent=False)
        widths = [4 * index + 4 for index in range(len(strides))]
        self.feature_info = SimpleNamespace(reduction=lambda: strides, channels=lambda: widths)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for layer in self.values():
            x = layer(x)
            maps.append(x)
        return maps


class Last(nn.Module):
    """A convolution of maps with their channels last, as in Swin; the first takes images."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.register_buffer("table", torch.ones(1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x if x.shape[1] == 3 else x.permute(0, 3, 1, 2)
        result: Tensor = self.conv(x).permute(0, 2, 3, 1) * self.table
        return result


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stands in for timm; what it creates is what this returns under that name."""
    networks: dict[str, Any] = {}

    def create_model(name: str, pretrained: bool, features_only: bool, **options: Any) -> Any:
        assert (pretrained, features_only) == (False, True)
        return networks[name](**options)

    module = ModuleType("timm")
    vars(module).update(
        __version__="1",
        create_model=create_model,
        is_model=networks.__contains__,
        list_models=lambda: list(networks),
    )
    monkeypatch.setitem(sys.modules, "timm", module)
    return networks


@pytest.mark.parametrize("output_fmt", ["NCHW", "NHWC"])
def test_cut_it_is_the_network_in_one_piece(library: dict[str, Any], output_fmt: str) -> None:
    whole = Extractor(output_fmt=output_fmt)
    library["net"] = lambda: whole
    backbone = TimmBackbone("net")
    assert backbone.channels == (8, 12, 16, 20)
    assert [len(getattr(backbone, f"layer{n}")) for n in (1, 2, 3, 4)] == [1, 1, 1, 1]
    image = torch.rand(2, 3, 70, 97)
    maps = whole(image)[1:]
    if output_fmt == "NHWC":
        maps = [x.permute(0, 3, 1, 2) for x in maps]
    for own, their in zip(backbone(image), maps, strict=True):
        assert_same_maps(own, their)
    assert backbone.training


def test_names_of_the_whole_network(library: dict[str, Any]) -> None:
    library["net"] = Extractor
    names = TimmBackbone("net").own_names(
        ["stem.weight", "stages.0.weight", "stages.3.bias", "stages.7.bias", "head.fc.weight"]
    )
    assert names == {
        "stem.weight": "entry.stem.weight",
        "stages.0.weight": "layer1.stages_0.weight",
        "stages.3.bias": "layer4.stages_3.bias",
    }


@pytest.mark.parametrize("output_fmt", ["NCHW", "NHWC"])
def test_checkpoints_and_the_callers_random_state(
    library: dict[str, Any], tmp_path: Path, output_fmt: str
) -> None:
    library["net"] = lambda: Extractor(output_fmt=output_fmt)
    model = build("net").eval()
    save_checkpoint(tmp_path / "m.safetensors", model, label_set=NYU40)
    before = torch.random.get_rng_state()
    loaded = load_checkpoint(tmp_path / "m.safetensors")
    assert torch.equal(before, torch.random.get_rng_state())
    assert same_bits(loaded.state_dict(), model.state_dict())
    images = torch.rand(2, 1, 3, 64, 96).unbind()
    with torch.inference_mode():
        assert_same_maps(loaded(*images), model(*images))


def test_sizes_that_it_cannot_take(library: dict[str, Any], tmp_path: Path) -> None:
    library["net"] = Extractor
    model = build("net").eval()
    assert model.input_divisor == 1
    with pytest.raises(ValueError, match="64 x 64"):
        model(*torch.rand(2, 1, 3, 64, 63).unbind())

    class Even(Extractor):
        def __init__(self) -> None:
            super().__init__()
            self["stem"] = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 4, 1))

    library["net"] = Even
    model = build("net").eval()
    assert model.input_divisor == 32
    refusal = r"input_size is 130x96 .* takes sides divisible by 32 only: take 128x96"
    with pytest.raises(ValueError, match=refusal):
        save_checkpoint(tmp_path / "m.safetensors", model, input_size=(96, 130))
    with pytest.raises(ValueError, match=refusal):
        Segmenter.of_model(model, device="cpu", input_size=(96, 130))
    with pytest.raises(ValueError, match="divisible by 32"):
        model(*torch.rand(2, 1, 3, 64, 97).unbind())
    assert model(*torch.rand(2, 1, 3, 64, 96).unbind()).shape == (1, 40, 64, 96)


def test_networks_that_will_not_do(library: dict[str, Any]) -> None:
    library["vit"] = lambda: Extractor((16,))
    with pytest.raises(ValueError, match="strides"):
        TimmBackbone("vit")
    library["strided"] = Extractor
    with pytest.raises(ValueError, match="output stride 16"):
        TimmBackbone("strided", output_stride=16)
    library["whole"] = lambda: SimpleNamespace(
        feature_info=SimpleNamespace(reduction=lambda: [4, 8, 16, 32], channels=lambda: [8] * 4)
    )
    with pytest.raises(ValueError, match="stages"):
        TimmBackbone("whole")

    class Fixed(Extractor):
        def __init__(self) -> None:
            super().__init__()
            self["stages_1"].weight = nn.Parameter(torch.zeros(1, 1, 3, 3))

    library["fixed"] = Fixed
    with pytest.raises(ValueError, match="96 x 160"):
        TimmBackbone("fixed")
    lying = Extractor()
    lying.feature_info.channels = lambda: [4, 8, 12, 16, 99]
    library["lying"] = lambda: lying
    with pytest.raises(ValueError, match="stride 32"):
        TimmBackbone("lying")


def test_names_near_and_far(library: dict[str, Any]) -> None:
    library["convnext_atto"] = library["convnext_tiny"] = Extractor
    with pytest.raises(ValueError, match="convnext_atto"):
        build("convnext_ato")
    with pytest.raises(ValueError, match="list_models"):
        build("xyz")


def test_without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match="pip install timm"):
        build("resnet18")


# What follows needs the library itself.


@pytest.mark.parametrize("name", SMALL)
def test_maps_are_timms_own(timm: Any, name: str) -> None:
    torch.manual_seed(0)
    whole = timm.create_model(name, pretrained=False, features_only=True).eval()
    torch.manual_seed(0)
    backbone = TimmBackbone(name).eval()
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        maps = whole(image)[-4:]
        ours = backbone(image)
    if getattr(whole, "output_fmt", None) == "NHWC":
        maps = [x.permute(0, 3, 1, 2) for x in maps]
    for own, their in zip(ours, maps, strict=True):
        assert_same_maps(own, their)
    assert backbone.channels == tuple(x.shape[1] for x in ours)


@pytest.mark.parametrize("name", SMALL)
def test_the_fusion_on_top_trains(timm: Any, name: str) -> None:
    model = build(name)
    logits = model(*torch.rand(2, 2, 3, 64, 96).unbind())
    assert logits.shape == (2, 40, 64, 96)
    logits.square().mean().backward()
    for stream in streams(model):
        gradients = [p.grad for p in stream.parameters()]
        assert all(g is not None and math.isfinite(g.abs().sum()) for g in gradients)


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "mobilenetv4_conv_small"])
def test_a_finer_output_stride(timm: Any, name: str) -> None:
    backbone = TimmBackbone(name, output_stride=16).eval()
    with torch.inference_mode():
        assert backbone(torch.rand(1, 3, 64, 96))[3].shape[2:] == (4, 6)


@pytest.mark.parametrize("name", SMALL)
def test_weights_of_timms_whole_network(timm: Any, name: str, tmp_path: Path) -> None:
    whole = timm.create_model(name, pretrained=False)
    save_file(whole.state_dict(), tmp_path / "model.safetensors")
    model = build(name, modality="rgb").eval()
    report = load_backbone(model, tmp_path)
    assert report.kept == ()
    assert report.left
    assert not [n for n in report.left if n.startswith(("stages", "stem", "blocks.", "layer"))]
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        ours = model.encoder(image, image)
        theirs = whole.eval().forward_intermediates(image, intermediates_only=True)[-4:]
    for own, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, their)
