"""Lists of images, and whether they fit their folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fafnet_core.datasets.checks import name_some
from fafnet_core.datasets.frames import SUFFIXES


@dataclass(frozen=True)
class Listed:
    """A frame's name without folder and suffix, and its place, such as "train.txt line 3"."""

    name: str
    place: str


def read_image_list(path: Path) -> list[Listed]:
    """Read a list of images, one frame a line: a bare name, a path, or several paths of one name.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no text, an empty file, a name twice, or a line whose paths have different
            names.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a list of images: {error}") from error
    listed: dict[str, Listed] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path} line {number}"
        columns = line.strip().split("\t") if "\t" in line.strip() else line.split()
        names = {_bare(column) for column in columns}
        if len(names) > 1:
            raise ValueError(
                f"{place} names {' and '.join(sorted(names))}; the images of a frame have the same"
                " name (without suffix)"
            )
        name = names.pop()
        if name in listed:
            raise ValueError(f"{place} names {name} again; first in {listed[name].place}")
        listed[name] = Listed(name, place)
    if not listed:
        raise ValueError(f"{path} is empty; wanted an image on each line")
    return list(listed.values())


def _bare(text: str) -> str:
    path = PurePosixPath(text.strip().replace("\\", "/"))
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def check_no_overlap(
    first: Sequence[Listed],
    second: Sequence[Listed],
    second_kind: str = "test",
    first_kind: str = "training",
) -> None:
    """Refuse frames that are in both of two splits.

    Args:
        first, second: the frames of the splits.
        second_kind, first_kind: what the message calls them.

    Raises:
        ValueError: the message names them.
    """
    others = {frame.name: frame for frame in first}
    if both := [frame for frame in second if frame.name in others]:
        again = both[0]
        raise ValueError(
            f"{len(both)} {second_kind} frames are {first_kind} frames too: {again.name} is in"
            f" {again.place} and in {others[again.name].place}; take the official lists, or correct"
            " your own"
        )


def unlisted_notice(folder: Path, images: Mapping[str, Path], every_name: set[str]) -> str | None:
    """Return a notice that a folder has images that no list names, or None."""
    unlisted = sorted(images.keys() - every_name)
    if not unlisted:
        return None
    return (
        f"{folder} has {len(unlisted)} images that no list names ({name_some(unlisted)}); they are"
        " left out. Is a list cut short?"
    )


def check_list_fits(
    frames: Sequence[Listed], every_name: set[str], folders: Mapping[Path, Mapping[str, Path]]
) -> None:
    """Refuse a list that names images that are not in its folders.

    Args:
        frames: the frames of a split.
        every_name: the names in all lists; the message names other images of the folder.
        folders: the images of each folder, by name.

    Raises:
        ValueError: the message names the first such images and their lines.
    """
    for folder, images in folders.items():
        if absent := [frame for frame in frames if frame.name not in images]:
            unlisted = sorted(images.keys() - every_name)
            raise ValueError(
                f"{absent[0].place} names {absent[0].name}, but {folder} has no such image"
                f" ({len(absent)} of {len(frames)} listed are not there:"
                f" {name_some([frame.name for frame in absent])}; in no list:"
                f" {name_some(unlisted) or 'none'}); take the list that belongs to this folder"
            )
