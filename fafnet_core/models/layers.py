"""Small pieces that several parts of the networks are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def conv_bn_relu(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    relu: type[nn.ReLU | nn.ReLU6] = nn.ReLU,
) -> nn.Sequential:
    """A convolution without bias, batch norm, ReLU; padded so that stride 1 keeps the size."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(out_channels),
        relu(inplace=True),
    )


def added_to(x: Tensor, y: Tensor) -> Tensor:
    """x + y, written into `x` where no gradient is wanted: `x` must be a result of our own.

    New memory for sums was a tenth of a ResNet's time on a CPU. In training `x` stays as it is,
    for hooks that keep it. Not for the inputs and outputs of an ACFM or a FAM: those are maps that
    people look at, in inference too.
    """
    return x + y if torch.is_grad_enabled() else x.add_(y)


def initialise_convolutions(network: nn.Module) -> None:
    """Kaiming's normal initialisation of all convolutions, as in torchvision."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
