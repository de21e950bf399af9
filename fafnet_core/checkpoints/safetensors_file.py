"""The header of a safetensors file: eight bytes of length, then JSON."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError

LARGEST_HEADER = 1 << 24
"""Bytes; that of the largest network of this package has a hundredth of it."""


def check_header(path: Path) -> None:
    """Refuse a header that would take as much memory as the library allows, many times over.

    Raises:
        SafetensorError: it is too long.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > LARGEST_HEADER:
        raise SafetensorError(
            f"its header says that it has {length} bytes; at most {LARGEST_HEADER} are read"
        )
