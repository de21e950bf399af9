"""Weights with norms folded in: the network computes what they say, and can be trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tiny_networks import streams, unchanged
from torch import Tensor

from fafnet_core import FAFNet, FAFNetConfig, build_model
from fafnet_core.checkpoints.pretrained import load_backbone
from fafnet_core.models.mobilenet import MobileNet

State = dict[str, Tensor]


def folded(seed: int = 0) -> State:
    """A file as inference code has it, under torchvision's names: weights and biases alone."""
    torch.manual_seed(seed)
    places = MobileNet().own_names(theirs())
    own = MobileNet().state_dict()
    state: State = {}
    for name, place in places.items():
        weight = own[place]
        state[name] = torch.randn_like(weight) / weight[0].numel() ** 0.5
        state[name.removesuffix("weight") + "bias"] = torch.randn(len(weight)) / 4
    return state


def theirs() -> list[str]:
    """Torchvision's names of the convolutions."""
    names = ["features.0.0.weight", "features.1.conv.0.0.weight", "features.1.conv.1.weight"]
    for block in range(2, 18):
        conv = f"features.{block}.conv"
        names += [f"{conv}.0.0.weight", f"{conv}.1.0.weight", f"{conv}.2.weight"]
    return names


def run_folded(state: State, x: Tensor) -> list[Tensor]:
    """The four maps of the folded network, convolution by convolution."""

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        groups = x.shape[1] // weight.shape[1]
        return F.conv2d(x, weight, bias, stride, weight.shape[-1] // 2, groups=groups)

    x = F.relu6(conv(x, "features.0.0", 2))
    maps = []
    for block in range(1, 18):
        prefix, before = f"features.{block}.conv", x
        part = 0
        if block > 1:
            x, part = F.relu6(conv(x, f"{prefix}.0.0")), 1
        x = F.relu6(conv(x, f"{prefix}.{part}.0", 2 if block in (2, 4, 7, 14) else 1))
        x = conv(x, f"{prefix}.{part + 1}")
        x = x + before if x.shape == before.shape else x
        if block in (3, 6, 13, 17):
            maps.append(x)
    return maps


def images() -> Mapping[str, Tensor]:
    torch.manual_seed(1)
    return {"rgb": torch.randn(4, 3, 64, 96), "hha": torch.rand(4, 3, 64, 96)}


def network() -> FAFNet:
    return build_model(FAFNetConfig(backbone="mobilenet_v2", output_stride=32, decoder_channels=8))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("folded") / "weights.safetensors"
    save_file(folded(), path)
    return path


def test_outputs_stay_those_of_the_file_in_both_streams(path: Path) -> None:
    model = network()
    report = load_backbone(model, path, images)
    assert report.streams == ("rgb_stream", "depth_stream")
    assert (len(report.taken), report.left, report.kept) == (102, (), ())
    seen = images()
    others = torch.randn(1, 3, 64, 64)  # not those that the norms were calibrated on
    with torch.inference_mode():
        for stream in streams(model.eval()):
            for image in (seen["rgb"][:1], others):
                for found, wanted in zip(stream(image), run_folded(folded(), image), strict=True):
                    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_norms_hold_the_statistics_of_what_arrives_so_that_training_starts_there(
    path: Path,
) -> None:
    model = network().train()
    load_backbone(model, path, images)
    assert model.training
    seen = images()
    for stream, modality in zip(streams(model), ("rgb", "hha"), strict=True):
        with torch.no_grad():  # batch statistics
            found = stream(seen[modality])
        for one, wanted in zip(found, run_folded(folded(), seen[modality]), strict=True):
            torch.testing.assert_close(one, wanted, rtol=1e-3, atol=1e-3)


def test_half_precision_files_are_taken_as_numbers(tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    save_file({name: tensor.half() for name, tensor in folded().items()}, path)
    model = network()
    load_backbone(model, path, images)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_without_images_nothing_is_taken(path: Path) -> None:
    model = network()
    with unchanged(model), pytest.raises(ValueError, match="images"):
        load_backbone(model, path)


NAME = "features.5.conv.1.0.weight"


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop(NAME),
        lambda state: state.update({NAME: state[NAME][:-1].contiguous()}),
        lambda state: state[NAME].fill_(float("nan")),
        lambda state: state.update({"features.9.conv.9.weight": torch.zeros(3)}),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    tmp_path: Path, change: Callable[[State], object]
) -> None:
    state = folded()
    change(state)
    save_file(state, tmp_path / "weights.safetensors")
    model = network()
    with unchanged(model), pytest.raises(ValueError, match=r"fit|finite"):
        load_backbone(model, tmp_path / "weights.safetensors", images)
