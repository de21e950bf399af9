"""Unexpected exceptions in one line: diagnostics have no room for a traceback."""

from __future__ import annotations

SEE_LOG = "see the log for the traceback"

_FULL = (
    "the GPU's memory is full: end other processes on it (nvidia-smi), or take a smaller"
    " checkpoint, a lower precision, or device:=cpu"
)


def one_line(error: BaseException) -> str:
    """Return an exception's type and the first line of its text, with the remedy if one is known.

    PyTorch reports a full GPU by two exceptions that have only these words in common.
    """
    text = str(error).strip()
    first = text.partition("\n")[0].rstrip(" .:")
    said = ": ".join(part for part in (type(error).__name__, first) if part)
    is_full = "CUDA" in text and "out of memory" in text
    return f"{said}; {_FULL}" if is_full else said
