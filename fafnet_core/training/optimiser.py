"""The optimiser and its groups of parameters.

The paper names none; its release takes SGD with momentum 0.9 and weight decay 5e-4 on every
parameter, which is the default here too. `norm_weight_decay: 0` takes the decay from norm layers
and biases. AdamW is what transformer backbones are trained with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import nn

from fafnet_core.settings import FieldError, check_fields

OptimiserKind = Literal["sgd", "adamw"]
Share = Annotated[float, "0 <= x < 1"]
NotNegative = Annotated[float, "0 <= x"]

_BACKBONES = ("rgb_stream", "depth_stream", "stream")
"""What an encoder calls its backbones."""

_RATE_FACTOR = "rate_factor"


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """How gradients become new weights; the learning rate itself is the schedule's.

    Attributes:
        kind: "sgd" or "adamw".
        momentum: of SGD, 0 <= momentum < 1.
        nesterov: Nesterov's form of the momentum.
        betas: decay of AdamW's two averages.
        weight_decay: of all parameters, 0 or more.
        norm_weight_decay: of what has one dimension or none, which is the scales and shifts of
            norm layers and all biases; None: `weight_decay`.
        backbone_rate: the backbones' learning rate, as a multiple of the schedule's; they start
            from ImageNet's weights, the rest from nothing. 0 leaves their weights as they are.
    """

    kind: OptimiserKind = "sgd"
    momentum: Share = 0.9
    nesterov: bool = False
    betas: tuple[Share, Share] = (0.9, 0.999)
    weight_decay: NotNegative = 5e-4
    norm_weight_decay: NotNegative | None = None
    backbone_rate: NotNegative = 1.0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.nesterov and not self.momentum:
            raise FieldError("nesterov", "nesterov is true, and needs a momentum above 0")


def build_optimiser(model: nn.Module, config: OptimiserConfig) -> torch.optim.Optimizer:
    """Build the optimiser of a network; its rate is 0 until `set_learning_rate` sets it.

    Every parameter is in exactly one group, a shared one too; those that never get a gradient
    (the flow convolutions under "zero_flow", frozen ones) are left as they are.

    Args:
        model: a FAFNet, or any module; `backbone_rate` is for the streams of a FAFNet's encoder.
        config: kind and numbers.

    Raises:
        ValueError: `backbone_rate` for a network that has no such streams.
    """
    groups = _groups(model, config)
    if config.kind == "adamw":
        return torch.optim.AdamW(groups, lr=0.0, betas=config.betas)
    return torch.optim.SGD(groups, lr=0.0, momentum=config.momentum, nesterov=config.nesterov)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of every group of an optimiser of `build_optimiser`, times its own factor."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group[_RATE_FACTOR]


def _groups(model: nn.Module, config: OptimiserConfig) -> list[dict[str, Any]]:
    """The parameters by learning rate and weight decay, in the order of the network."""
    norm_decay = config.norm_weight_decay
    if norm_decay is None:
        norm_decay = config.weight_decay
    of_backbone = {id(parameter) for parameter in _backbone_parameters(model)}
    if config.backbone_rate != 1 and not of_backbone:
        raise ValueError(
            f"backbone_rate is {config.backbone_rate}, but {type(model).__name__} has no backbone"
            f" called {', '.join(f'encoder.{name}' for name in _BACKBONES)}; leave it at 1"
        )
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():  # a shared parameter comes once
        factor = config.backbone_rate if id(parameter) in of_backbone else 1.0
        decay = norm_decay if parameter.dim() <= 1 else config.weight_decay
        groups.setdefault((factor, decay), []).append(parameter)
    return [
        {"params": parameters, _RATE_FACTOR: factor, "weight_decay": decay}
        for (factor, decay), parameters in groups.items()
    ]


def _backbone_parameters(model: nn.Module) -> Iterator[nn.Parameter]:
    encoder = getattr(model, "encoder", None)
    for name in _BACKBONES:
        stream = getattr(encoder, name, None)
        if isinstance(stream, nn.Module):
            yield from stream.parameters()
