"""The training loop: batches in, a trained network out, whatever interrupts it on the way.

A training is a folder:

    config.yaml             the configuration, resolved
    log.jsonl, tensorboard/ figures
    pictures/               predictions of some frames of the validation split
    states/                 what `--resume` goes on from
    last.safetensors        the network as of the last state (the averaged one with `ema`)
    best.safetensors        the network with the best validation mIoU
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from fafnet_core.augmentation import Batch, TrainTransform
from fafnet_core.checkpoints.checkpoint import read_metadata, repeated_names, save_checkpoint
from fafnet_core.files import written_beside
from fafnet_core.input_size import check_input_size
from fafnet_core.models import FAFNet
from fafnet_core.training.building import (
    build_network,
    fill_network,
    place_network,
    wrap_network,
)
from fafnet_core.training.config import Config
from fafnet_core.training.distributed import Processes, processes
from fafnet_core.training.ema import AveragedModel
from fafnet_core.training.loader import training_batches
from fafnet_core.training.monitor import FolderMonitor, Monitor, Window, say
from fafnet_core.training.optimiser import build_optimiser, set_learning_rate
from fafnet_core.training.resume import CONFIG, LAST, check_folder, check_same, differences
from fafnet_core.training.schedule import learning_rate
from fafnet_core.training.state import TrainingState, read_state, remove_partial, write_state
from fafnet_core.training.step import NonFiniteError, Step, Update, check_precision
from fafnet_core.training.stop import StopRequest
from fafnet_core.training.validation import Validation
from fafnet_core.training.versions import versions

BEST = "best.safetensors"
_CALIBRATION_FRAMES = 16


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Attributes:
        iteration: how many iterations are done.
        finished: whether those are all, and validated.
        stopped_by: the signal that ended it before, or None.
        best: `iteration` and figures of the best validation; None without one.
        out: the folder.
        is_first: whether this process is the one that reports.
    """

    iteration: int
    finished: bool
    stopped_by: str | None
    best: dict[str, Any] | None
    out: Path
    is_first: bool = True


def train(
    config: Config,
    out: str | Path,
    *,
    resume: bool = False,
    device: str = "auto",
    progress: bool = True,
) -> Outcome:
    """Train a network; under `torchrun` together with the other processes.

    SIGTERM or SIGINT ends it after the running iteration, with a state to resume from; an error
    leaves one of all iterations that are done.

    Args:
        config: all of it; `read_config` reads one from a file.
        out: folder of the training.
        resume: go on from the folder's newest state.
        device: "auto", "cpu" or "cuda".
        progress: show bars, where standard error is a terminal.

    Raises:
        ValueError: the configuration does not fit the data, the device or the state; the loss is
            not finite (`NonFiniteError`).
        OSError: the folder holds another training, or none to resume; data cannot be read, or the
            folder not be written.
    """
    with processes(device) as own:
        return Trainer(config, Path(out), own, resume=resume, progress=progress).run()


class Trainer:
    """One training in one process.

    Args:
        config: all of it.
        out: folder of the training; only the first process writes there.
        own: this process among the others; None: alone, on the CPU.
        resume: go on from the folder's newest state.
        progress: show bars, where standard error is a terminal.

    Attributes:
        model: the network, without the wrappers of distribution and compilation.
        averaged: its running average, or None.
        optimiser: of its parameters.
        iteration: how many iterations are done.
        best: `iteration` and figures of the best validation so far, or None.

    Raises:
        ValueError: as for `train`.
        OSError: as for `train`.
    """

    def __init__(
        self,
        config: Config,
        out: Path,
        own: Processes | None = None,
        *,
        resume: bool = False,
        progress: bool = True,
    ) -> None:
        own = own or Processes(torch.device("cpu"))
        settings = config.train
        check_precision(settings.precision, own.device)
        settings.micro_batch(own.world)
        state = _found_state(config, out, resume)
        if resume and state is None and own.is_first:
            say(f"{out} has no state: it begins with the first iteration")
        self.config, self.out, self._own, self._progress = config, out, own, progress
        self._settings = settings
        _prepare_torch(config, own.device)
        self._dataset = config.open_training_data()
        if own.is_first:
            for notice in self._dataset.notices:
                say(notice)
        settings.loss.check_classes(len(self._dataset.label_set))
        self._normalisation = config.normalisation.build()
        self._validation = self._build_validation() if settings.validate_every else None
        self._notes = {
            "versions": versions(),
            "processes": own.world,
            "frames": len(self._dataset),
        }
        if state is not None and own.is_first:
            for difference in differences(state.notes, self._notes):
                say(f"{out} {difference}")
        model = build_network(config.model, len(self._dataset.label_set), settings.seed)
        # Now, and not when the first network is to be written.
        check_input_size(model.config, config.input_size, divisor=model.input_divisor)
        taken = fill_network(model, config.model, self._some_images) if state is None else None
        if taken and own.is_first:
            say(taken)
        self.model = place_network(model, settings, own)
        self.averaged = (
            AveragedModel(self.model, settings.ema) if settings.ema is not None else None
        )
        self.optimiser = build_optimiser(self.model, settings.optimiser)
        network = wrap_network(self.model, settings, own)
        self._step = Step(network, self.optimiser, settings, own)
        self.iteration = 0
        self.best: dict[str, Any] | None = None
        self._figures: dict[str, Any] = {}
        if state is not None:
            self._restore(state)
        self._saved = (self.iteration, self._validated)
        self._half_updated = False

    @property
    def network(self) -> FAFNet:
        """The network that is validated and written: the averaged one where there is one."""
        return self.averaged.model if self.averaged is not None else self.model

    @property
    def _validated(self) -> int:
        """The iteration of the last validation; 0 before the first."""
        return int(self._figures.get("iteration", 0))

    def run(self) -> Outcome:
        """Train to the last iteration, or until a signal stops it.

        Raises:
            NonFiniteError: the loss is not finite; the batch has been saved.
            ValueError: a frame cannot be used.
            OSError: data cannot be read, or the folder not be written.
        """
        with StopRequest() as request, self._monitor() as monitor, self._state_after_error():
            self._complete_last()
            # A signal may have come before it: a training that goes on leaves no validation out.
            stopped = not self._validate(monitor, request)
            if not stopped:
                self._save()
                stopped = self._iterate(monitor, request)
        finished = self.iteration == self._settings.iterations and not stopped
        stopped_by = None if finished else request.signal or "another process"
        return Outcome(
            self.iteration, finished, stopped_by, self.best, self.out, self._own.is_first
        )

    def _iterate(self, monitor: Monitor, request: StopRequest) -> bool:
        """Make the iterations; return whether a signal stopped them."""
        window = Window(self._settings.batch_size)
        for batch in self._own.in_step(self._batches()):
            rate = learning_rate(self._settings.schedule, self.iteration, self._settings.iterations)
            update = self._update(batch, rate, stop=request.signal is not None)
            window.add(update.loss, update.gradient_norm)
            monitor.step()
            if self._is_due(self._settings.log_every):
                figures = {"learning_rate": rate, **window.take()}
                monitor.figures(self.iteration, "train", figures)
            # One process decides alone; several have decided together in the update.
            stop = update.stop if self._own.world > 1 else request.signal is not None
            stop = stop or not self._validate(monitor, request)
            if stop or self._is_due(self._settings.save_every):
                self._save()
            window.resume()
            if stop:
                return True
        return False

    def _some_images(self) -> Mapping[str, Tensor]:
        """Normalised images of both modalities, the same ones in every process."""
        batch = next(
            training_batches(
                self._dataset,
                TrainTransform(self.config.transform, self._normalisation),
                batch_size=_CALIBRATION_FRAMES,
                seed=self._settings.seed,
                start=0,
                stop=1,
            )
        )
        return {"rgb": batch.rgb, "hha": batch.hha}

    def _batches(self) -> Iterator[Batch]:
        return training_batches(
            self._dataset,
            TrainTransform(self.config.transform, self._normalisation),
            batch_size=self._settings.batch_size,
            seed=self._settings.seed,
            start=self.iteration,
            stop=self._settings.iterations,
            rank=self._own.rank,
            world=self._own.world,
            workers=self._settings.workers,
            pin_memory=self._own.device.type == "cuda",
        )

    def _update(self, batch: Batch, rate: float, *, stop: bool) -> Update:
        """Make the next iteration; an error before the weights change leaves all as it was."""
        try:
            update = self._step.gradients(batch, self.iteration, stop=stop)
        except NonFiniteError as error:
            raise NonFiniteError(
                f"{error} in iteration {self.iteration} at learning rate {rate:.4g}; training"
                f" stopped before it changed the weights, and {self._keep_batch(batch)}. To go on"
                " with a lower rate, train.clip_norm or another train.precision, begin another"
                f" training from its weights, with model.init={self.out / LAST}; --resume comes to"
                " the same batch again"
            ) from error
        self._half_updated = True
        set_learning_rate(self.optimiser, rate)
        self._step.apply()
        if self.averaged is not None:
            self.averaged.update(self.model, self.iteration)
        self.iteration += 1
        self._half_updated = False
        return update

    def _keep_batch(self, batch: Batch) -> str:
        """Write a batch beside the training; return what came of it."""
        rank = f"-rank{self._own.rank}" if self._own.world > 1 else ""
        path = self.out / f"nonfinite-{self.iteration:08d}{rank}.safetensors"
        tensors = {name: tensor.contiguous() for name, tensor in batch._asdict().items()}
        try:
            with written_beside(path) as beside:
                beside.write_bytes(save(tensors, {"iteration": str(self.iteration)}))
        except OSError as error:
            return f"its batch cannot be kept ({error})"
        return f"its batch is in {path}"

    def _is_due(self, every: int) -> bool:
        done = self.iteration
        return done > 0 and (done % every == 0 or done == self._settings.iterations)

    def _validate(self, monitor: Monitor, request: StopRequest) -> bool:
        """Validate where it is due and not done; return False where a signal ended it."""
        validation = self._validation
        if validation is None or self._validated == self.iteration:
            return True
        if not self._is_due(self._settings.validate_every):
            return True
        # It reads other frames, and larger ones: whoever is killed there cannot save any more.
        self._save()
        found = validation(self.network, request)
        if found is None:
            return False
        figures = {"iteration": self.iteration, **found.scores}
        score, before = found.scores["mean_iou"], (self.best or {}).get("mean_iou")
        is_best = score is not None and (before is None or score > before)
        if is_best:
            self._write_network(BEST, figures)
        monitor.figures(self.iteration, "val", found.scores)
        if found.sheet is not None:
            monitor.picture(self.iteration, found.sheet)
        # Last: what could not be written is made again when the training goes on.
        self._figures = figures
        if is_best:
            self.best = dict(figures)
        return True

    def _save(self, *, wait: bool = True) -> None:
        if self._saved == (self.iteration, self._validated):
            return
        if self._own.is_first:
            # First: a network without a state could not be gone on with.
            write_state(self.out, self.state(), self._settings.keep)
        self._saved = (self.iteration, self._validated)
        self._write_network(LAST, self._figures)
        if wait:
            # Nobody leaves before it is written: torchrun ends the first process with the others.
            self._own.wait()

    @contextmanager
    def _state_after_error(self) -> Iterator[None]:
        """After an error, save what is done; the error goes on."""
        try:
            yield
        except BaseException:
            if self._own.is_first and self.iteration:
                say(self._saved_after_error())
            raise

    def _saved_after_error(self) -> str:
        """Save without waiting for other processes, which may be dead; return what came of it."""
        if self._half_updated:
            return (
                f"the error came within the update of iteration {self.iteration}: --resume goes on"
                f" from its newest state, of {self._saved[0]} iterations"
            )
        try:
            self._save(wait=False)
        except Exception as error:  # the first one is what ends the training
            return f"the state of {self.iteration} iterations cannot be saved ({error})"
        return f"{self.iteration} iterations are saved in {self.out}: --resume goes on with them"

    def _complete_last(self) -> None:
        """Write the network of the state that is gone on from, where that failed with it."""
        if not self._own.is_first or not self.iteration:
            return
        try:
            notes = read_metadata(self.out / LAST).notes
        except (ValueError, OSError):
            notes = {}
        if (notes.get("iterations"), notes.get("figures")) != (self.iteration, self._figures):
            self._write_network(LAST, self._figures)

    def state(self) -> TrainingState:
        """All that the next iteration depends on; its tensors are the training's own."""
        return TrainingState(
            iteration=self.iteration,
            model=_tensors(self.model),
            optimiser=self.optimiser.state_dict(),
            ema={} if self.averaged is None else _tensors(self.averaged.model),
            scaler=self._step.scaler.state_dict(),
            best=self.best,
            figures=self._figures,
            config=self.config.to_dict(),
            notes=self._notes,
        )

    def _restore(self, state: TrainingState) -> None:
        _fill(self.model, state.model)
        if self.averaged is not None:
            _fill(self.averaged.model, state.ema)
        self.optimiser.load_state_dict(dict(state.optimiser))
        for parameter, entries in self.optimiser.state.items():
            for name, value in entries.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    # In the parameter's memory layout: another one is slower.
                    entries[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        self._step.scaler.load_state_dict(dict(state.scaler))
        self.iteration = state.iteration
        self.best = None if state.best is None else dict(state.best)
        self._figures = dict(state.figures)

    def _write_network(self, name: str, figures: Mapping[str, Any]) -> None:
        if not self._own.is_first:
            return
        notes = {
            "data": self.config.data_name,
            "iterations": self.iteration,
            "seed": self._settings.seed,
            "figures": dict(figures),
            "versions": self._notes["versions"],
            "training": self.config.to_dict(),
        }
        save_checkpoint(
            self.out / name,
            self.network,
            label_set=self._dataset.label_set,
            normalisation=self._normalisation,
            notes=notes,
            input_size=self.config.input_size,
        )

    def _build_validation(self) -> Validation:
        return Validation(
            self.config.data.open("val"),
            self._normalisation,
            self._own,
            pictures=self._settings.pictures,
            workers=self.config.evaluate.workers,
            progress=self._progress,
            input_size=self.config.input_size,
        )

    def _monitor(self) -> Monitor:
        if not self._own.is_first:
            return Monitor()
        remove_partial(self.out)
        with written_beside(self.out / CONFIG) as beside:
            beside.write_text(self.config.to_yaml(), encoding="utf-8")
        return FolderMonitor(
            self.out,
            start=self.iteration,
            validated=self._validated,
            iterations=self._settings.iterations,
            progress=self._progress,
        )


def _found_state(config: Config, out: Path, resume: bool) -> TrainingState | None:
    """The state to go on from; None for a training that begins."""
    path = check_folder(out, resume=resume)
    if path is None:
        return None
    state = read_state(path)
    check_same(config, state, out)
    return state


def _prepare_torch(config: Config, device: torch.device) -> None:
    settings = config.train
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    # warn_only: sampling at a flow has no repeatable gradient on a GPU.
    torch.use_deterministic_algorithms(settings.deterministic, warn_only=True)
    if device.type == "cuda":
        # Crops have one size, so trying the algorithms out pays; the fastest may differ by run.
        torch.backends.cudnn.benchmark = not settings.deterministic


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of a network, each under its first name."""
    again = repeated_names(model)
    return {name: tensor for name, tensor in model.state_dict().items() if name not in again}


def _fill(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    again = repeated_names(model)
    model.load_state_dict({**tensors, **{name: tensors[first] for name, first in again.items()}})
