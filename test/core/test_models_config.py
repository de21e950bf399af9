"""The configuration: round trips, errors that help, presets."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import yaml

from fafnet_core.models import PRESETS, FAFNetConfig

UNUSUAL = FAFNetConfig(
    num_classes=37,
    backbone="resnet50",
    width_multiplier=0.5,
    output_stride=8,
    acfm=False,
    mlp_reduction=None,
    fusion_alignment="zero_flow",
    warp="depth_only",
    decoder_alignment="none",
    decoder_channels=96,
    pooling_sizes=(1, 4),
    dropout=0.0,
)


@pytest.mark.parametrize(
    "config", [FAFNetConfig(), UNUSUAL, *(preset.config for preset in PRESETS.values())]
)
def test_round_trips(config: FAFNetConfig) -> None:
    values = config.to_dict()
    assert FAFNetConfig.from_dict(values) == config
    assert FAFNetConfig.from_dict(json.loads(json.dumps(values))) == config
    assert FAFNetConfig.from_dict(yaml.safe_load(yaml.safe_dump(values))) == config


def test_the_defaults_are_the_papers_network() -> None:
    assert FAFNetConfig() == FAFNetConfig.from_dict({}) == PRESETS["fafnet-r101"].config


def test_yaml_as_a_person_writes_it() -> None:
    text = "{fusion_alignment: none, mlp_reduction: null, width_multiplier: 1, acfm: no}"
    config = FAFNetConfig.from_dict(yaml.safe_load(text))
    assert config == FAFNetConfig(fusion_alignment="none", mlp_reduction=None, acfm=False)
    assert isinstance(config.width_multiplier, float)


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'bakbone'.*'backbone'"):
        FAFNetConfig.from_dict({"bakbone": "resnet18"})


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("variant", "other", "paper, release"),
        ("variant", None, "paper, release"),
        ("backbone", "resnet200", "resnet18, .*mobilenet_multi_avg, or timm/"),
        ("backbone", "timm/", "or timm/<name of a timm network>"),
        ("backbone", ["resnet18"], "text"),
        ("output_stride", 4, "8, 16, 32"),
        ("num_classes", 0, "1 <= x <= 255"),
        ("num_classes", 256, "1 <= x <= 255"),
        ("num_classes", True, "1 <= x <= 255"),
        ("width_multiplier", 0, "0.0625 <= x <= 4"),
        ("acfm", "yes", "true or false"),
        ("mlp_reduction", 0, "or null"),
        ("fusion_alignment", None, "flow, zero_flow, none"),
        ("warp", "rgb_only", "both, depth_only"),
        ("decoder_channels", 10**12, "1 <= x <= 4096"),
        ("flow_reduction", 0, "or null"),
        ("pooling_sizes", [], "1 to 16"),
        ("pooling_sizes", [1, 0], "1 <= x <= 64"),
        ("pooling_sizes", 6, "list"),
        ("dropout", 1.0, "0 <= x < 1"),
    ],
)
def test_a_wrong_value_says_what_is_allowed(key: str, value: Any, allowed: str) -> None:
    with pytest.raises(ValueError, match=f"^{key} is .*; wanted .*{allowed}"):
        FAFNetConfig.from_dict({key: value})


def test_the_smallest_input_follows_the_output_stride() -> None:
    assert [FAFNetConfig(output_stride=s).smallest_input for s in (8, 16, 32)] == [9, 17, 33]


def test_what_the_variant_decides() -> None:
    release = FAFNetConfig(variant="release")
    assert (release.backbone, release.warp) == ("resnet101_v1c", "depth_only")
    own: dict[str, Any] = {"backbone": None, "warp": None}
    assert dataclasses.replace(release, variant="paper", **own) == FAFNetConfig()
    assert dataclasses.replace(FAFNetConfig(), variant="release", **own) == release
    with pytest.raises(ValueError, match="depth_only"):
        dataclasses.replace(FAFNetConfig(), variant="release")


@pytest.mark.parametrize("values", [None, [], "resnet18"])
def test_a_configuration_is_keys_with_values(values: Any) -> None:
    with pytest.raises(ValueError, match="keys"):
        FAFNetConfig.from_dict(values)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"backbone": "timm/convnext_atto", "width_multiplier": 0.5}, "0.5; wanted 1"),
        ({"variant": "release", "backbone": "timm/convnext_atto"}, "wanted a ResNet"),
        ({"variant": "release", "join": "sum"}, "join is .* 'concatenate' in variant release"),
        ({"variant": "release", "output_stride": 32}, "output_stride is 32; wanted 16"),
    ],
)
def test_fields_that_do_not_go_together(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FAFNetConfig.from_dict(fields)
