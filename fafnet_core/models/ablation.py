"""The rows of the paper's ablation (section 4.3, table 1), and controls of our own, as changes.

Every arm starts from the whole network, with every switch on, and changes what its name says;
backbones, widths and number of classes stay those of the base.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from fafnet_core.models.config import FAFNetConfig, preset_config
from fafnet_core.nearest import unknown_name

_EVERYTHING: Mapping[str, Any] = MappingProxyType(
    {
        "modality": "rgbd",
        "fusion": "rgbd_fuse",
        "acfm": True,
        "fusion_alignment": "flow",
        "decoder": "aligned",
        "decoder_alignment": "flow",
    }
)


@dataclass(frozen=True)
class Arm:
    """One network of the ablation.

    Attributes:
        description: which row of the paper it is, or what it controls for; one line.
        changes: fields of `FAFNetConfig` that differ from the whole network's.
    """

    description: str
    changes: Mapping[str, Any]


def _arm(description: str, **changes: Any) -> Arm:
    return Arm(description, MappingProxyType(changes))


ABLATION: Mapping[str, Arm] = MappingProxyType(
    {
        "all-fams": _arm("table 1: with all FAMs, the whole network"),
        "no-fam": _arm(
            "table 1: without any FAM", fusion_alignment="none", decoder_alignment="none"
        ),
        "decoder-fam": _arm("table 1: with FAM in the decoder only", fusion_alignment="none"),
        "fusion-fam": _arm("table 1: with FAM in RGBDFuse only", decoder_alignment="none"),
        "zero-flow": _arm(
            "control: all parameters of all-fams, every flow zero",
            fusion_alignment="zero_flow",
            decoder_alignment="zero_flow",
        ),
        "depth-only": _arm(
            "control: RGBDFuse aligns depth only, colour stays on its labels", warp="depth_only"
        ),
        "without-acfm": _arm("section 4.3: all FAMs, no ACFM", acfm=False),
        "baseline": _arm(
            "section 4.3: two-stream DeepLabv3+, element-wise sum",
            fusion="sum",
            decoder="deeplabv3plus",
        ),
        "rgb-only": _arm("control: colour alone, same decoder as all-fams", modality="rgb"),
        "hha-only": _arm("control: HHA alone, same decoder as all-fams", modality="hha"),
    }
)
"""What to compare, by name. Some fields have no effect in an arm: the baseline has no ACFM and no
FAM, one modality alone has no RGBDFuse."""


def ablation(base: str | FAFNetConfig, arm: str) -> FAFNetConfig:
    """The configuration of one arm.

    `warp` stays the base's except in "depth-only": where the base aligns depth only, that arm is
    "all-fams" once more.

    Args:
        base: the name of a preset (see `PRESETS`), or a configuration.
        arm: the name of an arm (see `ABLATION`).

    Raises:
        ValueError: no preset or arm has that name (the message names the nearest, or all), or the
            base cannot be changed so: variant "release" has no baseline and keeps its ACFM.
    """
    if isinstance(base, str):
        base = preset_config(base)
    if arm not in ABLATION:
        raise ValueError(unknown_name("arm of the ablation", arm, ABLATION))
    try:
        return dataclasses.replace(base, **{**_EVERYTHING, **ABLATION[arm].changes})
    except ValueError as error:
        raise ValueError(f"arm {arm} of the ablation: {error}") from error


def ablation_arms(base: str | FAFNetConfig) -> dict[str, FAFNetConfig]:
    """The configurations of all arms, by name, in the order of `ABLATION`; see `ablation`."""
    return {arm: ablation(base, arm) for arm in ABLATION}
