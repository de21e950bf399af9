"""Several processes that train one network, each on its share of every batch.

Processes are started by `torchrun`, which tells each its place in the environment; one process
alone is the same code with nothing to exchange.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from fafnet_core.runtimes.devices import choose_device

_Item = TypeVar("_Item")

# One process may write pictures and states while the others wait.
_PATIENCE = timedelta(minutes=60)


class ExchangeError(OSError):
    """Something that all processes do together failed in this one: mostly, another one is gone."""

    def __init__(self, error: RuntimeError) -> None:
        super().__init__(
            "this process can no longer compute together with the others of its training: most"
            " likely another one ended, and its own message, or the end of torchrun's, says why."
            f" Start all of them again with --resume. PyTorch says: {error}"
        )


@contextmanager
def exchange() -> Iterator[None]:
    """Within `with`, processes exchange something, which PyTorch's errors have no type of.

    Raises:
        ExchangeError: it failed; not where the device's memory ran out.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise ExchangeError(error) from error


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        device: where this one computes.
        rank: its number, from 0; process 0 writes.
        world: how many there are.
    """

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Replace a tensor on `device` by its sum over all processes; return it.

        Raises:
            ExchangeError: another process is gone.
        """
        if self.world > 1:
            with exchange():
                dist.all_reduce(tensor)
        return tensor

    def wait(self) -> None:
        """Return when every process is here."""
        self.sum(torch.zeros((), device=self.device))

    def in_step(self, items: Iterator[_Item]) -> Iterator[_Item]:
        """Yield each item once every process has its own; all have equally many.

        An error of one process ends all: otherwise the others would wait for it until killed.

        Raises:
            OSError: another process could not get its item. Also what this iterator raises.
        """
        if self.world == 1:
            yield from items
            return
        while True:
            failed = torch.zeros((), device=self.device)
            try:
                item = next(items, None)
            except Exception:
                # The first does not wait: it has a state to write, and the others may be dead.
                with contextlib.suppress(RuntimeError):
                    dist.all_reduce(failed.fill_(1), async_op=self.is_first)
                raise
            if self.sum(failed).item():
                raise OSError(
                    "another process of this training has no batch; its own message says why"
                )
            if item is None:
                return
            yield item

    def copy_from_first(self, model: nn.Module) -> None:
        """Give every process the running statistics of process 0."""
        if self.world > 1:
            with exchange():
                for buffer in model.buffers():
                    dist.broadcast(buffer, src=0)


@contextmanager
def processes(device: str = "auto") -> Iterator[Processes]:
    """Join the processes that `torchrun` started; alone without it.

    Args:
        device: "auto", "cpu" or "cuda"; of several processes, each takes its own GPU.

    Raises:
        ValueError: no such device here, or more processes than GPUs.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield Processes(choose_device(device))
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    kind = choose_device(device).type
    if kind == "cuda" and local >= torch.cuda.device_count():
        raise ValueError(
            f"process {local} of this machine has no GPU: PyTorch sees"
            f" {torch.cuda.device_count()}; start one process a GPU (--nproc_per_node)"
        )
    own = torch.device(kind, local) if kind == "cuda" else torch.device(kind)
    if kind == "cuda":
        torch.cuda.set_device(own)
    dist.init_process_group("nccl" if kind == "cuda" else "gloo", timeout=_PATIENCE)
    yield Processes(own, dist.get_rank(), dist.get_world_size())
    # Not after an error: the others may never come, and torchrun ends them.
    dist.destroy_process_group()
