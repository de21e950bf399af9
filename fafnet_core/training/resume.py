"""Checks of a training's folder: nothing is overwritten, and a resumed training is the same one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fafnet_core.training.config import Config
from fafnet_core.training.state import FOLDER, TrainingState, latest_state, read_state

CONFIG = "config.yaml"
LAST = "last.safetensors"

_FREE = ("evaluate", "model.pretrained", "model.init", "data.root", "data.cache", "data.check")
_FREE_OF_TRAIN = (
    *("save_every", "log_every", "validate_every", "keep", "pictures"),
    *("workers", "threads", "compile", "channels_last", "deterministic"),
)
"""Keys that may differ in a resumed training: where data is, when it writes, how fast it is."""

_NOT_FREE = "evaluate.input_size"
"""It is stored with the network, and the best network is chosen at this size."""

_SHOWN = 5


def state_to_resume(config: Config, out: Path, *, resume: bool) -> TrainingState | None:
    """Return the state to go on from; None for a training that begins.

    Raises:
        OSError: the folder holds another training, or none to resume.
        ValueError: the state is damaged, or of another configuration.
    """
    path = _check_folder(out, resume=resume)
    if path is None:
        return None
    state = read_state(path)
    _check_same(config, state, out)
    return state


def _check_folder(out: Path, *, resume: bool) -> Path | None:
    """The newest state, if the training is to be resumed; refuses to overwrite a training."""
    state = latest_state(out)
    if state is None and (out / LAST).exists():
        raise FileExistsError(
            f"{out} holds {LAST} and no state in {out / FOLDER}: there is nothing to resume, and"
            f" {LAST} is not overwritten; use another folder (model.init={out / LAST} starts from"
            f" its weights), or move {LAST} away to start anew here"
        )
    if not resume and state is not None:
        raise FileExistsError(
            f"{out} holds a training of {int(state.stem)} iterations: go on with --resume, or use"
            " another folder"
        )
    if resume and state is None and not (out / CONFIG).is_file():
        raise FileNotFoundError(
            f"{out} holds no training to resume: no state in {out / FOLDER}; leave out --resume to"
            " start one"
        )
    return state


def _check_same(config: Config, state: TrainingState, out: Path) -> None:
    """Refuse to go on with another training than the one that was saved; name the keys."""
    changed = _changes(dict(_flat(state.config)), dict(_flat(config.to_dict())))
    differ = [said for key, said in changed.items() if not _is_free(key)]
    if differ:
        more = f" and {len(differ) - _SHOWN} more" if len(differ) > _SHOWN else ""
        raise ValueError(
            f"{out} was trained with another configuration: {'; '.join(differ[:_SHOWN])}{more}."
            f" Go on with {out / CONFIG}, or begin another training from its weights, with"
            f" model.init={out / LAST}"
        )


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between the notes of two states: versions, processes and frames."""
    before, after = ({**notes, **notes["versions"], "versions": None} for notes in (then, now))
    return list(_changes(before, after).values())


def _changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: f"{key} was {then.get(key)!r}, is {now.get(key)!r}"
        for key in sorted(then.keys() | now.keys())
        if then.get(key) != now.get(key)
    }


def _is_free(key: str) -> bool:
    section, _, name = key.partition(".")
    if section == "train":
        return name in _FREE_OF_TRAIN
    return key != _NOT_FREE and (key in _FREE or section in _FREE)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
