"""What test_training_distributed.py runs under torchrun, in two processes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from tiny_training import Event, SquaresData, damaged, terminate, tiny_config

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
    """Trainings that have to end alike in two processes and in one."""
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
            Trainer(config, out / name, own).run()
        # One frame for each process: enough for batch norms that are frozen.
        stopped = tiny_config(_second(own, 1, terminate), batch_size=2, freeze_norm=True)
        _run(out / "stopped", own, stopped)
        diverging = ScheduleConfig(rate=1e9, warmup=0.0)
        _run(out / "diverged", own, tiny_config(schedule=diverging, validate_every=0))
        seldom: dict[str, Any] = {"validate_every": 0, "save_every": 1000}
        # In the fourth batch of two frames.
        _run(out / "damaged", own, tiny_config(_second(own, 7, damaged), **seldom))
        _run(out / "left", own, tiny_config(_second(own, 7, _die), **seldom))
        # Not `destroy_process_group`: the other is gone.
        os._exit(0)


def _run(out: Path, own: Processes, config: Config) -> None:
    """Train, and write how it ended."""
    try:
        outcome = Trainer(config, out, own).run()
        said = f"{outcome.iteration} {outcome.stopped_by}"
    except (ValueError, OSError, RuntimeError) as error:
        said = str(error)
    (out / f"outcome-{own.rank}").write_text(said)


def _second(own: Processes, read: int, event: Event) -> SquaresData:
    """Data where something happens in the second process only."""
    return SquaresData() if own.is_first else SquaresData.at("train", read, event)


def _die() -> None:
    os._exit(0)


if __name__ == "__main__":
    # A test that hangs is ended here too, not by its parent alone.
    signal.alarm(280)
    main(Path(sys.argv[1]))
