"""Depth in files that are no images: CSV and raw counts of RealSense tools, LZFSE of Record3D."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Size
from fafnet_core.datasets.frames import check_exr_allowed, metres_of_counts, read_depth

Depth = NDArray[np.float32]

IN_METRES = (".npy", ".exr", ".pfm", ".csv", ".depth")
"""Suffixes of files that hold metres, not counts."""

_KNOWN_SIZES: tuple[Size, ...] = ((256, 192), (640, 480))
"""Of Record3D's LiDAR and TrueDepth, where its metadata do not tell."""


def read_any_depth(path: Path, depth_unit_m: float, size: Size | None = None) -> Depth:
    """Read depth as (H, W) float32 metres, of images and of files that are none.

    Args:
        path: the file.
        depth_unit_m: metres of one count, where it holds counts.
        size: (height, width), of files that do not say theirs.

    Raises:
        FileNotFoundError: no such file.
        ValueError: see `check_readable`; or it holds something else.
    """
    check_readable(path)
    reader = _READERS.get(path.suffix.lower())
    return read_depth(path, depth_unit_m) if reader is None else reader(path, depth_unit_m, size)


def check_readable(path: Path) -> None:
    """Refuse files of a kind that nothing here can read.

    Raises:
        ValueError: LZFSE without its library, or EXR, which OpenCV is not allowed to read.
    """
    check_exr_allowed(path)
    if path.suffix.lower() == ".depth" and find_spec("lzfse") is None:
        raise ValueError(
            f"{path} is packed with LZFSE: pip install 'fafnet_ros[record3d]' (or lzfse) to read"
            " it; Record3D's other export, EXR + RGB, does without"
        )


def _read_csv(path: Path, depth_unit_m: float, size: Size | None) -> Depth:
    """Read what `rs-convert -v` writes: metres, a line a row."""
    try:
        return np.loadtxt(path, np.float32, delimiter=",", ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path} is not a table of metres, or it is cut short: {error}") from error


def _read_raw(path: Path, depth_unit_m: float, size: Size | None) -> Depth:
    """Read what realsense-viewer writes beside its picture: 16-bit counts."""
    content = path.read_bytes()
    if size is None or len(content) != 2 * size[0] * size[1]:
        known = "nothing says" if size is None else f"2 x {size[1]} x {size[0]} are"
        raise ValueError(
            f"{path} has {len(content)} bytes, and {known} its size; the viewer writes it into"
            " ..._Depth_metadata.csv beside it. rs-convert -v writes depth with its size"
        )
    return metres_of_counts(np.frombuffer(content, "<u2").reshape(size), depth_unit_m)


def _read_lzfse(path: Path, depth_unit_m: float, size: Size | None) -> Depth:
    """Read what Record3D writes: float32 metres, row by row, packed."""
    import lzfse

    try:
        # What it calls a lack of memory is a file that is cut short.
        content: bytes = lzfse.decompress(path.read_bytes())
    except (lzfse.error, MemoryError) as error:
        raise ValueError(f"{path} is not packed with LZFSE, or it is cut short") from error
    sizes = _KNOWN_SIZES if size is None else (size,)
    for height, width in sizes:
        if len(content) == 4 * height * width:
            return np.frombuffer(content, "<f4").reshape(height, width).astype(np.float32)
    wanted = " or ".join(f"{width}x{height}" for height, width in sizes)
    raise ValueError(f"{path} holds {len(content)} bytes; wanted float32 metres of {wanted}")


_READERS: dict[str, Callable[[Path, float, Size | None], Depth]] = {
    ".csv": _read_csv,
    ".raw": _read_raw,
    ".depth": _read_lzfse,
}
