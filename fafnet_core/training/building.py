"""The network of a training: built, filled with first weights, and wrapped for what it runs on."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from fafnet_core.checkpoints.checkpoint import load_checkpoint
from fafnet_core.checkpoints.pretrained import Images, load_backbone
from fafnet_core.models import FAFNet, build_model
from fafnet_core.training.config import ModelConfig, TrainConfig
from fafnet_core.training.distributed import Processes


def build_network(config: ModelConfig, num_classes: int, seed: int) -> FAFNet:
    """The network on the CPU, with the weights that this seed gives everywhere.

    Raises:
        ValueError: the configuration names another number of classes.
    """
    torch.manual_seed(seed)
    return build_model(config.network(num_classes))


def fill_network(model: FAFNet, config: ModelConfig, images: Images | None = None) -> str | None:
    """Give a new network the weights that `pretrained` or `init` name; say what was taken.

    Args:
        model: the network.
        config: what to take.
        images: for `load_backbone`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the weights are of another network.
    """
    if config.pretrained is not None:
        return str(load_backbone(model, config.pretrained, images))
    if config.init is None:
        return None
    first = load_checkpoint(config.init)
    theirs, ours = first.config.to_dict(), model.config.to_dict()
    if theirs != ours:
        differ = ", ".join(
            f"{k} {theirs[k]} (here {ours[k]})" for k in ours if theirs[k] != ours[k]
        )
        raise ValueError(
            f"model.init {config.init} holds another network: {differ}; configure the same one, or"
            " start its backbones from ImageNet weights (model.pretrained)"
        )
    model.load_state_dict(first.state_dict())
    return f"{config.init}: all weights taken"


def place_network(model: FAFNet, config: TrainConfig, own: Processes) -> FAFNet:
    """Put the network where it trains, in training mode; it may be another object afterwards."""
    # PyTorch's has no CPU form: there every process has its own statistics.
    if own.world > 1 and config.sync_batch_norm and own.device.type == "cuda":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    model.to(own.device).train()
    if config.channels_last:
        # PyTorch's type information lacks this form of `to`.
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.freeze_norm:
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
    return model


def wrap_network(model: FAFNet, config: TrainConfig, own: Processes) -> nn.Module:
    """What is called in training; the model itself keeps its names and its plain `forward`."""
    network: nn.Module = model
    if config.compile:
        # Not `model.compile()`: validation has sizes of its own, and runs uncompiled.
        network = torch.compile(network)  # type: ignore[assignment]
    if own.world == 1:
        return network
    return DistributedDataParallel(
        network,
        device_ids=[own.device] if own.device.type == "cuda" else None,
        # The flow convolutions under "zero_flow" have no part in the result.
        find_unused_parameters="zero_flow"
        in (model.config.fusion_alignment, model.config.decoder_alignment),
    )
