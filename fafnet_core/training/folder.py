"""The folder of a training, and what is written there; only the first process writes.

config.yaml             the configuration, resolved
log.jsonl, tensorboard/ figures
pictures/               predictions of some frames of the validation split
states/                 what `--resume` goes on from
last.safetensors        the network as of the last state (the averaged one with `ema`)
best.safetensors        the network with the best validation mIoU
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save

from fafnet_core.augmentation import Batch
from fafnet_core.checkpoints.checkpoint import read_metadata, save_checkpoint
from fafnet_core.files import written_beside
from fafnet_core.models import FAFNet
from fafnet_core.training.config import Config
from fafnet_core.training.data import TrainingData
from fafnet_core.training.distributed import Processes
from fafnet_core.training.monitor import FolderMonitor, Monitor
from fafnet_core.training.resume import CONFIG, LAST
from fafnet_core.training.state import TrainingState, remove_partial, write_state

BEST = "best.safetensors"


class TrainingFolder:
    """Writes the files of a training.

    Attributes:
        saved: iteration and last validation of the newest state, so that nothing is saved twice.
    """

    def __init__(
        self,
        out: Path,
        config: Config,
        data: TrainingData,
        own: Processes,
        versions: Mapping[str, str],
    ) -> None:
        self._out, self._config, self._data, self._own = out, config, data, own
        self._versions = dict(versions)
        self.saved = (0, 0)

    def monitor(self, state: TrainingState, *, progress: bool) -> Monitor:
        """Write the configuration, and begin to show what follows this state."""
        if not self._own.is_first:
            return Monitor()
        remove_partial(self._out)
        with written_beside(self._out / CONFIG) as beside:
            beside.write_text(self._config.to_yaml(), encoding="utf-8")
        return FolderMonitor(
            self._out,
            start=state.iteration,
            validated=state.validated,
            iterations=self._config.train.iterations,
            progress=progress,
        )

    def save(self, state: TrainingState, network: FAFNet, *, wait: bool = True) -> None:
        """Write a state and its network, unless that is done.

        Args:
            state: between two iterations.
            network: the one that is validated and used.
            wait: for all other processes; after an error they may be dead.
        """
        if self.saved == (state.iteration, state.validated):
            return
        if self._own.is_first:
            # First: a network without a state could not be resumed.
            write_state(self._out, state, self._config.train.keep)
        self.saved = (state.iteration, state.validated)
        self.write_network(LAST, network, state.iteration, state.figures)
        if wait:
            # No process ends before it is written: torchrun ends the first with the others.
            self._own.wait()

    def complete(self, state: TrainingState, network: FAFNet) -> None:
        """Write the network of a resumed state again, if writing it failed then."""
        if not self._own.is_first or not state.iteration:
            return
        try:
            notes = read_metadata(self._out / LAST).notes
        except (ValueError, OSError):
            notes = {}
        if (notes.get("iterations"), notes.get("figures")) != (state.iteration, state.figures):
            self.write_network(LAST, network, state.iteration, state.figures)

    def write_network(
        self, name: str, network: FAFNet, iteration: int, figures: Mapping[str, Any]
    ) -> None:
        """Write a checkpoint that says how it was trained, and its figures."""
        if not self._own.is_first:
            return
        notes = {
            "data": self._config.data_name,
            "iterations": iteration,
            "seed": self._config.train.seed,
            "figures": dict(figures),
            "versions": self._versions,
            "training": self._config.to_dict(),
        }
        save_checkpoint(
            self._out / name,
            network,
            label_set=self._data.dataset.label_set,
            normalisation=self._data.normalisation,
            notes=notes,
            input_size=self._config.input_size,
        )

    def keep_batch(self, batch: Batch, iteration: int) -> str:
        """Write this process's share of a batch that failed; return where it is, or why not."""
        rank = f"-rank{self._own.rank}" if self._own.world > 1 else ""
        path = self._out / f"nonfinite-{iteration:08d}{rank}.safetensors"
        tensors = {name: tensor.contiguous() for name, tensor in batch._asdict().items()}
        try:
            with written_beside(path) as beside:
                beside.write_bytes(save(tensors, {"iteration": str(iteration)}))
        except OSError as error:
            return f"its batch cannot be kept ({error})"
        return f"its batch is in {path}"
