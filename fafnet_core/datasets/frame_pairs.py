"""Which colour image goes with which depth image: those of one name, or of nearly one stamp.

Each layout's images are found and paired by one of the functions at the end.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fafnet_core.datasets.checks import name_some
from fafnet_core.datasets.frames import (
    COLOUR_FOLDERS,
    DEPTH_FOLDERS,
    IMAGE_SUFFIXES,
    by_number,
    images_of,
)

DEFAULT_SLOP_S = 0.02
"""As TUM's own tool for this has it."""

_RS_COLOUR = re.compile(r"(.+)_Color(?:_(\d+(?:\.\d+)?))?\.png", re.IGNORECASE)
_RS_DEPTH = re.compile(r"(.+)_Depth(?:_(\d+(?:\.\d+)?))?\.(?:csv|raw)", re.IGNORECASE)


@dataclass(frozen=True)
class Pairs:
    """What belongs together.

    Attributes:
        images: colour and depth image of each frame, by the frame's name, in order.
        without_depth: names of colour images without a depth image.
        without_colour: names of depth images without a colour image.
        partner: what a partner has, such as "of the same name".
    """

    images: Mapping[str, tuple[Path, Path]]
    without_depth: Sequence[str]
    without_colour: Sequence[str]
    partner: str


@dataclass(frozen=True)
class Stamped:
    """An image, the name of its frame, and the time at which it was taken, in seconds."""

    name: str
    path: Path
    stamp: float


def pair_by_name(colour: Mapping[str, Path], depth: Mapping[str, Path]) -> Pairs:
    """Pair images of the same name; numbers within names compare as numbers."""
    names = sorted(colour.keys() & depth.keys(), key=by_number)
    return Pairs(
        {name: (colour[name], depth[name]) for name in names},
        sorted(colour.keys() - depth.keys(), key=by_number),
        sorted(depth.keys() - colour.keys(), key=by_number),
        "of the same name",
    )


def pair_by_stamp(colour: Sequence[Stamped], depth: Sequence[Stamped], slop_s: float) -> Pairs:
    """Pair images whose stamps are at most `slop_s` apart, each at most once, the nearest first."""
    colour, depth = (sorted(each, key=lambda image: image.stamp) for each in (colour, depth))
    stamps = [image.stamp for image in depth]
    near = []
    for i, image in enumerate(colour):
        first = bisect.bisect_left(stamps, image.stamp - slop_s)
        last = bisect.bisect_right(stamps, image.stamp + slop_s)
        near += [(abs(stamps[j] - image.stamp), i, j) for j in range(first, last)]
    partner: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in sorted(near):
        if i not in partner and j not in taken:
            partner[i] = j
            taken.add(j)
    return Pairs(
        {colour[i].name: (colour[i].path, depth[partner[i]].path) for i in sorted(partner)},
        [image.name for i, image in enumerate(colour) if i not in partner],
        [image.name for j, image in enumerate(depth) if j not in taken],
        f"within {slop_s:g} s",
    )


def read_stamped_list(path: Path) -> list[Stamped]:
    """Read a list of "stamp file" lines, as TUM's `rgb.txt` is; # begins a comment.

    Raises:
        FileNotFoundError: images that it names are not there.
        ValueError: a line is of another form, or no line is there.
    """
    images: dict[str, Stamped] = {}
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split(maxsplit=1)
        if not words:
            continue
        try:
            stamp, image = float(words[0]), path.parent / words[1].strip()
        except (IndexError, ValueError) as error:
            raise ValueError(
                f"{path} line {number} is '{line.strip()}'; wanted a time stamp in seconds and the"
                " path of an image"
            ) from error
        images[image.stem] = Stamped(image.stem, image, stamp)
    if not images:
        raise ValueError(f"{path} names no image; wanted a stamp and a path on each line")
    if absent := [image.path for image in images.values() if not image.path.is_file()]:
        raise FileNotFoundError(
            f"{len(absent)} of the {len(images)} images that {path} names are not there:"
            f" {name_some(absent)}; unpack the whole download, or take the layout plain, which"
            " goes by names"
        )
    return list(images.values())


def two_folders(root: Path, slop_s: float) -> Pairs:
    """Pair `color/NAME` with `depth/NAME`."""
    colour = images_of(_folder(root, COLOUR_FOLDERS, "colour"), IMAGE_SUFFIXES)
    return pair_by_name(colour, images_of(_folder(root, DEPTH_FOLDERS, "depth")))


def stamped_lists(root: Path, slop_s: float) -> Pairs:
    """Pair what `rgb.txt` and `depth.txt` name."""
    colour, depth = (read_stamped_list(root / name) for name in ("rgb.txt", "depth.txt"))
    return pair_by_stamp(colour, depth, slop_s)


def record3d_pairs(root: Path, slop_s: float) -> Pairs:
    """Pair `rgbd/N.jpg` with `rgbd/N.depth`, or `rgb/N` with `depth/N.exr`."""
    folder = root / "rgbd"
    if not folder.is_dir():
        return two_folders(root, slop_s)
    return pair_by_name(images_of(folder, IMAGE_SUFFIXES), images_of(folder, (".depth",)))


def realsense_pairs(root: Path, slop_s: float) -> Pairs:
    """Pair `PREFIX_Color_STAMP.png` with `PREFIX_Depth_STAMP.csv`, stamps in milliseconds.

    Old versions of rs-convert number the images, and the viewer does not: then names are compared.
    """
    colour, depth = _named(root, _RS_COLOUR), _named(root, _RS_DEPTH)
    if not depth:
        raise ValueError(
            f"the depth images in {root} are PNGs that rs-convert or the viewer coloured for"
            " display: their metres are lost. Label the recording itself (fafnet segment FILE.bag),"
            " or take its depth as CSV: rs-convert -i FILE.bag -p PREFIX -v PREFIX"
        )
    if any(stamp is None for _, stamp, _ in (*colour, *depth)):
        return pair_by_name(
            {name: path for name, _, path in colour}, {name: path for name, _, path in depth}
        )
    return pair_by_stamp(_stamped(colour), _stamped(depth), slop_s)


def _folder(root: Path, candidates: tuple[str, ...], kind: str) -> Path:
    for name in candidates:
        if (root / name).is_dir():
            return root / name
    wanted = " or ".join(f"{name}/" for name in candidates)
    raise FileNotFoundError(f"{root} has no {kind} folder: it should hold {wanted}")


def _named(root: Path, pattern: re.Pattern[str]) -> list[tuple[str, float | None, Path]]:
    """Return name without stream, stamp and path of the files that a pattern fits."""
    found: dict[str, tuple[str, float | None, Path]] = {}
    for path in sorted(root.iterdir(), reverse=True):  # .csv, which has its size, stays for .raw
        name = pattern.fullmatch(path.name)
        if name is None or path.name.startswith("."):
            continue
        key = "_".join(filter(None, name.groups()))
        found[key] = key, float(name[2]) if "." in (name[2] or "") else None, path
    return list(found.values())


def _stamped(images: Sequence[tuple[str, float | None, Path]]) -> list[Stamped]:
    """Return what `_named` found, its milliseconds as seconds."""
    return [Stamped(name, path, ms / 1e3) for name, ms, path in images if ms is not None]
