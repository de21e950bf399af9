"""The frames of the adaptation benchmark: NYU-Depth V2 by type of scene, as folders of their own.

A folder of frames links to the images of the data set and has lists of its own, `train.txt` and
`test.txt`. It can be read as NYU-Depth V2 (`data.name: nyuv2`), and as a data set of one's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fafnet_core.datasets.nyuv2 import CAMERA
from fafnet_core.files import written_beside

SPLITS = ("train", "test")
FOLDERS = ("rgb", "depth", "labels_40")


@dataclass(frozen=True)
class Scenes:
    """The frames of each official split, of one type of scene and of all others; sorted names.

    Attributes:
        train, test: of that type.
        other_train, other_test: of the others.
    """

    train: list[str]
    test: list[str]
    other_train: list[str]
    other_test: list[str]


def read_scenes(path: Path) -> dict[str, str]:
    """Read the type of scene of each frame: lines of a frame's name and a type, as `0139 kitchen`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line is of another form, or a frame has two types.
    """
    types: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2:
            raise ValueError(f"{path} line {number} is '{line}'; wanted a frame and its type")
        if types.setdefault(words[0], words[1]) != words[1]:
            raise ValueError(f"{path} line {number}: {words[0]} was {types[words[0]]} before")
    return types


def divide(root: Path, types: Mapping[str, str], wanted: Sequence[str]) -> Scenes:
    """Divide the frames of a data set by type of scene.

    Args:
        root: the data set, with the folders of ESANet's layout.
        types: the type of each frame.
        wanted: the types that are held back.

    Raises:
        FileNotFoundError: a folder is not there.
        ValueError: a frame has no type, or a side of the division is empty.
    """
    sides = {}
    for split in SPLITS:
        names = sorted(path.stem for path in (root / split / "rgb").iterdir())
        if unknown := [name for name in names if name not in types]:
            raise ValueError(
                f"{len(unknown)} {split} frames of {root} have no type of scene, such as"
                f" {unknown[0]}; --scenes wants a line for each"
            )
        for is_wanted in (True, False):
            side = [name for name in names if (types[name] in wanted) == is_wanted]
            if not side:
                raise ValueError(f"no {split} frame of {root} is left for one side of {wanted}")
            sides[split, is_wanted] = side
    return Scenes(
        sides["train", True], sides["test", True], sides["train", False], sides["test", False]
    )


def write_folder(folder: Path, root: Path, train: Sequence[str], test: Sequence[str]) -> None:
    """Write a folder of frames; one that is there already gets the lists anew."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, names in (("train", train), ("test", test)):
        link = folder / split
        if not link.is_symlink():
            link.symlink_to((root / split).resolve(), target_is_directory=True)
        _write(folder / f"{split}.txt", "".join(f"{name}\n" for name in names))
    camera = {name: getattr(CAMERA, name) for name in ("fx", "fy", "cx", "cy", "width", "height")}
    _write(folder / "camera.yaml", "".join(f"{name}: {value}\n" for name, value in camera.items()))


def _write(path: Path, text: str) -> None:
    with written_beside(path) as beside:
        beside.write_text(text, encoding="utf-8")
