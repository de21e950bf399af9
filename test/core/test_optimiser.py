"""The optimiser: which parameter is in which group, and what a step does."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn

from fafnet_core.models.config import FAFNetConfig, preset_config
from fafnet_core.models.fafnet import FAFNet, build_model
from fafnet_core.settings import FieldError
from fafnet_core.training.optimiser import OptimiserConfig, build_optimiser, set_learning_rate


@pytest.fixture(scope="module")
def network() -> FAFNet:
    return build_model("fafnet-nano")


def names_by_group(model: nn.Module, config: OptimiserConfig) -> dict[Any, set[str]]:
    """Names of the parameters by (factor of the rate, weight decay)."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        (group["rate_factor"], group["weight_decay"]): {names[id(p)] for p in group["params"]}
        for group in build_optimiser(model, config).param_groups
    }


def test_parameters_that_streams_share_come_once() -> None:
    network = FAFNetConfig(
        variant="release", backbone="resnet18_v1c", width_multiplier=0.25, decoder_channels=32
    )
    model = build_model(network)
    shared = len(list(model.named_parameters(remove_duplicate=False)))
    config = OptimiserConfig(kind="adamw", norm_weight_decay=0.0, backbone_rate=0.1)
    groups = build_optimiser(model, config).param_groups
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters())) < shared


def test_one_decay_for_all_is_the_default(network: FAFNet) -> None:
    groups = names_by_group(network, OptimiserConfig())
    assert list(groups) == [(1.0, 5e-4)]


def test_norm_layers_and_biases_have_their_own_decay(network: FAFNet) -> None:
    groups = names_by_group(network, OptimiserConfig(norm_weight_decay=0.0))
    expected = {
        f"{name}.{own}"
        for name, module in network.named_modules()
        for own, _ in module.named_parameters(recurse=False)
        if isinstance(module, nn.BatchNorm2d) or own == "bias"
    }
    assert groups[1.0, 0.0] == expected
    assert groups[1.0, 5e-4] == {n for n, _ in network.named_parameters()} - expected
    assert len(groups) == 2


def test_backbones_may_learn_at_their_own_rate(network: FAFNet) -> None:
    config = OptimiserConfig(backbone_rate=0.1)
    groups = names_by_group(network, config)
    streams = ("encoder.rgb_stream.", "encoder.depth_stream.")
    every = {name for name, _ in network.named_parameters()}
    assert groups[0.1, 5e-4] == {name for name in every if name.startswith(streams)}
    assert groups[1.0, 5e-4] == {name for name in every if not name.startswith(streams)}

    optimiser = build_optimiser(network, config)
    set_learning_rate(optimiser, 0.02)
    assert {g["rate_factor"]: g["lr"] for g in optimiser.param_groups} == {1.0: 0.02, 0.1: 0.002}


def test_a_rate_for_backbones_that_are_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="Conv2d has no backbone"):
        build_optimiser(nn.Conv2d(1, 1, 1), OptimiserConfig(backbone_rate=0.1))


def test_a_step_of_sgd_with_momentum_and_decay() -> None:
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, 2.0)
    nn.init.constant_(layer.bias, 3.0)
    optimiser = build_optimiser(
        layer, OptimiserConfig(momentum=0.5, weight_decay=0.1, norm_weight_decay=0.0)
    )
    expected = {"weight": 2.0, "bias": 3.0}
    speed = {"weight": 0.0, "bias": 0.0}
    for rate in (0.0, 1.0, 0.5):
        set_learning_rate(optimiser, rate)
        for name, parameter in layer.named_parameters():
            parameter.grad = torch.ones_like(parameter)
            decay = 0.1 if name == "weight" else 0.0
            speed[name] = 0.5 * speed[name] + 1 + decay * expected[name]
            expected[name] -= rate * speed[name]
        optimiser.step()
        found = {name: parameter.item() for name, parameter in layer.named_parameters()}
        assert found == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_what_has_no_gradient_stays_as_it_is(kind: Any) -> None:
    """Under "zero_flow" the flow convolutions never get one: not even decay moves them."""
    config = dataclasses.replace(
        preset_config("fafnet-nano"), fusion_alignment="zero_flow", decoder_alignment="zero_flow"
    )
    model = build_model(config)
    optimiser = build_optimiser(model, OptimiserConfig(kind=kind, weight_decay=0.5))
    set_learning_rate(optimiser, 0.1)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    model(torch.randn(2, 3, 64, 64), torch.randn(2, 3, 64, 64)).sum().backward()
    optimiser.step()
    still = {n for n, p in model.named_parameters() if torch.equal(p, before[n])}
    assert still
    assert still >= {n for n, p in model.named_parameters() if p.grad is None}
    assert any("conv_flow" in name for name in still)
    assert "encoder.rgb_stream.layer1.0.conv1.weight" not in still


@pytest.mark.parametrize(
    "fields",
    [
        {"nesterov": True, "momentum": 0},
        {"betas": (0.9, 1.0)},
        {"backbone_rate": float("inf")},
    ],
)
def test_values_that_cannot_be_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(FieldError, match=f"^{next(iter(fields))} is "):
        OptimiserConfig(**fields)
