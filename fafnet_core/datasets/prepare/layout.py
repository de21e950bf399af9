"""The layout of a prepared folder, as docs/datasets.md describes it: files, names and lists."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from fafnet_core.files import written_beside

FORMAT = "fafnet-prepared"
VERSION = 1
MANIFEST_FILE = "manifest.json"

OfficialSplit = Literal["train", "test"]
OFFICIAL_SPLITS: tuple[OfficialSplit, ...] = ("train", "test")

RGB, DEPTH, MISSING, HHA, LABELS = "rgb", "depth", "missing", "hha", "labels"
KINDS = (RGB, DEPTH, MISSING, HHA, LABELS)
"""Folders, one for each kind of picture."""


def check_name(name: str) -> None:
    """Refuse a frame's name that is no path inside a folder, or no single line of a list.

    Raises:
        ValueError: empty, absolute, with `..`, a backslash, a control character, or a space at an
            end.
    """
    is_inside = all(part not in ("", ".", "..") for part in name.split("/"))
    if not is_inside or not name.isprintable() or "\\" in name or name != name.strip():
        raise ValueError(
            f"{name!r} is no frame name; wanted a path inside the folder without spaces at its"
            " ends, such as 0001 or kv1/NYU0001"
        )


def picture_path(root: Path, kind: str, name: str) -> Path:
    """Return the path of one picture of a frame."""
    return root / kind / f"{name}.png"


def write_file(path: Path, content: bytes) -> None:
    """Write a file under another name, then rename it (OSError that names it: a full disk)."""
    try:
        with written_beside(path) as beside:
            beside.write_bytes(content)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from error


def check_format(values: Any) -> None:
    """Refuse the content of a file that is not of this layout and version (ValueError)."""
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ValueError("`fafnet prepare` did not make this folder")
    if values.get("version") != VERSION:
        raise ValueError(
            f"the folder has version {values.get('version')!r:.20} of the layout, this program"
            f" reads version {VERSION}: prepare the data set again into another folder"
        )


def list_content(names: Iterable[str]) -> bytes:
    """Return the content of `train.txt` or `test.txt`."""
    return "".join(f"{name}\n" for name in names).encode()
