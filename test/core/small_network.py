"""A FAFNet that labels a frame in milliseconds."""

from __future__ import annotations

import torch

from fafnet_core.models import FAFNet, FAFNetConfig, build_model


def small_network(num_classes: int, batches: int = 40) -> FAFNet:
    """A network whose batch norms have seen noise, so that its labels vary; in evaluation mode."""
    torch.manual_seed(3)
    model = build_model(
        FAFNetConfig(
            backbone="resnet18",
            width_multiplier=1 / 16,
            output_stride=32,
            decoder_channels=8,
            num_classes=num_classes,
        )
    ).train()
    with torch.no_grad():
        for _ in range(batches):
            model(torch.randn(4, 3, 64, 64), torch.randn(4, 3, 64, 64))
    return model.eval()
