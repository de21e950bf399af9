"""The network of a training: built, filled with first weights, and wrapped for what it runs on."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from fafnet_core.checkpoints.checkpoint import load_checkpoint, read_metadata
from fafnet_core.checkpoints.pretrained import Images, load_backbone
from fafnet_core.checkpoints.shipped import checkpoint_file
from fafnet_core.datasets.checks import name_some
from fafnet_core.labels import LabelSet
from fafnet_core.labels.mappings import same_names
from fafnet_core.models import FAFNet, FAFNetConfig, build_model
from fafnet_core.models.fafnet import build_empty
from fafnet_core.normalisation import Normalisation
from fafnet_core.training.config import ModelConfig, TrainConfig
from fafnet_core.training.distributed import Processes
from fafnet_core.training.ema import SharedStart


def build_network(config: ModelConfig, num_classes: int, seed: int) -> FAFNet:
    """The network on the CPU, with the weights that this seed gives everywhere.

    Raises:
        ValueError: the configuration names another number of classes.
    """
    torch.manual_seed(seed)
    return build_model(config.network(num_classes))


def fill_network(
    model: FAFNet,
    config: ModelConfig,
    label_set: LabelSet,
    normalisation: Normalisation,
    images: Images | None = None,
) -> str | None:
    """Give a new network the weights that `pretrained` or `init` name; say what was taken.

    Of `init` everything is taken but the classifier. That is taken class by class: those that both
    label sets name start from their old weights, the others stay as they are.

    Args:
        model: the network.
        config: what to take.
        label_set: the network's classes.
        normalisation: of its inputs.
        images: for `load_backbone`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the weights are of another network, or for inputs of another normalisation.
    """
    if config.pretrained is not None:
        return str(load_backbone(model, config.pretrained, images))
    if config.init is None:
        return None
    before = read_metadata(config.init)
    _check_same_network(before.config, model.config, config.init)
    if before.normalisation != normalisation:
        raise ValueError(
            f"model.init {config.init} was trained on inputs of another normalisation:"
            f" {before.normalisation.to_dict()}, not {normalisation.to_dict()}; set the section"
            " normalisation as it was then (default: rgb and hha symmetric)"
        )
    weights = dict(load_checkpoint(config.init).state_dict())
    if before.label_set.names == label_set.names:
        model.load_state_dict(weights)
        return f"{config.init}: all weights taken"
    old_ids = same_names(before.label_set, label_set)
    new, old = list(old_ids.keys()), list(old_ids.values())
    ours = model.state_dict()
    for name in _of_each_class(model.config):
        rows = ours[name].clone()
        rows[new] = weights[name][old]
        weights[name] = rows
    model.load_state_dict(weights)
    return _taken(config.init, label_set, old_ids)


def shared_start(model: FAFNet, config: ModelConfig, label_set: LabelSet) -> SharedStart | None:
    """What `init_share` keeps of a network that `fill_network` has just filled."""
    if config.init is None or not config.init_share:
        return None
    old_ids = same_names(read_metadata(config.init).label_set, label_set)
    anew = set(range(len(label_set))) - old_ids.keys()
    return SharedStart(model, config.init_share, anew, _of_each_class(model.config))


def content_digest(config: ModelConfig) -> str:
    """The SHA-256 of the file that `init` names: a resumed training reads it again."""
    assert config.init is not None
    return hashlib.sha256(checkpoint_file(config.init).read_bytes()).hexdigest()


def _check_same_network(theirs: FAFNetConfig, ours: FAFNetConfig, source: str) -> None:
    """Refuse weights of another network; the number of classes may differ."""
    there, here = theirs.to_dict(), ours.to_dict()
    differ = [name for name in here if name != "num_classes" and there[name] != here[name]]
    if differ:
        named = ", ".join(f"{name} {there[name]} (here {here[name]})" for name in differ)
        raise ValueError(
            f"model.init {source} holds another network: {named}; configure the same one"
            " (`fafnet info` shows what it is made of), or start its backbones from ImageNet"
            " weights (model.pretrained)"
        )


def _of_each_class(config: FAFNetConfig) -> list[str]:
    """The names of the tensors with a row for each class: those that grow with their number."""
    one, two = (
        build_empty(dataclasses.replace(config, num_classes=classes)).state_dict()
        for classes in (1, 2)
    )
    return [name for name, tensor in one.items() if tensor.shape != two[name].shape]


def _taken(source: str, label_set: LabelSet, old_ids: Mapping[int, int]) -> str:
    """What was taken of a network with other classes."""
    old = [name for index, name in enumerate(label_set.names) if index in old_ids]
    new = [name for index, name in enumerate(label_set.names) if index not in old_ids]
    return (
        f"{source}: all weights taken but the classifier's; of its {len(label_set)} classes"
        f" {len(old)} start from their old weights ({name_some(old) or 'none'}), {len(new)} anew"
        f" ({', '.join(new) or 'none'})"
    )


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
