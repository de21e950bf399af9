"""The arms of the ablation: what each changes, and that each of them works."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fafnet_core.models import ABLATION, PRESETS, FAFNet, FAFNetConfig, ablation, ablation_arms
from fafnet_core.models.fam import FlowAlignment

TINY = FAFNetConfig(
    num_classes=5,
    backbone="resnet18",
    width_multiplier=1 / 16,
    output_stride=32,
    mlp_reduction=2,
    decoder_channels=8,
)


def build(arm: str) -> FAFNet:
    torch.manual_seed(0)
    model = FAFNet(ablation(TINY, arm))
    for module in model.modules():
        if isinstance(module, FlowAlignment):  # Conv_flow starts at zero and lets no gradient by
            nn.init.normal_(module.conv_flow.weight, std=0.05)
    return model


def images(batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    both = torch.randn(2, batch, 3, height, width, generator=generator)
    return both[0], both[1]


@cache
def shapes(arm: str) -> Mapping[str, torch.Size]:
    return {name: parameter.shape for name, parameter in build(arm).named_parameters()}


def test_the_arms() -> None:
    assert list(ABLATION) == [
        "all-fams",
        "no-fam",
        "decoder-fam",
        "fusion-fam",
        "zero-flow",
        "depth-only",
        "without-acfm",
        "baseline",
        "rgb-only",
        "hha-only",
    ]
    for arm in ABLATION.values():
        assert arm.description
        assert "\n" not in arm.description
    assert list(ablation_arms(TINY)) == list(ABLATION)


@pytest.mark.parametrize("arm", ABLATION)
def test_an_arm_is_the_whole_network_with_its_changes(arm: str) -> None:
    config = ablation(TINY, arm)
    assert config == dataclasses.replace(TINY, **ABLATION[arm].changes)
    assert FAFNetConfig.from_dict(config.to_dict()) == config
    # Whatever the base has switched off, or whichever arm it is itself.
    for other in ABLATION:
        if other != "depth-only":
            assert ablation(ablation(TINY, other), arm) == config


def test_all_of_the_papers_network_is_the_papers_network() -> None:
    assert ablation("fafnet-r101", "all-fams") == PRESETS["fafnet-r101"].config


def test_no_two_arms_are_the_same() -> None:
    arms = list(ablation_arms(TINY).values())
    assert all(arms.count(config) == 1 for config in arms)


@pytest.mark.parametrize("arm", ABLATION)
@torch.no_grad()
def test_every_arm_labels_every_pixel(arm: str) -> None:
    logits = build(arm).eval()(*images(2, 65, 97))
    assert logits.shape == (2, 5, 65, 97)
    assert logits.isfinite().all()


def test_the_arms_differ_in_the_parameters_they_should() -> None:
    everything = shapes("all-fams")
    assert shapes("zero-flow") == everything

    def missing(arm: str) -> set[str]:
        here = shapes(arm)
        assert here.items() <= everything.items()
        return everything.keys() - here.keys()

    in_fusion = {n for n in everything if n.startswith("encoder.fuse") and ".align_" in n}
    in_decoder = {n for n in everything if n.startswith("decoder.align.")}
    assert in_fusion
    assert in_decoder
    assert missing("no-fam") == in_fusion | in_decoder
    assert missing("decoder-fam") == in_fusion
    assert missing("fusion-fam") == in_decoder
    assert missing("depth-only") == {n for n in in_fusion if ".align_rgb." in n}
    assert missing("without-acfm") == {n for n in everything if ".acfm." in n}


def test_the_baseline_has_neither_alignment_nor_attention() -> None:
    baseline = build("baseline")
    names = [name for name, _ in baseline.named_parameters()]
    assert not any("align" in name or "acfm" in name or ".fuse" in name for name in names)
    assert not any(isinstance(module, FlowAlignment) for module in baseline.modules())
    assert any(name.startswith("decoder.context.branches.3") for name in names)  # ASPP


def test_one_modality_has_the_decoder_of_all() -> None:
    def decoder(arm: str) -> dict[str, torch.Size]:
        return {n: shape for n, shape in shapes(arm).items() if n.startswith("decoder.")}

    assert decoder("rgb-only") == decoder("hha-only") == decoder("all-fams")


@pytest.mark.parametrize("arm", ["rgb-only", "hha-only"])
@torch.no_grad()
def test_one_modality_ignores_the_other(arm: str) -> None:
    model = build(arm).eval()
    rgb, hha = images(1, 64, 64)
    expected = model(rgb, hha)
    other_rgb, other_hha = (rgb, -hha) if arm == "rgb-only" else (-rgb, hha)
    assert torch.equal(model(other_rgb, other_hha), expected)
    assert not torch.equal(model(-rgb, -hha), expected)


@pytest.mark.parametrize("arm", ["baseline", "rgb-only", "hha-only"])
def test_a_gradient_reaches_every_parameter(arm: str) -> None:
    model = build(arm).train()
    model(*images(3, 64, 96)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    ("base", "arm", "message"),
    [
        ("fafnet-nanno", "no-fam", r"'fafnet-nanno'.*'fafnet-nano'"),
        ("fafnet-nano", "no-fams", r"'no-fams': did you mean 'no-fam'"),
        ("fafnet-nano", "x", r"known: all-fams, baseline"),
        ("fafnet-release", "baseline", "arm baseline.*fusion"),
    ],
)
def test_errors_help(base: str, arm: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ablation(base, arm)


def test_the_release_has_the_arms_that_leave_it_the_release() -> None:
    changes: dict[str, Any] = {"fusion_alignment": "none", "decoder_alignment": "none"}
    expected = dataclasses.replace(PRESETS["fafnet-release"].config, **changes)
    assert ablation("fafnet-release", "no-fam") == expected
