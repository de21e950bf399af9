"""The memory of the device that the network runs on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class MemoryState:
    """A device's memory in bytes: used by this process, and free and in all for everybody."""

    device: str
    used: int
    free: int
    total: int


def device_memory(device: str) -> MemoryState | None:
    """Return the memory of a torch device; None where the system does not say.

    For CUDA, `used` is what this process's allocator holds; for the CPU, its resident memory.

    Args:
        device: a torch device's name, e.g. "cpu" or "cuda:0".
    """
    if device.startswith("cuda"):
        import torch

        number = torch.device(device).index
        if number is None:
            number = torch.cuda.current_device()
        free, total = torch.cuda.mem_get_info(number)
        used = torch.cuda.memory_reserved(number)
        return MemoryState(device=device, used=used, free=free, total=total)
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # not Linux
        return None
    kibibytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return MemoryState(
        device=device,
        used=int(pages) * os.sysconf("SC_PAGE_SIZE"),
        free=1024 * kibibytes["MemAvailable"],
        total=1024 * kibibytes["MemTotal"],
    )
