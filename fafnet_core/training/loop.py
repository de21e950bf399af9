"""The training loop: batches in, a trained network out, whatever interrupts it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fafnet_core.augmentation import Batch
from fafnet_core.checkpoints.checkpoint import repeated_names
from fafnet_core.input_size import check_input_size
from fafnet_core.models import FAFNet
from fafnet_core.training.building import (
    build_network,
    content_digest,
    fill_network,
    place_network,
    shared_start,
    wrap_network,
)
from fafnet_core.training.config import Config
from fafnet_core.training.data import TrainingData
from fafnet_core.training.distributed import Processes, processes
from fafnet_core.training.ema import AveragedModel
from fafnet_core.training.folder import BEST, TrainingFolder
from fafnet_core.training.monitor import LogWindow, Monitor, say
from fafnet_core.training.optimiser import build_optimiser, set_learning_rate
from fafnet_core.training.resume import LAST, differences, state_to_resume
from fafnet_core.training.schedule import learning_rate
from fafnet_core.training.state import TrainingState
from fafnet_core.training.step import NonFiniteError, Step, Update, check_precision
from fafnet_core.training.stop import StopRequest, stop_request
from fafnet_core.training.validation import Validation
from fafnet_core.training.versions import versions


@dataclass(frozen=True)
class TrainingResult:
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
) -> TrainingResult:
    """Train a network; under `torchrun` together with the other processes.

    SIGTERM or SIGINT ends it after the running iteration, with a state to resume from; an error
    leaves one of all iterations that are done.

    Args:
        config: all of it; `read_config` reads one from a file.
        out: folder of the training; `fafnet_core.training.folder` says what it gets.
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
    """One training in one process; arguments and errors as for `train`.

    Args:
        own: this process among the others; None: alone, on the CPU.

    Attributes:
        model: the network, without the wrappers of distribution and compilation.
        averaged: its running average, or None.
        optimiser: of its parameters.
        iteration: how many iterations are done.
        best: `iteration` and figures of the best validation so far, or None.
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
        state = state_to_resume(config, out, resume=resume)
        self.config, self.out, self._own, self._progress = config, out, own, progress
        self._settings = settings
        _prepare_torch(config, own.device)
        self._data = TrainingData(config, own)
        settings.loss.check_classes(len(self._data.dataset.label_set))
        self._validation = (
            Validation(config, self._data.normalisation, own, progress=progress)
            if settings.validate_every
            else None
        )
        self._notes: dict[str, Any] = {
            "versions": versions(),
            "processes": own.world,
            "frames": len(self._data.dataset),
        }
        if config.model.init_share:
            self._notes["init"] = content_digest(config.model)
        self._folder = TrainingFolder(out, config, self._data, own, self._notes["versions"])
        self._say(*self._data.dataset.notices)
        if own.world > 1 and settings.sync_batch_norm and own.device.type != "cuda":
            self._say("train.sync_batch_norm is for GPUs: each process has its own statistics")
        if resume and state is None:
            self._say(f"{out} has no state: it begins with the first iteration")
        self.model = self._build_model(resumed=state is not None)
        self.averaged = (
            AveragedModel(self.model, settings.ema) if settings.ema is not None else None
        )
        self.optimiser = build_optimiser(self.model, settings.optimiser)
        network = wrap_network(self.model, settings, own)
        self._step = Step(network, self.optimiser, settings, own)
        self.iteration = 0
        self.best: dict[str, Any] | None = None
        self._figures: dict[str, Any] = {}
        self._half_updated = False
        if state is not None:
            self._restore(state)

    def _say(self, *messages: str) -> None:
        if self._own.is_first:
            for message in messages:
                say(message)

    def _build_model(self, *, resumed: bool) -> FAFNet:
        """The network with its first weights; a state brings its own."""
        config = self.config
        classes = len(self._data.dataset.label_set)
        model = build_network(config.model, classes, self._settings.seed)
        # Now, and not when the first network is to be written.
        check_input_size(model.config, config.input_size, divisor=model.input_divisor)
        if not resumed or config.model.init_share:
            data = self._data
            taken = fill_network(
                model, config.model, data.dataset.label_set, data.normalisation, data.some_images
            )
            if taken and not resumed:
                self._say(taken)
        self._start = shared_start(model, config.model, self._data.dataset.label_set)
        return place_network(model, self._settings, self._own)

    @property
    def network(self) -> FAFNet:
        """The network that is validated and written: the averaged one where there is one.

        With `model.init_share` it is made anew at each call.
        """
        network = self.averaged.model if self.averaged is not None else self.model
        return network if self._start is None else self._start.mixed(network)

    def run(self) -> TrainingResult:
        """Train to the last iteration, or until a signal stops it."""
        with (
            stop_request() as request,
            closing(self._folder.monitor(self.state(), progress=self._progress)) as monitor,
            self._state_after_error(),
        ):
            self._folder.complete(self.state(), self.network)
            # A signal may have prevented it: a resumed training leaves no validation out.
            stopped = not self._validate(monitor, request)
            if not stopped:
                self._save()
                stopped = self._iterate(monitor, request)
        finished = self.iteration == self._settings.iterations and not stopped
        stopped_by = None if finished else request.signal or "another process"
        return TrainingResult(
            self.iteration, finished, stopped_by, self.best, self.out, self._own.is_first
        )

    def _iterate(self, monitor: Monitor, request: StopRequest) -> bool:
        """Make the iterations; return whether a signal stopped them."""
        window = LogWindow(self._settings.batch_size)
        for batch in self._own.in_step(self._data.batches(self.iteration)):
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

    def _update(self, batch: Batch, rate: float, *, stop: bool) -> Update:
        """Make the next iteration; an error before the weights change leaves all as it was."""
        try:
            update = self._step.gradients(batch, self.iteration, stop=stop)
        except NonFiniteError as error:
            kept = self._folder.keep_batch(batch, self.iteration)
            raise NonFiniteError(
                f"{error} in iteration {self.iteration} at learning rate {rate:.4g}; training"
                f" stopped before the weights changed, and {kept}. --resume would come to the same"
                " batch again: start another training from these weights"
                f" (model.init={self.out / LAST}) with a lower rate, train.clip_norm or another"
                " train.precision"
            ) from error
        self._half_updated = True
        set_learning_rate(self.optimiser, rate)
        self._step.apply()
        if self.averaged is not None:
            self.averaged.update(self.model, self.iteration)
        self.iteration += 1
        self._half_updated = False
        return update

    def _is_due(self, every: int) -> bool:
        done = self.iteration
        return done > 0 and (done % every == 0 or done == self._settings.iterations)

    def _validate(self, monitor: Monitor, request: StopRequest) -> bool:
        """Validate where it is due and not done; return False where a signal ended it."""
        if self._validation is None or self._figures.get("iteration", 0) == self.iteration:
            return True
        if not self._is_due(self._settings.validate_every):
            return True
        # It reads other frames, and larger ones: a process that is killed there cannot save.
        self._save()
        found = self._validation(self.network, request)
        if found is None:
            return False
        figures = {"iteration": self.iteration, **found.scores}
        score, before = found.scores["mean_iou"], (self.best or {}).get("mean_iou")
        is_best = score is not None and (before is None or score > before)
        if is_best:
            self._folder.write_network(BEST, self.network, self.iteration, figures)
        monitor.figures(self.iteration, "val", found.scores)
        if found.sheet is not None:
            monitor.picture(self.iteration, found.sheet)
        # Last: what could not be written is made again when the training is resumed.
        self._figures = figures
        if is_best:
            self.best = dict(figures)
        return True

    def _save(self, *, wait: bool = True) -> None:
        self._folder.save(self.state(), self.network, wait=wait)

    @contextmanager
    def _state_after_error(self) -> Iterator[None]:
        """After an error, save the finished iterations; the error is raised again."""
        try:
            yield
        except BaseException:
            if self.iteration:
                self._say(self._saved_after_error())
            raise

    def _saved_after_error(self) -> str:
        """Save without waiting for other processes, which may be dead; say whether it worked."""
        if self._half_updated:
            return (
                f"the error came within the update of iteration {self.iteration}: --resume goes on"
                f" from its newest state, of {self._folder.saved[0]} iterations"
            )
        try:
            self._save(wait=False)
        except Exception as error:  # the first one is what ends the training
            return f"the state of {self.iteration} iterations cannot be saved ({error})"
        return f"{self.iteration} iterations are saved in {self.out}: --resume goes on with them"

    def state(self) -> TrainingState:
        """All that the next iteration depends on; the tensors are not copied."""
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
        if differ := differences(state.notes, self._notes):
            self._say(f"{self.out} goes on, maybe with another result: {'; '.join(differ)}")
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
        self._folder.saved = (state.iteration, state.validated)


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
