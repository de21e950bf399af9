"""The arms of the ablation: what each changes, and that each of them works."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import torch
from tiny_networks import TINY, images, randomise_flows

from fafnet_core.models import ABLATION, PRESETS, FAFNet, FAFNetConfig, ablation, ablation_arms
from fafnet_core.models.fam import FlowAlignment


def build(arm: str) -> FAFNet:
    torch.manual_seed(0)
    return randomise_flows(FAFNet(ablation(TINY, arm)))


@cache
def shapes(arm: str) -> Mapping[str, torch.Size]:
    return {name: parameter.shape for name, parameter in build(arm).named_parameters()}


def test_the_arms() -> None:
    for arm in ABLATION.values():
        assert arm.description
        assert "\n" not in arm.description
    assert list(ablation_arms(TINY)) == list(ABLATION)
    assert len(set(ablation_arms(TINY).values())) == len(ABLATION)


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
