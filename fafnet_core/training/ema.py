"""Averages of weights, which often score better than the last weights themselves."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator

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


class SharedStart:
    """A network's first weights, of which those that are written have a share.

    What a few frames teach is kept, and much of what they do not show is not forgotten (Wortsman
    et al., "Robust fine-tuning of zero-shot models", CVPR 2022, section 3). Running statistics of
    batch norms are averaged like weights.

    Args:
        model: the network as it starts.
        share: of these weights, 0 < share < 1.
        anew: classes that start anew: their weights are not mixed.
        of_each_class: names of the tensors with a row for each class.
    """

    def __init__(
        self, model: FAFNet, share: float, anew: Collection[int], of_each_class: Collection[str]
    ) -> None:
        self._start = {name: tensor.clone() for name, tensor in _weights(model)}
        self._share = share
        self._anew, self._of_each_class = sorted(anew), frozenset(of_each_class)

    @torch.no_grad()
    def mixed(self, model: FAFNet) -> FAFNet:
        """Return a network between the start and this one, in evaluation mode."""
        mixed = copy.deepcopy(model).eval().requires_grad_(False)
        for name, tensor in _weights(mixed):
            trained = tensor[self._anew] if name in self._of_each_class else None
            tensor.lerp_(self._start[name].to(tensor.device), self._share)
            if trained is not None:
                tensor[self._anew] = trained
        return mixed


def _weights(model: FAFNet) -> Iterator[tuple[str, Tensor]]:
    """The numbers that a network learns or counts, each tensor once."""
    yield from ((name, parameter.data) for name, parameter in model.named_parameters())
    for name, buffer in model.named_buffers():
        if buffer.is_floating_point():
            yield name, buffer
