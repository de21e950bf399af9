"""The layout of a prepared folder: which files there are, and how lists and names look.

    rgb/NAME.png          8-bit colour
    depth/NAME.png        16-bit millimetres, 0 = none
    missing/NAME.png      8-bit, 255 where the depth is in-painted; only where that is known
    hha/NAME.png          8-bit disparity, height, angle in red, green, blue
    labels/NAME.png       8-bit class ids, 255 = unlabelled
    train.txt, test.txt   names of the official splits, a line each
    manifest.json         what it was made from, label set, and each frame's camera

`NAME` may hold slashes. The manifest is written last: a folder without one is not complete.
"""

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


def list_file(split: str) -> str:
    """Name of the file that lists a split's frames."""
    return f"{split}.txt"


def check_name(name: str) -> None:
    """Refuse a frame's name that is no path inside a folder, or no single line of a list.

    Raises:
        ValueError: empty, absolute, with `..`, a backslash, or a control character.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or not name.isprintable() or "\\" in name:
        raise ValueError(
            f"{name!r} is no frame name: it has to be a path inside the folder, like 0001 or"
            " kv1/NYU0001"
        )
    if name != name.strip():
        raise ValueError(f"{name!r} is no frame name: a space at its end would be lost in a list")


def picture_path(root: str | Path, kind: str, name: str) -> str:
    """Where a picture of a frame is; text, as it is asked for tens of thousands of times."""
    return f"{root}/{kind}/{name}.png"


def write_file(path: Path, content: bytes) -> None:
    """Write a file beside its place, then rename it (OSError that names it: a full disk)."""
    try:
        with written_beside(path) as beside:
            beside.write_bytes(content)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from error


def check_format(values: Any) -> None:
    """Refuse what is not of this layout, or of another version of it (ValueError)."""
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ValueError("this is not of a folder that `fafnet prepare` made")
    if values.get("version") != VERSION:
        raise ValueError(
            f"the folder has version {values.get('version')!r:.20} of the layout, this program"
            f" reads version {VERSION}: prepare it again into another folder"
        )


def read_list(path: Path) -> list[str]:
    """Read the names of a split.

    Raises:
        FileNotFoundError: there is no such list.
        ValueError: not text, or a name is listed twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text: {error}") from error
    names: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        name = line.strip()
        if name in names:
            raise ValueError(f"{path}, line {number}: {name!r} is there twice, as on {names[name]}")
        if name:
            names[name] = number
    return list(names)


def list_content(names: Iterable[str]) -> bytes:
    """Return the content of a list of names."""
    return "".join(f"{name}\n" for name in names).encode()
