"""Unexpected exceptions in one line: diagnostics have no room for a traceback."""

from __future__ import annotations

from fafnet_core.inference import is_gpu_full

SEE_LOG = "see the log for the traceback"

_GPU_IS_FULL = (
    "the GPU's memory is full: end other processes on it (nvidia-smi), or take a smaller"
    " checkpoint, a lower precision, or device:=cpu"
)
_MEMORY_IS_FULL = (
    "the computer's memory is full: end other processes (free -h, top), or take a smaller"
    " checkpoint or input_size"
)


def one_line(error: BaseException) -> str:
    """Return an exception's type and the first line of its text, with the remedy if one is known.

    Full memory has many exceptions; these have only their words in common.
    """
    text = str(error).strip()
    first = text.partition("\n")[0].rstrip(" .:")
    said = ": ".join(part for part in (type(error).__name__, first) if part)
    if is_gpu_full(error):
        return f"{said}; {_GPU_IS_FULL}"
    return f"{said}; {_MEMORY_IS_FULL}" if _is_of_memory(error, text) else said


def _is_of_memory(error: BaseException, text: str) -> bool:
    """Tell whether Python, PyTorch, OpenCV or a C++ library got no memory from the system."""
    words = ("can't allocate memory", "Insufficient memory", "bad_alloc")
    return isinstance(error, MemoryError) or any(each in text for each in words)
