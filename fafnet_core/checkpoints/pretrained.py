"""ImageNet weights for the backbones: both streams start from the same ones (section 4.2).

Read are torchvision's files of its ResNets and MobileNetV2, files of ResNets' deep-stem form (v1c),
timm's of its networks, files with norms folded in (`folded.py`), and repositories of the Hub. A
pickled file is read as tensors and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from fafnet_core.checkpoints.folded import FoldedWeights, folded_weights, load_folded
from fafnet_core.checkpoints.location import CHECKPOINT, resolve
from fafnet_core.checkpoints.torch_file import read_content
from fafnet_core.models.backbone import Backbone
from fafnet_core.models.config import RESNETS, Modality
from fafnet_core.models.encoder import OneStreamEncoder, TwoStreamEncoder
from fafnet_core.models.fafnet import FAFNet
from fafnet_core.models.mobilenet import MobileNet
from fafnet_core.models.resnet import ResNet
from fafnet_core.models.timm_backbone import TimmBackbone

_FILENAMES = (CHECKPOINT, "pytorch_model.bin")
_WRAPPERS = ("state_dict", "model", "model_state", "state_dict_ema")
_COUNTER = "num_batches_tracked"
"""Of a batch norm; old files lack it, and nothing depends on it."""

_SHOWN = 6

Images = Callable[[], Mapping[str, Tensor]]
"""Gives some normalised images of each modality, "rgb" and "hha", both (B, 3, H, W)."""


@dataclass(frozen=True)
class LoadReport:
    """What `load_backbone` took and what it did not; `str()` of it is for people.

    Attributes:
        source: the file, folder or repository.
        streams: the streams that were filled.
        taken: names in each stream that have the file's values now.
        left: names in the file that are not in the backbone, such as a classifier's.
        kept: names in each stream that are not in the file: counters, on which nothing depends.
    """

    source: str
    streams: tuple[str, ...]
    taken: tuple[str, ...]
    left: tuple[str, ...]
    kept: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.source}: {len(self.taken)} tensors taken into {' and '.join(self.streams)};"
            f" left in the file: {_listed(self.left)}; kept as they were: {_listed(self.kept)}"
        )


def load_backbone(model: FAFNet, source: str | Path, images: Images | None = None) -> LoadReport:
    """Fill the backbone of each stream with the same ImageNet weights, or change nothing.

    Args:
        model: the network; the rest of it stays as it is.
        source: a safetensors or a PyTorch file, a folder with `model.safetensors` or
            `pytorch_model.bin`, or "hf://owner/name". One or two outer modules before all names
            ("module.", "model.backbone.") do not matter, nor does a classifier.
        images: what the streams will see. Needed only for files whose norms are folded into the
            convolutions: the new norms take their statistics (see `load_folded`).

    Raises:
        FileNotFoundError: no such file.
        ValueError: it cannot be read as plain weights, or is of another network; the message says
            of which ResNet.
        OSError: the Hub cannot be reached.
    """
    model = getattr(model, "_orig_mod", model)  # torch.compile's wrapper
    config = model.config
    if config.width_multiplier != 1:
        raise ValueError(
            "ImageNet weights are for backbones of width_multiplier 1; this one has"
            f" {config.width_multiplier:g}: build it with 1, or train from random weights"
        )
    streams = _streams(model)
    first = next(iter(streams.values()))
    state = _read(resolve(source, _FILENAMES))
    match = _match(first, state)
    _check_values(str(source), match.values | match.beyond)
    folded = folded_weights(first, match.values | match.beyond)
    taken, kept = match.values, [name for name in first.state_dict() if name not in match.values]
    if folded is None:
        _check_fit(str(source), config.backbone, first, match, state)
        for stream in streams.values():
            stream.load_state_dict(match.values, strict=False)
    else:
        _load_folded(streams, config.modality, str(source), folded, images)
        taken, kept = match.values | match.beyond, []
    return LoadReport(
        source=str(source) if folded is None else f"{source} (norms put back)",
        streams=tuple(streams),
        taken=tuple(taken),
        left=tuple(match.left),
        kept=tuple(kept),
    )


def _load_folded(
    streams: Mapping[str, Backbone],
    modality: Modality,
    source: str,
    folded: FoldedWeights,
    images: Images | None,
) -> None:
    if images is None:
        raise ValueError(
            f"{source} has the norms folded into its convolutions: they are put back by running"
            " some images, so give load_backbone its `images`"
        )
    wanted = next(iter(streams.values())).state_dict()
    shifts = {f"{norm}.bias": shift for norm, shift in folded.shifts.items()}
    if problem := _unlike(folded.weights | shifts, wanted):
        raise ValueError(f"{source} does not fit the backbone: {problem}")
    seen = images()
    for name, stream in streams.items():
        sees_depth = name == "depth_stream" or modality == "hha"
        load_folded(stream, folded, seen["hha" if sees_depth else "rgb"])


def _streams(model: FAFNet) -> dict[str, Backbone]:
    encoder = model.encoder
    if isinstance(encoder, TwoStreamEncoder):
        return {"rgb_stream": encoder.rgb_stream, "depth_stream": encoder.depth_stream}
    assert isinstance(encoder, OneStreamEncoder)
    return {"stream": encoder.stream}


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, by name."""
    content = read_content(path, before_zip=True)
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    tensors = content if isinstance(content, dict) else {}
    tensors = {str(name): value for name, value in tensors.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"{path} holds no weights: wanted a state_dict, names with their tensors")
    return tensors


@dataclass
class _Match:
    """The tensors of a file against the names of a backbone.

    Attributes:
        whole: the prefixes under which the file has all of the backbone.
        values: under the backbone's names.
        left: names that have nothing to do with the backbone.
        beyond: tensors of its parts that it does not have, under its names: it is a smaller
            network, another, or the file's norms are folded in.
    """

    whole: list[str]
    values: dict[str, Tensor]
    left: list[str]
    beyond: dict[str, Tensor]


def _match(stream: nn.Module, state: Mapping[str, Tensor]) -> _Match:
    own = stream.state_dict()
    # Tables that timm wrote into its files once and makes anew now.
    tables = {name for name, _ in stream.named_buffers()} - set(own)
    needed = {name for name in own if not name.endswith(_COUNTER)}
    places: dict[str, str] = {}
    whole = []
    for prefix in _prefixes(state):
        bare = [name.removeprefix(prefix) for name in state if name.startswith(prefix)]
        found = {prefix + name: place for name, place in _places(stream, bare).items()}
        if len(own.keys() & found.values()) > len(own.keys() & places.values()):
            places = found
        if needed <= set(found.values()):
            whole.append(prefix)
    return _Match(
        whole=whole,
        values={place: state[name] for name, place in places.items() if place in own},
        left=[name for name in state if name not in places or places[name] in tables],
        beyond={
            place: state[name]
            for name, place in places.items()
            if place not in own and place not in tables
        },
    )


def _places(stream: nn.Module, names: Iterable[str]) -> dict[str, str]:
    """Where each name would be in the stream, whether it is there or not."""
    if isinstance(stream, (TimmBackbone, MobileNet)):
        return stream.own_names(names)
    parts = {part for part, _ in stream.named_children()}
    return {name: name for name in names if name.partition(".")[0] in parts}


def _prefixes(names: Iterable[str]) -> list[str]:
    """All that may stand before a backbone's names: one or two outer modules, or nothing."""
    found = {""}
    for name in names:
        parts = name.split(".")
        found.update(".".join(parts[:depth]) + "." for depth in (1, 2) if len(parts) > depth)
    return sorted(found, key=lambda prefix: (len(prefix), prefix))


def _check_fit(
    source: str, backbone: str, stream: nn.Module, match: _Match, state: Mapping[str, Tensor]
) -> None:
    if len(match.whole) > 1:
        raise ValueError(
            f"{source} has {len(match.whole)} such networks, under {_listed(match.whole)}: give a"
            " file with one of them"
        )
    if problems := _problems(stream, match):
        resnet = _resnet_of(state)
        if resnet is not None and resnet != backbone:
            raise ValueError(
                f"{source} has the weights of {resnet}, but the network has {backbone}: build it"
                f" with backbone {resnet}, or give a file for {backbone}"
            )
        raise ValueError(
            f"{source} does not fit the backbone {backbone}: {'; '.join(problems)}; its tensors are"
            f" {_listed(state)}"
        )


def _problems(stream: nn.Module, match: _Match) -> list[str]:
    """Why the tensors are not those of the stream; empty where they are."""
    wanted, values = stream.state_dict(), match.values
    missing = [name for name in wanted if name not in values and not name.endswith(_COUNTER)]
    problems = []
    if missing:
        problems.append(f"{len(missing)} of {len(wanted)} are not in it ({_listed(missing)})")
    if match.beyond:
        problems.append(f"it has {len(match.beyond)} more ({_listed(match.beyond)})")
    if unlike := _unlike(values, wanted):
        problems.append(unlike)
    return problems


def _unlike(values: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str | None:
    """Which have another shape, or are whole numbers where others are not; None: none."""

    def kind(tensor: Tensor) -> tuple[object, ...]:
        return tensor.is_floating_point(), *tensor.shape

    names = [name for name in values if kind(values[name]) != kind(wanted[name])]
    if not names:
        return None
    came, other = (f"{t.dtype} {tuple(t.shape)}" for t in (values[names[0]], wanted[names[0]]))
    return f"{len(names)} have another shape or type ({names[0]} is {came}, wanted {other})"


def _check_values(source: str, values: Mapping[str, Tensor]) -> None:
    for name, tensor in values.items():
        if tensor.is_nested or tensor.layout != torch.strided or tensor.is_meta:
            raise ValueError(f"{source}: {name} is a sparse, nested or empty kind of tensor")
        if tensor.is_floating_point() and not tensor.float().isfinite().all():
            raise ValueError(f"{source}: {name} has values that are not finite")


def _resnet_of(state: Mapping[str, Tensor]) -> str | None:
    """Which of the ResNets the tensors are of; None for another network."""
    for name in RESNETS:
        with torch.device("meta"):
            network = ResNet(name)
        if not _problems(network, _match(network, state)):
            return name
    return None


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "nothing") + more
