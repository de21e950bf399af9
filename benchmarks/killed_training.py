"""A small training in a process of its own that is killed, looked at, and gone on with."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

import cv2
from measuring import from_tests

from fafnet_core.checkpoints.checkpoint import load_checkpoint, read_metadata
from fafnet_core.processes import helper_context
from fafnet_core.training.config import read_config
from fafnet_core.training.folder import BEST
from fafnet_core.training.monitor import LOG, PICTURES
from fafnet_core.training.resume import CONFIG, LAST
from fafnet_core.training.state import FOLDER, latest_state, read_state

SAVE_EVERY = 2

_SETTINGS = """\
model: {preset: fafnet-nano, width_multiplier: 0.125, decoder_channels: 16}
data: {name: synthetic, frames: 4, held_out: 2, width: 64, height: 48, cache: CACHE}
transform: {crop: [33, 33], scale: [0.8, 1.2]}
train:
  iterations: 20
  batch_size: 4
  ema: 0.9
  validate_every: 10
  save_every: 2
  log_every: 1
  workers: 0
  threads: 1
evaluate: {workers: 0}
"""

_IMPORTED = ["fafnet_core.training.loop", "torch.utils.tensorboard", "torch._inductor"]
_EVERY_STATE = ("--set", "train.save_every=1", "--set", "train.keep=100")
_PATIENCE_S = 120.0
_LOOK_EVERY_S = 0.0002
_LONGEST_ITERATION_S = 0.05
_LONGEST_SAVING_S = 0.004

Aim = Literal["starting", "saving", "between"]
AIMS: tuple[Aim, ...] = ("starting", "saving", "saving", "saving", "between", "between")
"""What a kill is aimed at; half are aimed at saving, which takes a small part of the time."""


@dataclass(frozen=True)
class Kill:
    """What one SIGKILL met.

    Attributes:
        moment: what the training was doing, as its files tell.
        states_back: states that were due and are not there: 1 where it was killed before or while
            it wrote one.
        broken: files that cannot be read, or are not those of the uninterrupted training.
    """

    moment: str
    states_back: int
    broken: tuple[str, ...]


def write_settings(folder: Path) -> Path:
    """Write the configuration of the small training; its frames are kept in `folder/cache`."""
    path = folder / "tiny.yaml"
    path.write_text(_SETTINGS.replace("CACHE", str(folder / "cache")))
    return path


def start(settings: Path, out: Path, *options: str) -> BaseProcess:
    """Start `fafnet train --resume` in a process; what it says is in `out.said`."""
    arguments = ["train", str(settings), "--out", str(out), "--device", "cpu", *options]
    if out.exists():
        arguments.append("--resume")
    # Forked from a server that has imported what a training imports: it starts in a moment.
    context = helper_context(_IMPORTED)
    process = context.Process(target=_fafnet, args=(arguments, out.with_suffix(".said")))
    process.start()
    return process


def _fafnet(arguments: list[str], said: Path) -> None:
    from fafnet_core.cli.main import main

    with said.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    sys.exit(main(arguments))


class Uninterrupted:
    """The training that nothing interrupts, with all of its states: what the others have to equal.

    Args:
        folder: gets the configuration, the frames and the training.
        train: trains to the end: settings, folder and options.
    """

    def __init__(self, folder: Path, train: Callable[..., None] | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.settings, self.cache = write_settings(folder), folder / "cache"
        self.out = folder / "whole"
        # Every iteration's: an error leaves one of any.
        (train or finish)(self.settings, self.out, *_EVERY_STATE)
        self._same_bits = from_tests("tiny_training").same_bits

    def kill(self, out: Path, aim: Aim, rng: random.Random) -> Kill | None:
        """Start or resume a training in `out` and kill it; None where it had ended before."""
        before = _logged(out)
        process = start(self.settings, out)
        reached = _moments(out, aim, before, rng)
        while process.is_alive() and next(reached, False) is None:
            time.sleep(_LOOK_EVERY_S)
        process.kill()
        process.join()
        if process.exitcode == 0:
            return None
        if process.exitcode != -9:
            raise RuntimeError(f"it ended by itself: {out.with_suffix('.said').read_text()}")
        return Kill(_moment(out, before), _states_back(out), tuple(self.broken(out)))

    def broken(self, out: Path) -> Iterator[str]:
        """Yield the files of a training that differ from those of this one, or cannot be read."""
        for path in sorted((out / FOLDER).glob("[!.]*")):
            yield from _refused(path, lambda path: self._is_state(path))
        for name in (LAST, BEST):
            yield from _refused(out / name, self._is_network)
        yield from _refused(out / CONFIG, lambda path: read_config(path) is not None)
        for path in sorted((out / PICTURES).glob("[!.]*")):
            yield from _refused(path, lambda path: cv2.imread(str(path)) is not None)

    def differs(self, out: Path) -> str | None:
        """Return how a training that has ended differs from this one; None where it does not."""
        found, wanted = (latest_state(folder) for folder in (out, self.out))
        if found is None or wanted is None or _numbers(found) != _numbers(wanted):
            return "the numbers of the last state"
        if _log(out) != _log(self.out):
            return LOG
        if broken := list(self.broken(out)):
            return ", ".join(broken)
        if left := [path.name for path in out.rglob(".*")]:
            return f"left behind: {', '.join(left)}"
        return None

    def _is_state(self, path: Path) -> bool:
        found, wanted = read_state(path), read_state(self.out / FOLDER / path.name)
        return all(
            self._same_bits(_flat(getattr(found, part)), _flat(getattr(wanted, part)))
            for part in ("model", "ema", "optimiser")
        )

    def _is_network(self, path: Path) -> bool:
        load_checkpoint(path)
        iteration = read_metadata(path).notes["iterations"]
        wanted = read_state(self.out / FOLDER / f"{iteration:08d}.safetensors").ema
        tensors = from_tests("tiny_training").tensors(path)
        return bool(self._same_bits({name: wanted[name] for name in tensors}, tensors))


def finish(settings: Path, out: Path, *options: str) -> None:
    """Start or resume a training and let it end."""
    process = start(settings, out, *options)
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"status {process.exitcode}: {out.with_suffix('.said').read_text()}")


def _moments(out: Path, aim: Aim, before: int, rng: random.Random) -> Iterator[None]:
    """Yield until it is time to kill."""
    if aim == "starting":
        yield from _pass(rng.uniform(0, 0.6))
        return
    progress = rng.randint(1, 5)
    yield from _until(lambda: _logged(out) >= before + progress)
    if aim == "saving":
        yield from _until(lambda: any(_partial(out)))
        yield from _pass(rng.uniform(0, _LONGEST_SAVING_S))
    else:
        yield from _pass(rng.uniform(0, _LONGEST_ITERATION_S))


def _until(happened: Callable[[], bool]) -> Iterator[None]:
    end = time.monotonic() + _PATIENCE_S
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError(f"the training did nothing for {_PATIENCE_S:.0f} s")
        yield


def _pass(seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield


def _moment(out: Path, before: int) -> str:
    """What a training that was killed was doing."""
    if partial := sorted({_written_as(path) for path in _partial(out)}):
        return f"while writing {' and '.join(partial)}"
    newest = latest_state(out)
    if newest is not None and int(newest.stem) != _iterations(out / LAST):
        return "between a state and its network"
    return "between two savings" if _logged(out) > before else "while starting"


def _states_back(out: Path) -> int:
    newest = latest_state(out)
    there = 0 if newest is None else int(newest.stem)
    return max(_logged(out) - there, 0) // SAVE_EVERY


def _partial(out: Path) -> Iterator[Path]:
    for folder in (out / FOLDER, out):
        yield from folder.glob(".*.partial")


def _written_as(path: Path) -> str:
    name = path.name[1:].rpartition(".safetensors")[0]
    return "a state" if name.isdigit() else "a network" if name else "another file"


def _iterations(path: Path) -> int:
    return int(read_metadata(path).notes["iterations"]) if path.exists() else 0


def _logged(out: Path) -> int:
    """Iterations that are in the log."""
    try:
        return (out / LOG).read_bytes().count(b'"kind": "train"')
    except FileNotFoundError:
        return 0


def _log(out: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / LOG).read_text().splitlines()]
    return [{**line, "frames_per_second": None} for line in lines]


def _numbers(path: Path) -> dict[str, Any]:
    """What a state holds beside its tensors, without the configuration and the versions."""
    values: dict[str, Any] = from_tests("tiny_training").numbers(path)
    del values["config"]
    return values


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Return the tensors of nested dictionaries."""
    if isinstance(values, dict):
        parts = [_flat(value, f"{prefix}.{name}") for name, value in values.items()]
        return {name: tensor for part in parts for name, tensor in part.items()}
    return {prefix: values} if hasattr(values, "dtype") else {}


def _refused(path: Path, is_right: Callable[[Path], bool]) -> Iterator[str]:
    """Yield the name of a file that is there and not right."""
    if not path.exists():
        return
    try:
        right = is_right(path)
    except (ValueError, OSError, KeyError, RuntimeError) as error:
        yield f"{path.name} ({error})"
        return
    if not right:
        yield f"{path.name} (other values)"
