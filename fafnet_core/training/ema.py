"""A running average of the weights, which often scores better than the last weights themselves."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from fafnet_core.models import FAFNet


class AveragedModel:
    """The exponential moving average of a network's parameters.

    Running statistics of batch norms are copied, not averaged: they are averages already.

    Args:
        model: the network; it is copied as it is.
        decay: share of the average that stays at each update. It begins low, at (1 + n) / (10 + n)
            after n updates, so that the first weights are soon forgotten.

    Attributes:
        model: the averaged network, in evaluation mode.
    """

    def __init__(self, model: FAFNet, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, model: FAFNet, updates: int) -> None:
        """Take in the weights after so many updates before this one."""
        decay = min(self._decay, (1 + updates) / (10 + updates))
        # parameters() and buffers() give a shared tensor once.
        averages: list[Tensor] = list(self.model.parameters())
        weights: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(averages, weights, 1 - decay)
        for average, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            average.copy_(buffer)
