"""Lists of images, and whether they fit the folders that they are lists of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fafnet_core.datasets.checks import name_some
from fafnet_core.datasets.images import SUFFIXES


@dataclass(frozen=True)
class Listed:
    """A frame's name without folder and suffix, and where it is listed ("train.txt line 3")."""

    name: str
    place: str


def read_image_list(path: Path) -> list[Listed]:
    """Read a list of images, one frame a line: a bare name, a path, or several paths of one name.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no text, no line, a name twice, or a line whose paths have different names.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no list of images: {error}") from error
    listed: dict[str, Listed] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path} line {number}"
        columns = line.strip().split("\t") if "\t" in line.strip() else line.split()
        names = {_bare(column) for column in columns}
        if len(names) > 1:
            raise ValueError(
                f"{place} names {' and '.join(sorted(names))}; the images of a frame have one name,"
                " the suffix aside"
            )
        name = names.pop()
        if name in listed:
            raise ValueError(f"{place} names {name} again, as {listed[name].place}")
        listed[name] = Listed(name, place)
    if not listed:
        raise ValueError(f"{path} is empty; it lists an image a line")
    return list(listed.values())


def _bare(text: str) -> str:
    path = PurePosixPath(text.strip().replace("\\", "/"))
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def images_of(folder: Path) -> dict[str, Path]:
    """Return the images and arrays in a folder by their names without suffix.

    Raises:
        ValueError: two files have one name.
    """
    images: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        if path.stem in images:
            raise ValueError(
                f"{images[path.stem]} and {path.name} have one name; a frame has one image of each"
                " kind: move one away"
            )
        images[path.stem] = path
    return images


def check_no_overlap(train: Sequence[Listed], test: Sequence[Listed]) -> None:
    """Refuse frames that are in both splits.

    Raises:
        ValueError: the message names them.
    """
    trained = {frame.name: frame for frame in train}
    if both := [frame for frame in test if frame.name in trained]:
        first = both[0]
        raise ValueError(
            f"{len(both)} test frames are training frames too: {first.place} names {first.name}, as"
            f" {trained[first.name].place}; take the official lists"
        )


def unlisted_notice(folder: Path, images: Mapping[str, Path], every_name: set[str]) -> str | None:
    """Say that a folder has images which no list names; None: all are listed."""
    unlisted = sorted(images.keys() - every_name)
    if not unlisted:
        return None
    return (
        f"{folder} has {len(unlisted)} images that no list names ({name_some(unlisted)}): they are"
        " left out; is a list cut short?"
    )


def check_list_fits(
    frames: Sequence[Listed], every_name: set[str], folders: Mapping[Path, Mapping[str, Path]]
) -> None:
    """Refuse a list that names images which are not in its folders.

    Args:
        frames: the frames of a split.
        every_name: all names that any list has; what a folder has beyond is named too.
        folders: the images of each folder, by name.

    Raises:
        ValueError: the message names the first on both sides, with their lines.
    """
    for folder, images in folders.items():
        absent = [frame for frame in frames if frame.name not in images]
        if not absent:
            continue
        first = absent[0]
        unlisted = sorted(images.keys() - every_name)
        other_side = (
            f"; it has {len(unlisted)} that no list names: {name_some(unlisted)}"
            if unlisted
            else ""
        )
        raise ValueError(
            f"{first.place} names {first.name}, but {folder} has no such image ({len(absent)} of"
            f" {len(frames)} listed are not there: {name_some([f.name for f in absent])})"
            f"{other_side}; take the list that belongs to this folder"
        )
