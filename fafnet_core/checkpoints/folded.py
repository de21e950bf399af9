"""Backbone weights whose batch norms are folded into the convolutions, as inference files are.

Such a file has a weight and a bias for each convolution and no norm. To be trained again a network
needs its norms back: each gets the statistics of its input on some images, and the scale and shift
that undo them. So the output stays that of the file, and batch statistics begin near the running
ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class FoldedWeights:
    """The tensors of a folded file, under the backbone's names.

    Attributes:
        weights: of every convolution.
        shifts: of every norm, by the norm's name: the bias of the convolution before it.
    """

    weights: dict[str, Tensor]
    shifts: dict[str, Tensor]


def normed_convolutions(network: nn.Module) -> dict[str, str]:
    """The names of all convolutions, each with that of the batch norm right behind it."""
    pairs = {}
    for name, module in network.named_modules():
        if not isinstance(module, nn.Sequential):
            continue
        children = list(module.named_children())
        for (before, first), (after, second) in pairwise(children):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                prefix = f"{name}." if name else ""
                pairs[prefix + before] = prefix + after
    return pairs


def folded_weights(network: nn.Module, state: Mapping[str, Tensor]) -> FoldedWeights | None:
    """Sort the tensors of a folded file; None where `state` is no folded form of the network.

    Args:
        network: a backbone in which every convolution has a norm behind it.
        state: tensors under the backbone's names.
    """
    pairs = normed_convolutions(network)
    wanted = {f"{conv}.{part}" for conv in pairs for part in ("weight", "bias")}
    if not pairs or wanted != state.keys():
        return None
    return FoldedWeights(
        weights={f"{conv}.weight": state[f"{conv}.weight"].float() for conv in pairs},
        shifts={norm: state[f"{conv}.bias"].float() for conv, norm in pairs.items()},
    )


@torch.no_grad()
def load_folded(network: nn.Module, folded: FoldedWeights, images: Tensor) -> None:
    """Fill a backbone; in evaluation mode it then computes what the folded network computes.

    Args:
        network: the backbone; it keeps its mode.
        folded: of the same shapes.
        images: (B, 3, H, W) of the kind that it will see, normalised: the norms' statistics are
            theirs.
    """
    network.load_state_dict(folded.weights, strict=False)
    norms = dict(network.named_modules())
    hooks = []
    for name, shift in folded.shifts.items():
        norm = norms[name]
        assert isinstance(norm, nn.BatchNorm2d)
        hooks.append(norm.register_forward_pre_hook(partial(_calibrate, shift)))
    mode = network.training
    try:
        # One pass: a norm has its values before anything behind it runs.
        network.eval()(images)
    finally:
        network.train(mode)
        for hook in hooks:
            hook.remove()


def _calibrate(shift: Tensor, norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
    """Set a norm, when its input arrives, to add `shift` and nothing else."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    var, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(var)
    norm.weight.copy_((var + norm.eps).sqrt())
    norm.bias.copy_(mean + shift)
