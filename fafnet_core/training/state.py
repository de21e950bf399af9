"""The state of a training on disk: everything that the next iteration depends on, and no more.

A state is one safetensors file in `OUT/states/`, named by its iteration. It is written beside its
place, flushed and renamed, and older ones go only afterwards: whenever a run is killed, a whole
state is there. Nothing in it is ever unpickled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fafnet_core.checkpoints.safetensors_file import check_header
from fafnet_core.files import written_beside

FOLDER = "states"
FORMAT = "1"
_FORMAT_KEY = "fafnet_training_state"
_VALUES_KEY = "values"


@dataclass(frozen=True)
class TrainingState:
    """A training between two iterations. Random numbers are none of it: they follow from the seed.

    Attributes:
        iteration: how many are done.
        model: the network's tensors, each once.
        optimiser: as `torch.optim.Optimizer.state_dict` gives it.
        ema: the averaged network's tensors; empty without.
        scaler: of the loss, for float16; empty without.
        best: the best validation so far: its `iteration` and figures; None before the first.
        figures: the last validation: its `iteration` and figures; empty before the first.
        config: the whole configuration, `Config.to_dict`.
        notes: versions, processes, frames of the data set.
    """

    iteration: int
    model: Mapping[str, Tensor]
    optimiser: Mapping[str, Any]
    ema: Mapping[str, Tensor] = field(default_factory=dict)
    scaler: Mapping[str, Any] = field(default_factory=dict)
    best: Mapping[str, Any] | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def validated(self) -> int:
        """The iteration of the last validation; 0 before the first."""
        return int(self.figures.get("iteration", 0))


def write_state(out: Path, state: TrainingState, keep: int) -> Path:
    """Write a state into `out/states` and remove all but the newest `keep`.

    Raises:
        OSError: it cannot be written, e.g. to a full disk; the older ones are still there.
    """
    folder = out / FOLDER
    path = folder / f"{state.iteration:08d}.safetensors"
    tensors = {f"model.{name}": tensor for name, tensor in state.model.items()}
    tensors.update({f"ema.{name}": tensor for name, tensor in state.ema.items()})
    numbers: dict[str, dict[str, Any]] = {}
    for index, entries in state.optimiser["state"].items():
        numbers[str(index)] = {}
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimiser.{index}.{name}"] = value
            else:
                numbers[str(index)][name] = value
    values = {
        "iteration": state.iteration,
        "optimiser": {"state": numbers, "param_groups": state.optimiser["param_groups"]},
        "scaler": state.scaler,
        "best": state.best,
        "figures": state.figures,
        "config": state.config,
        "notes": state.notes,
    }
    header = {_FORMAT_KEY: FORMAT, _VALUES_KEY: json.dumps(values, allow_nan=False)}
    with written_beside(path) as beside:
        try:
            save_file({n: tensor.contiguous() for n, tensor in tensors.items()}, beside, header)
        except SafetensorError as error:  # its own, for a full disk too
            raise OSError(f"{path} cannot be written: {error}") from error
        # safetensors makes it readable by its writer only.
        beside.chmod(folder.stat().st_mode & 0o666)
        _flush(beside)
    for old in _states(out)[:-keep]:
        old.unlink()
    return path


def latest_state(out: Path) -> Path | None:
    """The newest state of a folder; None where there is none."""
    states = _states(out)
    return states[-1] if states else None


def remove_partial(out: Path) -> None:
    """Remove files that a killed run has left half written."""
    for path in out.rglob(".*.partial"):
        path.unlink()
    # safetensors writes a file of its own first, which it renames to ours.
    for path in (out / FOLDER).glob(".tmp*"):
        path.unlink()


def read_state(path: Path) -> TrainingState:
    """Read what `write_state` wrote; its tensors are on the CPU.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or not a state of this format.
    """
    try:
        check_header(path)
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"{path} is damaged ({error}); remove it, and --resume uses the state before it"
        ) from error
    if header.get(_FORMAT_KEY) != FORMAT:
        raise ValueError(f"{path} is not a training state of format {FORMAT}")
    try:
        return _assemble(json.loads(header[_VALUES_KEY]), tensors)
    except (
        AttributeError,
        KeyError,
        OverflowError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise ValueError(
            f"{path} is damaged ({error!r:.200}); remove it, and --resume uses the state before it"
        ) from error


def _assemble(values: Any, tensors: Mapping[str, Tensor]) -> TrainingState:
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "ema": {}}
    entries: dict[int, dict[str, Any]] = {
        int(index): dict(found) for index, found in values["optimiser"]["state"].items()
    }
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        if part == "optimiser":
            index, _, key = rest.partition(".")
            entries[int(index)][key] = tensor
        else:
            parts[part][rest] = tensor
    return TrainingState(
        iteration=int(values["iteration"]),
        model=parts["model"],
        optimiser={"state": entries, "param_groups": values["optimiser"]["param_groups"]},
        ema=parts["ema"],
        scaler=dict(values["scaler"]),
        best=values["best"],
        figures=dict(values["figures"]),
        config=dict(values["config"]),
        notes=dict(values["notes"]),
    )


def _states(out: Path) -> list[Path]:
    """The states of a folder, oldest first."""
    return sorted(
        path
        for path in (out / FOLDER).glob("*.safetensors")
        if path.stem.isdigit() and path.is_file()
    )


def _flush(path: Path) -> None:
    # Renaming is not enough where the power may fail: the name can reach the disk first.
    with path.open("rb") as file:
        os.fsync(file.fileno())
