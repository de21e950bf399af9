"""Networks small enough for a test, images for them, and their parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from fafnet_core.models import FAFNet, FAFNetConfig
from fafnet_core.models.backbone import Backbone
from fafnet_core.models.encoder import TwoStreamEncoder
from fafnet_core.models.fam import FlowAlignment

TINY = FAFNetConfig(
    num_classes=5,
    backbone="resnet18",
    width_multiplier=1 / 8,
    output_stride=32,
    mlp_reduction=2,
    decoder_channels=16,
)


def images(batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The same colour and HHA images in every call, (batch, 3, height, width)."""
    generator = torch.Generator().manual_seed(1)
    both = torch.randn(2, batch, 3, height, width, generator=generator)
    return both[0], both[1]


def randomise_flows(model: FAFNet, std: float = 0.05) -> FAFNet:
    """Let untrained FAMs move something."""
    for module in model.modules():
        if isinstance(module, FlowAlignment):
            nn.init.normal_(module.conv_flow.weight, std=std)
    return model


def streams(model: FAFNet) -> tuple[Backbone, Backbone]:
    """The backbones of colour and of HHA."""
    assert isinstance(model.encoder, TwoStreamEncoder)
    return model.encoder.rgb_stream, model.encoder.depth_stream


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Fail where the block changes a value of `model`."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    yield
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
