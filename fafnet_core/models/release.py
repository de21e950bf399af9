"""What the authors' code computes in place of the paper's equations; see `variants.py`.

`checkpoints/release.py` converts their networks.
"""

from __future__ import annotations

from torch import Tensor

from fafnet_core.models.fam import FlowRules
from fafnet_core.models.warp import Sampling


def weighted_sum(feat: Tensor, other_feat: Tensor, attention: Tensor) -> Tensor:
    """In place of equations 6-9: the sum of both, weighed by L; arguments as of `cross_fuse`."""
    return (feat + other_feat) * attention[:, :, None, None]


def mean_feedback(feat: Tensor, warped: Tensor) -> Tensor:
    """In place of equations 2 and 3: the mean."""
    return (feat + warped) / 2


def _one_part(size: int) -> float:
    return 1 / size


RELEASED_SAMPLING = Sampling(_one_part, align_corners=False, padding_mode="zeros")
"""Eq. 11's grid is read as if -1 and 1 were outer edges.

A flow of zero is then not the identity: it stretches the map by W / (W - 1) about its centre, and
the border row and column are mixed with zeros.
"""

RELEASED_FUSION_FLOW = FlowRules(
    reduction=None, warps_projection=False, sampling=RELEASED_SAMPLING, starts_at_zero=False
)
"""The FAMs inside RGBDFuse: Conv_flow alone."""

RELEASED_DECODER_FLOW = FlowRules(
    reduction=2, warps_projection=False, sampling=RELEASED_SAMPLING, starts_at_zero=False
)
"""The FAMs of the decoder: the coarse map itself is sampled at the fine places."""
