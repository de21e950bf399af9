"""A stand-in for a GPU: the network runs on the CPU under a GPU's name, and its memory may be full.

Only what PyTorch says of a GPU is put in its place; the node's own code runs as it is.
"""

from __future__ import annotations

from pathlib import Path

_BEFORE = """
from pathlib import Path
import torch
from fafnet_core.inference import segmenter
from fafnet_core.hha import HHAStream
from fafnet_core.runtimes.choice import open_runtime
from fafnet_core.runtimes.pytorch import TorchRuntime

def allocate(what):
    full = Path({full!r})
    wanted = full.read_text() if full.exists() else ""
    if what in wanted:
        if "once" in wanted:
            full.unlink()
        raise torch.cuda.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has 14.58 GiB.\\nSee also"
        )

class Runtime(TorchRuntime):
    def __init__(self, model, normalisation):
        allocate("loading")
        super().__init__(model, normalisation, device="cpu")
        self.device = "cuda:0"

    def predict(self, *images, **options):
        allocate("network")
        return super().predict(*images, **options)

class Stream(HHAStream):
    def __init__(self, config=None, device=None):
        super().__init__(config)
        self._is_of_gpu = device is not None

    def encode(self, *depth, **options):
        if self._is_of_gpu:
            allocate("hha")
        return super().encode(*depth, **options)

def opened(model, normalisation, *, device, **options):
    if device == "cpu":
        return open_runtime(model, normalisation, device=device, **options)
    return Runtime(model, normalisation)

segmenter.open_runtime, segmenter.HHAStream = opened, Stream
torch.cuda.mem_get_info = lambda number: (2**33, 2**34)
torch.cuda.memory_reserved = lambda number: 2**30
"""


class StandInGpu:
    """What Python runs before a node that shall have it, and the way to fill it.

    Args:
        folder: for the file that says what it has no memory for.
    """

    def __init__(self, folder: Path) -> None:
        self._full = folder / "full"
        self.before = _BEFORE.format(full=str(self._full))

    def fill(self, *whose: str) -> None:
        """Leave no memory for `loading`, `hha` or `network`; with `once`, only the next time."""
        beside = self._full.with_suffix(".new")
        beside.write_text(" ".join(whose))
        beside.replace(self._full)

    @property
    def is_full(self) -> bool:
        """Whether there is still something that it has no memory for."""
        return self._full.exists()

    def clear(self) -> None:
        """Have memory for everything again."""
        self._full.unlink(missing_ok=True)
