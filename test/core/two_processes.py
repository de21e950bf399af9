"""What test_training_distributed.py starts under torchrun, in two processes: trainings by name."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from tiny_training import Squares, SquaresData, tiny_config

from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset, Split
from fafnet_core.training.config import Config
from fafnet_core.training.distributed import Processes, processes
from fafnet_core.training.loop import Trainer
from fafnet_core.training.schedule import ScheduleConfig

_FIXED: dict[str, Any] = {
    "iterations": 2,
    "validate_every": 2,
    "schedule": ScheduleConfig(kind="constant", rate=0.05, warmup=0.0),
    "freeze_norm": True,
}


def configurations() -> dict[str, Config]:
    """Trainings that two processes and one have to make alike."""
    zero = {"fusion_alignment": "zero_flow", "decoder_alignment": "zero_flow"}
    return {
        "whole": tiny_config(None, {"dropout": 0.0}, **_FIXED, ema=0.9),
        # One frame to validate: the second process has none to score.
        "accumulated": tiny_config(
            SquaresData(val=1), {"dropout": 0.0, **zero}, **_FIXED, accumulate=2
        ),
    }


def main(out: Path) -> None:
    with processes("cpu") as own:
        torch.set_num_threads(1)
        for name, config in configurations().items():
            Trainer(config, out / name, own, progress=False).run()
        _stop(out / "stopped", own)
        _diverge(out / "diverged", own)
        _damage(out / "damaged", own)
        _leave(out / "left", own)


def _stop(out: Path, own: Processes) -> None:
    """Only the second process gets the signal; both have to leave after the same iteration."""
    data = SquaresData() if own.is_first else SquaresData.signalling("train", 1)
    # One frame for each process: enough for batch norms that are frozen.
    config = tiny_config(data, batch_size=2, freeze_norm=True)
    outcome = Trainer(config, out, own, progress=False).run()
    (out / f"outcome-{own.rank}").write_text(f"{outcome.iteration} {outcome.stopped_by}")


def _diverge(out: Path, own: Processes) -> None:
    config = tiny_config(schedule=ScheduleConfig(rate=1e9, warmup=0.0), validate_every=0)
    try:
        Trainer(config, out, own, progress=False).run()
    except ValueError as error:
        (out / f"error-{own.rank}").write_text(str(error))


class _Broken(Squares):
    """As `Squares`, but the fourth batch of two cannot be read, or ends its process."""

    def __init__(self, *, dies: bool) -> None:
        super().__init__(10, seed=1)
        self._dies = dies

    def read(self, index: int) -> RgbdSample:
        if self.reads == 7:
            if self._dies:
                os._exit(0)
            raise ValueError("label/3.png is cut short")
        return super().read(index)


class _BrokenData(SquaresData):
    """The data of the second process; `dies`: whether it ends there."""

    dies = False

    def open(self, split: Split) -> RgbdSegmentationDataset:
        return _Broken(dies=self.dies) if split == "train" else super().open(split)


def _fail(out: Path, own: Processes, data: SquaresData) -> None:
    config = tiny_config(data, validate_every=0, save_every=1000)
    try:
        Trainer(config, out, own, progress=False).run()
    except (ValueError, OSError, RuntimeError) as error:
        (out / f"error-{own.rank}").write_text(str(error))


def _damage(out: Path, own: Processes) -> None:
    """Only the second process has a frame that cannot be read."""
    _fail(out, own, SquaresData() if own.is_first else _BrokenData())


def _leave(out: Path, own: Processes) -> None:
    """The second process is gone without a word; the last training of the script."""
    data = _BrokenData()
    data.dies = True
    _fail(out, own, SquaresData() if own.is_first else data)
    # Not `destroy_process_group`: the other is gone.
    os._exit(0)


if __name__ == "__main__":
    # A test that hangs is ended here too, not by its parent alone.
    signal.alarm(280)
    main(Path(sys.argv[1]))
