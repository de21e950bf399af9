"""The network as the paper's equations say, and as its authors' code computes it.

Both are built from the same blocks. All differences but the defaults of the configuration are here;
biases in front of a batch norm, which the norm takes away, are left to the conversion of their
checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fafnet_core.models.acfm import CrossFuse, cross_fuse
from fafnet_core.models.config import Variant
from fafnet_core.models.fam import PAPER_FLOW, FlowRules
from fafnet_core.models.release import (
    RELEASED_DECODER_FLOW,
    RELEASED_FUSION_FLOW,
    mean_feedback,
    weighted_sum,
)
from fafnet_core.models.rgbd_fuse import Feedback, add_feedback


@dataclass(frozen=True)
class VariantRules:
    """What differs between the variants.

    Attributes:
        cross_fuse: equations 6-9.
        feedback: equations 2 and 3.
        fusion_flow: the FAMs inside RGBDFuse.
        decoder_flow: the FAMs of the decoder.
        released_dilation: how `ResNet` keeps its deepest map at stride 16.
        shared_shortcuts: both streams share the 1x1 convolutions of their ResNets' shortcuts.
    """

    cross_fuse: CrossFuse
    feedback: Feedback
    fusion_flow: FlowRules
    decoder_flow: FlowRules
    released_dilation: bool
    shared_shortcuts: bool


VARIANTS: Mapping[Variant, VariantRules] = MappingProxyType(
    {
        "paper": VariantRules(
            cross_fuse=cross_fuse,
            feedback=add_feedback,
            fusion_flow=PAPER_FLOW,
            decoder_flow=PAPER_FLOW,
            released_dilation=False,
            shared_shortcuts=False,
        ),
        "release": VariantRules(
            cross_fuse=weighted_sum,
            feedback=mean_feedback,
            fusion_flow=RELEASED_FUSION_FLOW,
            decoder_flow=RELEASED_DECODER_FLOW,
            released_dilation=True,
            shared_shortcuts=True,
        ),
    }
)
