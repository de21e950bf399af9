"""Networks of the authors' code: their names and tensors become ours.

`release_file.py` reads their files, `variants.py` has what their network computes. Two differences
are handled here only: their lateral convolutions have a bias in front of a batch norm, and their
decoder's flow convolutions take the coarse map first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fafnet_core.checkpoints.checkpoint import repeated_names
from fafnet_core.labels import NYU40, SUN37, LabelSet
from fafnet_core.models.config import FAFNetConfig
from fafnet_core.models.fafnet import FAFNet, build_empty
from fafnet_core.normalisation import Normalisation

LABEL_SETS: Mapping[int, LabelSet] = {len(labels): labels for labels in (NYU40, SUN37)}
"""The label sets of their experiments, by the number of classes."""

NORMALISATION = Normalisation(hha_mean=(0.0, 0.0, 0.0), hha_deviation=(1.0, 1.0, 1.0))
"""What their inputs go through: colour has ImageNet's, HHA is only divided by 255."""

_BACKBONES = {6: "resnet50_v1c", 23: "resnet101_v1c", 36: "resnet152_v1c"}
"""By the number of blocks in the third stage."""

_RENAMED = (
    (r"encoder\.rgb_stream\.", "backbone."),
    (r"encoder\.depth_stream\.(layer\d\.\d+\.)?", r"backbone.\1hha_"),
    *(
        (rf"encoder\.fuse{block + 1}\.{ours}\.", f"backbone.sagates.{block}.{theirs}.")
        for block in range(4)
        for ours, theirs in (
            (r"acfm\.mlp_rgb", "fsp1.filter.fc"),
            (r"acfm\.mlp_depth", "fsp2.filter.fc"),
            (r"align_depth\.conv_flow", "flow_make2"),
        )
    ),
    (r"decoder\.context\.branches\.", "head.ppm.stages."),
    (r"decoder\.context\.bottleneck\.", "head.ppm.bottleneck."),
    (r"decoder\.laterals\.", "head.fpn_in."),
    (r"decoder\.align\.(\d)\.conv_i\.", r"head.fpn_out_align.\1.down_l."),
    (r"decoder\.align\.(\d)\.conv_j\.", r"head.fpn_out_align.\1.down_h."),
    (r"decoder\.align\.(\d)\.conv_flow\.", r"head.fpn_out_align.\1.flow_make."),
    (r"decoder\.join\.levels\.(\d)\.", r"head.fpn_out.\1.0."),
    (r"decoder\.join\.classifier\.([01])\.", r"head.conv_last.0.\1."),
    (r"decoder\.join\.classifier\.3\.", "head.conv_last.1."),
)
"""Patterns of our names, each with what the authors have in its place."""

_CLASSIFIER = "head.conv_last.1.weight"
_LATERAL_BIAS = {
    f"decoder.laterals.{level}.1.running_mean": f"head.fpn_in.{level}.0.bias" for level in range(3)
}
"""Their biases, by our running mean that takes them in."""

_DECODER_FLOW = re.compile(r"decoder\.align\.\d\.conv_flow\.weight")

_NEVER_USED = frozenset(f"backbone.sagates.{block}.flow_make.weight" for block in range(4))
"""Flow convolutions that their network has and never calls."""


@dataclass(frozen=True)
class Converted:
    """A network with their weights.

    Attributes:
        model: in evaluation mode, on the CPU, float32.
        label_set: the classes of its outputs.
        taken: number of tensors that the network was made from.
        ignored: names of tensors that their network never uses.
    """

    model: FAFNet
    label_set: LabelSet
    taken: int
    ignored: tuple[str, ...]


def convert_release(state: Mapping[str, Tensor], label_set: LabelSet | None = None) -> Converted:
    """Build `FAFNetConfig(variant="release")` with the weights of the authors' code.

    The state tells the depth of the backbone and the number of classes. Names may begin with
    `module.`, as a network in `DataParallel` has them. The tensors are copied.

    Args:
        state: names and tensors of their network; of any floating-point type.
        label_set: what the classes have to be; None: NYU40 for 40 of them, SUN37 for 37.

    Raises:
        ValueError: names are missing or unknown, shapes or values do not fit, or the classes are
            others.
    """
    state = _without_prefix(state)
    classes = _classes(state, label_set)
    config = FAFNetConfig(variant="release", backbone=_backbone(state), num_classes=len(classes))
    model = build_empty(config)
    wanted = model.state_dict()
    again = repeated_names(model)
    source = _sources(state, wanted, again)
    _check_names(state, {*source.values(), *_LATERAL_BIAS.values()})
    # All shapes before any value: a file that does not fit is refused before it is copied.
    for name, tensor in wanted.items():
        _check_kind(source[name], state[source[name]], tensor)
    for mean, bias in _LATERAL_BIAS.items():
        _check_kind(bias, state[bias], wanted[mean])

    converted = {n: _copied(source[n], state[source[n]], like) for n, like in wanted.items()}
    for name, first in again.items():
        if not torch.equal(converted[name], converted[first]):
            raise ValueError(
                f"{source[name]} and {source[first]} differ; in the authors' code they are one"
                " module, so this is not a state that it wrote"
            )
    for mean, bias in _LATERAL_BIAS.items():
        # conv + bias - mean = conv - (mean - bias). In training the batch's own mean takes the
        # bias away; all that is lost is the weight decay of a bias without effect.
        converted[mean] -= _copied(bias, state[bias], wanted[mean])
    for name in filter(_DECODER_FLOW.fullmatch, wanted):
        # They join coarse and fine; eq. 10 joins X_i and X_j, which are fine and coarse.
        coarse, fine = converted[name].chunk(2, dim=1)
        converted[name] = torch.cat((fine, coarse), dim=1)
    model.load_state_dict(converted, assign=True)
    ignored = tuple(sorted(_NEVER_USED & state.keys()))
    return Converted(model.eval(), classes, len(state) - len(ignored), ignored)


def _without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise ValueError(
                f"not the state of a network: {name!r:.100} is a {type(tensor).__name__}, not a"
                " tensor"
            )
        if tensor.is_nested or tensor.layout != torch.strided or tensor.is_meta:
            raise ValueError(f"{name} is a sparse, nested or empty kind of tensor, not a plain one")
    prefix = "module." if all(name.startswith("module.") for name in state) else ""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}


def _classes(state: Mapping[str, Tensor], wanted: LabelSet | None) -> LabelSet:
    classifier = state.get(_CLASSIFIER)
    if classifier is None or classifier.dim() == 0:
        raise ValueError(f"not a network of the authors' code: it has no {_CLASSIFIER}")
    count = classifier.shape[0]
    found = LABEL_SETS.get(count)
    if found is None:
        known = " or ".join(f"{len(labels)} ({labels.name})" for labels in LABEL_SETS.values())
        raise ValueError(f"its classifier has {count} classes; known are {known}")
    if wanted is not None and wanted != found:
        raise ValueError(
            f"its classifier has {count} classes ({found.name}), not {len(wanted)} ({wanted.name})"
        )
    return found


def _backbone(state: Iterable[str]) -> str:
    blocks = {found[1] for name in state if (found := re.match(r"backbone\.layer3\.(\d+)\.", name))}
    if len(blocks) not in _BACKBONES:
        raise ValueError(
            f"not a network of the authors' code: backbone.layer3 has {len(blocks)} blocks; known"
            f" are {', '.join(f'{count} ({name})' for count, name in _BACKBONES.items())}"
        )
    return _BACKBONES[len(blocks)]


def _sources(
    state: Mapping[str, Tensor], names: Iterable[str], again: Mapping[str, str]
) -> dict[str, str]:
    """The authors' name of each of our tensors.

    Of a module with two names the state may have either, as `safetensors.torch.save_model` keeps
    one of them.
    """
    source = {name: _their_name(name) for name in names}
    for name, first in again.items():
        if source[name] not in state:
            source[name] = source[first]
        elif source[first] not in state:
            source[first] = source[name]
    return source


def _their_name(name: str) -> str:
    for ours, theirs in _RENAMED:
        if re.match(ours, name):
            return re.sub(ours, theirs, name, count=1)
    raise AssertionError(f"{name} has no counterpart in the authors' code")


def _check_names(state: Mapping[str, Tensor], wanted: set[str]) -> None:
    missing = sorted(wanted - state.keys())
    unexpected = sorted(state.keys() - wanted - _NEVER_USED)
    complaints = [
        f"{len(names)} {what} ({', '.join(f'{n!r:.100}' for n in names[:3])}"
        f"{', ...' if names[3:] else ''})"
        for names, what in ((missing, "missing"), (unexpected, "unknown"))
        if names
    ]
    if complaints:
        raise ValueError(f"not the names of the authors' network: {', '.join(complaints)}")


def _check_kind(name: str, tensor: Tensor, wanted: Tensor) -> None:
    if tensor.shape != wanted.shape:
        raise ValueError(f"{name} is {tuple(tensor.shape)}, wanted {tuple(wanted.shape)}")
    fits = (
        tensor.is_floating_point() if wanted.is_floating_point() else tensor.dtype == wanted.dtype
    )
    if not fits:
        raise ValueError(f"{name} is {tensor.dtype}, wanted {wanted.dtype}")


def _copied(name: str, tensor: Tensor, like: Tensor) -> Tensor:
    tensor = tensor.detach().to("cpu", like.dtype, copy=True, memory_format=torch.contiguous_format)
    if not tensor.isfinite().all():
        raise ValueError(f"{name} has values that are not finite")
    return tensor
