"""Where a network runs and in which arithmetic: what "auto" means, and clear refusals."""

from __future__ import annotations

import contextlib
import ctypes
from typing import Literal, get_args

import torch

from fafnet_core.nearest import unknown_name

Precision = Literal["auto", "float32", "bfloat16", "float16"]

# Of glibc's malloc.h; it takes no larger threshold than this.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGEST_MMAP_THRESHOLD = 32 * 1024 * 1024


def choose_device(name: str) -> torch.device:
    """Return the device of this name; "auto" is CUDA where there is one, otherwise the CPU.

    Raises:
        ValueError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device '{name}' is not one; use auto, cpu, cuda or cuda:0") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device '{name}' was asked for, but PyTorch {torch.__version__} sees"
            f" {torch.cuda.device_count()} CUDA devices here; use auto or cpu, or install PyTorch"
            " with CUDA"
        )
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device '{name}' is not supported; use auto, cpu, cuda or cuda:0")
    return device


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the type to compute in; "auto" is bfloat16 where the device has it natively.

    float16 on a CPU is emulated and its range overflows, so it is refused there.

    Raises:
        ValueError: no such precision, or not on this device.
    """
    if precision not in get_args(Precision):
        raise ValueError(unknown_name("precision", precision, get_args(Precision)))
    if precision == "auto":
        return torch.bfloat16 if _has_native_bfloat16(device) else torch.float32
    if precision == "float16" and device.type == "cpu":
        raise ValueError("precision float16 needs a GPU; on a CPU use auto, float32 or bfloat16")
    dtype: torch.dtype = getattr(torch, precision)
    return dtype


def use_threads(count: int) -> None:
    """Set how many processor threads PyTorch uses in this process."""
    torch.set_num_threads(count)


def keep_memory() -> None:
    """Let this process keep the memory that it frees, for the next frame.

    glibc gives large blocks back to the system and asks for them again, and the system clears every
    page of them each time: a tenth of what a frame of `fafnet-nano` takes on a CPU. Call it after
    the network is loaded, or the memory of loading is kept too. Without glibc this does nothing.
    """
    _glibc("mallopt", _M_TRIM_THRESHOLD, 2**31 - 1)
    _glibc("mallopt", _M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)


def give_memory_back() -> None:
    """Give free memory back to the system, when the network is no longer needed."""
    _glibc("malloc_trim", 0)


def is_gpu_full(error: BaseException) -> bool:
    """Tell whether an exception says that a GPU had no memory left.

    PyTorch has a type for it where it asks itself; of CUDA's libraries only the words come through.
    """
    text = str(error)
    is_of_library = "CUBLAS_STATUS_ALLOC_FAILED" in text or "CUDNN_STATUS_ALLOC_FAILED" in text
    is_of_cuda = "CUDA" in text and "out of memory" in text
    return isinstance(error, torch.cuda.OutOfMemoryError) or is_of_library or is_of_cuda


def free_gpu_cache() -> None:
    """Give the GPU memory back that PyTorch keeps for later; without a GPU this does nothing."""
    torch.cuda.empty_cache()


def _glibc(function: str, *arguments: int) -> None:
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library, or system
        getattr(ctypes.CDLL(None), function)(*arguments)


def _has_native_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # AMX only: with AVX512-BF16 alone every preset took longer in bfloat16 than in float32.
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())
