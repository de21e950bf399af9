"""One update of the weights: micro-batches, processes, arithmetic and the gradient in one place.

The loss of an update is the sum over all labelled pixels of all micro-batches of all processes,
divided by their number. A batch that is split in any of these ways gives the same gradient (but
for the part of `loss.lovasz`, which is of a micro-batch as a whole).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fafnet_core.augmentation import Batch
from fafnet_core.training.config import Precision, TrainConfig
from fafnet_core.training.distributed import Processes, exchange
from fafnet_core.training.loss import counted_pixels, summed_loss

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


class NonFiniteError(ValueError):
    """The loss or the gradient is not a number; the weights have not been changed by it."""


@dataclass(frozen=True)
class Update:
    """The figures of one update, the same in every process.

    Attributes:
        loss: mean over the labelled pixels of the whole batch.
        gradient_norm: before clipping; infinite where float16 overflowed: the update is then left
            out and the scale lowered.
        stop: some process was asked to stop.
    """

    loss: float
    gradient_norm: float
    stop: bool


class Step:
    """Makes updates: `gradients` computes one, `apply` changes the weights by it.

    Args:
        network: what is called in training; in several processes a `DistributedDataParallel`.
        optimiser: of its parameters.
        config: the `train` section.
        processes: this process among the others.

    Attributes:
        scaler: of the loss; it only does something in float16.
    """

    def __init__(
        self,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        config: TrainConfig,
        processes: Processes,
    ) -> None:
        self._network = network
        self._parameters = [p for group in optimiser.param_groups for p in group["params"]]
        self._optimiser = optimiser
        self._config = config
        self._processes = processes
        self._statistics = list(network.buffers())
        self._before = [torch.empty_like(statistic) for statistic in self._statistics]
        self.scaler = torch.amp.GradScaler(
            processes.device.type, enabled=config.precision == "float16"
        )

    def gradients(self, batch: Batch, iteration: int, *, stop: bool = False) -> Update:
        """Compute one update; after any error the network is as it was before.

        Args:
            batch: this process's share.
            iteration: decides what dropout drops, so that a resumed run drops the same.
            stop: whether this process was asked to stop.

        Raises:
            NonFiniteError: the loss or the gradient is not finite; in every process at once.
        """
        # The forward pass moves the statistics of batch norms.
        _copy(self._statistics, self._before)
        try:
            _seed(self._config.seed, iteration, self._processes.rank)
            batch = self._on_device(batch)
            self._optimiser.zero_grad(set_to_none=True)
            loss, asked = self._summed_gradients(batch, stop)
            return Update(loss, self._norm(loss), asked)
        except BaseException:
            _copy(self._before, self._statistics)
            raise

    def apply(self) -> None:
        """Change the weights by the gradients; an error here may leave them half changed."""
        self.scaler.step(self._optimiser)
        self.scaler.update()

    def _norm(self, loss: float) -> float:
        """Clip the gradients; return their norm before."""
        if not math.isfinite(loss):
            raise NonFiniteError(f"the loss is {loss}")
        self.scaler.unscale_(self._optimiser)
        # A limit of infinity clips nothing and still returns the norm.
        limit = self._config.clip_norm or math.inf
        norm = float(nn.utils.clip_grad_norm_(self._parameters, limit))
        if not math.isfinite(norm) and not self.scaler.is_enabled():
            raise NonFiniteError(f"the loss is {loss:.4g}, but its gradient's norm is {norm}")
        return norm

    def _summed_gradients(self, batch: Batch, stop: bool) -> tuple[float, bool]:
        """Add up the gradients of all micro-batches; return the loss, and whether to stop."""
        processes, parts = self._processes, self._config.accumulate
        # Known before any forward pass, so the sums can be divided as they come.
        count = processes.sum(counted_pixels(batch.label, self._config.loss))
        count = count.where(count > 0, 1)
        total = torch.zeros(2, device=processes.device)
        total[1] = float(stop)
        pieces = zip(*(tensor.chunk(parts) for tensor in batch), strict=True)
        for place, piece in enumerate(pieces):
            with self._exchange(last=place == parts - 1):
                loss = self._loss(Batch(*piece)) / count
                # Processes are averaged by DistributedDataParallel; here they are to be summed.
                self.scaler.scale(loss * processes.world).backward()  # type: ignore[no-untyped-call]
            total[0] += loss.detach()
        loss_sum, asked = processes.sum(total).tolist()
        return loss_sum, asked > 0

    def _loss(self, batch: Batch) -> Tensor:
        precision = self._config.precision
        with torch.autocast(
            self._processes.device.type,
            dtype=_DTYPES[precision] if precision != "float32" else None,
            enabled=precision != "float32",
        ):
            logits = self._network(batch.rgb, batch.hha)
        return summed_loss(logits, batch.label, self._config.loss)[0]

    def _exchange(self, *, last: bool) -> contextlib.AbstractContextManager[None]:
        """Processes exchange their gradients once an update, with its last micro-batch."""
        if not isinstance(self._network, DistributedDataParallel):
            return contextlib.nullcontext()
        return exchange() if last else self._network.no_sync()

    def _on_device(self, batch: Batch) -> Batch:
        device = self._processes.device
        layout = torch.channels_last if self._config.channels_last else torch.contiguous_format
        rgb, hha = (
            image.to(device, non_blocking=True).contiguous(memory_format=layout)
            for image in (batch.rgb, batch.hha)
        )
        return Batch(rgb, hha, batch.label.to(device, non_blocking=True))


def check_precision(precision: Precision, device: torch.device) -> None:
    """Refuse a precision that the device does not have.

    Raises:
        ValueError: float16 on a CPU.
    """
    if precision == "float16" and device.type == "cpu":
        raise ValueError(
            "train.precision float16 needs a GPU; on a CPU use float32, or bfloat16 where the CPU"
            " has it"
        )


@torch.no_grad()
def _copy(source: Sequence[Tensor], target: Sequence[Tensor]) -> None:
    """Copy tensors into others of their kinds, all of a kind at once."""
    for dtype in {tensor.dtype for tensor in source}:
        torch._foreach_copy_(
            [tensor for tensor in target if tensor.dtype == dtype],
            [tensor for tensor in source if tensor.dtype == dtype],
        )


def _seed(seed: int, iteration: int, rank: int) -> None:
    """Set the random numbers of an iteration: nothing has to be stored for a resumed run."""
    state = np.random.SeedSequence((seed, iteration, rank)).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0]))
