"""The networks: FAFNet of the paper (section 3), its parts, its configuration and its presets."""

from fafnet_core.models.ablation import ABLATION, Arm, ablation, ablation_arms
from fafnet_core.models.config import PRESETS, FAFNetConfig, NetworkPreset
from fafnet_core.models.fafnet import FAFNet, build_model

__all__ = [
    "ABLATION",
    "PRESETS",
    "Arm",
    "FAFNet",
    "FAFNetConfig",
    "NetworkPreset",
    "ablation",
    "ablation_arms",
    "build_model",
]
