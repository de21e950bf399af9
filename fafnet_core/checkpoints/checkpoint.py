"""Checkpoints: one safetensors file with the weights and everything needed to use them.

The metadata of the file holds, as JSON, the network's configuration, the label set, the input's
normalisation and the size that it was trained at. A tensor with several names is stored under the
first. Nothing is ever unpickled: a file from outside is data, not a program.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from fafnet_core.camera import Size
from fafnet_core.checkpoints.safetensors_file import check_header
from fafnet_core.checkpoints.shipped import checkpoint_file
from fafnet_core.files import written_beside
from fafnet_core.input_size import check_input_size
from fafnet_core.labels import NYU40, LabelSet
from fafnet_core.models.config import FAFNetConfig
from fafnet_core.models.fafnet import FAFNet, build_empty
from fafnet_core.normalisation import Normalisation

FORMAT = "1"
_FORMAT_KEY = "fafnet_format"
_METADATA_KEY = "fafnet"
_MALFORMED = (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True)
class CheckpointMetadata:
    """What a checkpoint says about its weights.

    Attributes:
        config: the network's configuration.
        label_set: the classes of its outputs.
        normalisation: of its inputs in training.
        notes: free entries (how it was trained, versions, figures); plain JSON values.
        input_size: (height, width) of its training, which frames are brought to; None, as where a
            file has none: every frame keeps its own.

    Raises:
        ValueError: the label set or the input size is not one for this network.
    """

    config: FAFNetConfig
    label_set: LabelSet = NYU40
    normalisation: Normalisation = field(default_factory=Normalisation)
    notes: dict[str, Any] = field(default_factory=dict)
    input_size: Size | None = None

    def __post_init__(self) -> None:
        if self.config.num_classes != len(self.label_set):
            raise ValueError(
                f"the network has {self.config.num_classes} classes, but label set"
                f" '{self.label_set.name}' names {len(self.label_set)}; give the label set that"
                " the network was built for"
            )
        # JSON has lists.
        size = check_input_size(self.config, self.input_size)
        object.__setattr__(self, "input_size", size)

    def to_json(self) -> str:
        """Return the text that goes into the file.

        Raises:
            ValueError: the notes hold what JSON does not.
        """
        values = {
            "config": self.config.to_dict(),
            "label_set": self.label_set.to_dict(),
            "normalisation": self.normalisation.to_dict(),
            "notes": self.notes,
            "input_size": self.input_size,
        }
        try:
            return json.dumps(values, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"notes take text, finite numbers, true, false, null, and lists and dictionaries of"
                f" them: {error}"
            ) from error

    @classmethod
    def from_json(cls, text: str) -> CheckpointMetadata:
        """Read what `to_json` wrote; ValueError where it does not fit."""
        try:
            values = json.loads(text)
            return cls(
                config=FAFNetConfig.from_dict(values["config"]),
                label_set=LabelSet.from_dict(values["label_set"]),
                normalisation=Normalisation.from_dict(values["normalisation"]),
                notes=dict(values.get("notes", {})),
                input_size=values.get("input_size"),
            )
        except _MALFORMED as error:
            raise ValueError(f"its metadata does not fit this version: {error}") from error


def save_checkpoint(
    path: str | Path,
    model: FAFNet,
    *,
    label_set: LabelSet = NYU40,
    normalisation: Normalisation | None = None,
    notes: dict[str, Any] | None = None,
    half: bool = False,
    input_size: Size | None = None,
) -> None:
    """Write weights, configuration, label set and what belongs to the input to a safetensors file.

    The file is written under another name and renamed, so an interrupted save loses nothing.

    Args:
        path: the file.
        model: the network, in float32.
        label_set, normalisation, notes, input_size: as of `CheckpointMetadata`.
        half: store the weights of convolutions and linear layers in float16, which halves the
            file; they are float32 again when it is loaded. Norms stay float32: a variance may be
            outside the range of float16.

    Raises:
        ValueError: not a FAFNet, or one that its configuration would not build (in half precision,
            with other modules); a weight is too large for float16; or the label set, the notes or
            the input size do not fit.
    """
    model = getattr(model, "_orig_mod", model)  # torch.compile's wrapper renames every tensor
    if not isinstance(model, FAFNet):
        raise ValueError(f"only a FAFNet can be saved, not a {type(model).__name__}")
    input_size = check_input_size(model.config, input_size, divisor=model.input_divisor)
    metadata = CheckpointMetadata(
        model.config, label_set, normalisation or Normalisation(), notes or {}, input_size
    )
    header = {_FORMAT_KEY: FORMAT, _METADATA_KEY: metadata.to_json()}
    tensors = _storable_tensors(model)
    if half:
        tensors = {name: _halved(name, tensor) for name, tensor in tensors.items()}
    content = save(tensors, header)
    with written_beside(path) as beside:
        # Not safetensors' own save_file, which makes the file readable by nobody else.
        beside.write_bytes(content)


def read_metadata(path: str | Path) -> CheckpointMetadata:
    """Read what a checkpoint says about itself, without its weights.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint of this project, or one of a newer format.
    """
    path = checkpoint_file(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no checkpoint at {path}: give a .safetensors file, a folder with one,"
            " hf://owner/name, or default"
        )
    try:
        check_header(path)
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a safetensors file, or it is cut short ({error}); pickled files"
            " (.pth, .pt) are not read, because they can run code"
        ) from error
    if header.get(_FORMAT_KEY) != FORMAT:
        raise ValueError(
            f"{path} is not a fafnet checkpoint of format {FORMAT} (it says"
            f" {header.get(_FORMAT_KEY)!r}); write one with fafnet_core.save_checkpoint"
        )
    try:
        return CheckpointMetadata.from_json(header.get(_METADATA_KEY, ""))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def load_checkpoint(path: str | Path, device: str | torch.device = "cpu") -> FAFNet:
    """Return the checkpoint's network, in evaluation mode; its configuration is `.config`.

    Args:
        path: a file, a folder, "hf://owner/name" or "default".
        device: where to put it.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint, or its weights do not fit its configuration.
        OSError: the Hub cannot be reached.
    """
    path = checkpoint_file(path)
    model = build_empty(read_metadata(path).config)
    try:
        model.load_state_dict(_read_state(path, model), assign=True)
    except (RuntimeError, SafetensorError) as error:
        raise ValueError(f"{path}: its weights do not fit its configuration: {error}") from error
    return model.eval().to(device)


def repeated_names(model: nn.Module) -> dict[str, str]:
    """Every name under which the state of `model` repeats a tensor, with its first name.

    Modules that two parents share, as the release's shortcuts, have two names and one tensor.
    """
    first: dict[int, str] = {}
    again = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        known_as = first.setdefault(id(tensor), name)
        if known_as != name:
            again[name] = known_as
    return again


def _storable_tensors(model: FAFNet) -> dict[str, Tensor]:
    """The tensors of a checkpoint; ValueError where `load_checkpoint` would refuse them.

    Better now than when the network that was trained is gone.
    """
    state, again = model.state_dict(), repeated_names(model)
    empty = build_empty(model.config)
    wanted = empty.state_dict()
    if again != repeated_names(empty):
        raise ValueError("the network shares tensors that its configuration does not share")
    if strange := state.keys() ^ wanted.keys():
        raise ValueError(
            "the network is not as its configuration would build it:"
            f" {', '.join(sorted(strange)[:3])} should, or should not, be there"
        )
    for name, tensor in state.items():
        if tensor.shape != wanted[name].shape or tensor.dtype != wanted[name].dtype:
            raise ValueError(
                f"{name} is {tensor.dtype} {tuple(tensor.shape)}, wanted {wanted[name].dtype}"
                f" {tuple(wanted[name].shape)}; a checkpoint holds the network of its configuration"
                " in float32 (model.float())"
            )
        if tensor.is_meta:
            raise ValueError(f"{name} has no values: the network is on PyTorch's meta device")
    return {name: tensor.contiguous() for name, tensor in state.items() if name not in again}


def _halved(name: str, tensor: Tensor) -> Tensor:
    if tensor.ndim < 2 or tensor.dtype != torch.float32:
        return tensor
    half = tensor.half()
    if not torch.equal(half.isfinite(), tensor.isfinite()):
        raise ValueError(f"{name} has a weight that float16 cannot hold; save it without half=True")
    return half


def _read_state(path: Path, model: FAFNet) -> dict[str, Tensor]:
    """The tensors of a file, in the model's types, under all of the names that each has there."""
    wanted = model.state_dict()
    with safe_open(path, framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, tensor in state.items():
        dtype = wanted[name].dtype if name in wanted else tensor.dtype
        if (tensor.dtype, dtype) == (torch.float16, torch.float32):
            state[name] = tensor.float()  # stored with `half`
        elif tensor.dtype != dtype:
            raise ValueError(
                f"{path}: {name} is {tensor.dtype}, not {dtype}; save the network in float32,"
                " `precision` chooses the arithmetic when it is loaded"
            )
    for name, known_as in repeated_names(model).items():
        if name in state:
            raise ValueError(f"{path}: {name} is {known_as} again; a checkpoint holds it once")
        if known_as in state:
            state[name] = state[known_as]
    return state
