"""Sums that take no new memory where nobody can tell."""

from __future__ import annotations

import torch
from torch import Tensor


def added_to(x: Tensor, y: Tensor) -> Tensor:
    """x + y, in the place of `x` where no gradient is wanted: `x` must be a result of our own.

    New memory for sums was a tenth of a ResNet's time on a CPU. In training `x` is left as it is,
    for whoever hooked it. Not for what goes into or comes out of an ACFM or a FAM: those are maps
    that people look at, in inference too.
    """
    return x + y if torch.is_grad_enabled() else x.add_(y)
