"""CVAT's "Segmentation mask 1.1": coloured label images, and a list of what the colours mean.

    labelmap.txt                      name:red,green,blue::
    SegmentationClass/NAME.png        the colours
    ImageSets/Segmentation/SET.txt    the names, one a line

It is Pascal VOC's layout. Black, which is `background` there, is unlabelled here, unless the label
set has a class of that name. What is read comes from a zip or from its unpacked folder; nothing of
a zip is ever written to disk under a name that the zip chose.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fafnet_core.camera import Size
from fafnet_core.datasets.checks import name_some
from fafnet_core.files import written_beside
from fafnet_core.input_size import size_text
from fafnet_core.labels import UNLABELLED, LabelSet
from fafnet_core.labels.label_set import Colour, choose_colours
from fafnet_core.labels.mappings import bare_name
from fafnet_core.nearest import unknown_name

LABELMAP, CLASSES, SUBSET = (
    "labelmap.txt",
    "SegmentationClass",
    "ImageSets/Segmentation/default.txt",
)
BACKGROUND = "background"
_BLACK = (0, 0, 0)
_LARGEST_TEXT = 1 << 20
_LARGEST_IMAGE = 64 << 20
"""Bytes of one label image, unpacked."""


def label_colours(label_set: LabelSet) -> dict[str, Colour]:
    """Return the colour that stands for each class: its own, unless that is black or taken.

    Raises:
        ValueError: a name that the list of colours cannot hold.
    """
    if wrong := [name for name in label_set.names if ":" in name or name.startswith("#")]:
        raise ValueError(
            f"class '{wrong[0]}' of '{label_set.name}' cannot be written for CVAT: names there have"
            " no colon and begin with no #"
        )
    colours: dict[str, Colour] = {}
    for name, colour in zip(label_set.names, label_set.palette, strict=True):
        if colour != _BLACK and colour not in colours.values():
            colours[name] = colour
    others = [name for name in label_set.names if name not in colours]
    colours.update(zip(others, choose_colours(len(others), list(colours.values())), strict=True))
    return {name: colours[name] for name in label_set.names}


def write_cvat(path: Path, labels: Mapping[str, NDArray[np.uint8]], label_set: LabelSet) -> None:
    """Write a zip that CVAT uploads as annotations of a task with images of these names.

    Args:
        path: the zip.
        labels: class ids (H, W) uint8 by the frames' names.
        label_set: their classes.
    """
    colours = label_colours(label_set)
    table = np.zeros((256, 3), np.uint8)
    table[: len(label_set)] = list(colours.values())
    lines = [f"{name}:{red},{green},{blue}::" for name, (red, green, blue) in colours.items()]
    if BACKGROUND not in colours:
        lines.insert(0, f"{BACKGROUND}:0,0,0::")
    with written_beside(path) as beside, zipfile.ZipFile(beside, "w") as archive:
        _add(archive, LABELMAP, "# label:color_rgb:parts:actions\n" + "\n".join(lines) + "\n")
        _add(archive, SUBSET, "".join(f"{name}\n" for name in labels))
        for name, ids in labels.items():
            stored = io.BytesIO()
            Image.fromarray(table[ids]).save(stored, "PNG")
            _add(archive, f"{CLASSES}/{name}.png", stored.getvalue())


def _add(archive: zipfile.ZipFile, name: str, content: str | bytes) -> None:
    # A time of its own would make every zip of the same frames another file.
    archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def task_labels(label_set: LabelSet) -> str:
    """Return the labels of a task as CVAT's constructor takes them under "Raw" (JSON).

    `background` is one: CVAT refuses masks of a label that its task does not have.
    """
    colours = label_colours(label_set)
    named = colours if BACKGROUND in colours else {BACKGROUND: _BLACK, **colours}
    return json.dumps(
        [
            {"name": name, "color": f"#{red:02x}{green:02x}{blue:02x}", "attributes": []}
            for name, (red, green, blue) in named.items()
        ],
        indent=1,
    )


class CvatExport:
    """The annotations of an export.

    Args:
        path: the zip, or the folder that it was unpacked to.
        label_set: the classes that its names are to be.

    Attributes:
        names: of its frames, sorted.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no such export; the message says what it lacks.
    """

    def __init__(self, path: Path, label_set: LabelSet) -> None:
        self._path, self._label_set = path, label_set
        if not path.exists():
            raise FileNotFoundError(f"there is no {path}")
        with self._opened() as read:
            paths = read.paths()
            root = _root_of(path, paths)
            text = read(f"{root}{LABELMAP}", _LARGEST_TEXT).decode("utf-8-sig", "replace")
        self._colours = _read_labelmap(f"{path}: {LABELMAP}", text)
        self._images = _images_below(path, paths, f"{root}{CLASSES}/")
        self.names = sorted(self._images)

    @contextmanager
    def _opened(self) -> Iterator[_Reader]:
        if self._path.is_dir():
            yield _Reader(self._path, None)
            return
        try:
            with zipfile.ZipFile(self._path) as archive:
                yield _Reader(self._path, archive)
        except zipfile.BadZipFile as error:
            raise ValueError(
                f"{self._path} is no zip, or it is cut short ({error}): wanted CVAT's export in the"
                " format Segmentation mask 1.1"
            ) from error

    def labels(self, sizes: Mapping[str, Size]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield the labels of each frame, (H, W) uint8 class ids, 255 unlabelled.

        Args:
            sizes: (height, width) of the frames' colour images.

        Raises:
            ValueError: an image is damaged or of another size, has a colour that the list does not
                explain, or a class that the label set does not have; the message says where.
        """
        with self._opened() as read:
            for name in self.names:
                path = self._images[name]
                yield name, self._ids(path, read(path, _LARGEST_IMAGE), sizes[name])

    def _ids(self, path: str, content: bytes, size: Size) -> NDArray[np.uint8]:
        source = f"{self._path}: {path}"
        colours = _colours_of(source, content, size).astype(np.uint32)
        packed = (colours[..., 0] << 16) | (colours[..., 1] << 8) | colours[..., 2]
        values, places = np.unique(packed, return_inverse=True)
        places = places.reshape(packed.shape)
        ids = np.full(len(values), UNLABELLED, np.uint8)
        known = {bare_name(name): i for i, name in enumerate(self._label_set.names)}
        for index, value in enumerate(values.tolist()):
            colour = (value >> 16, value >> 8 & 255, value & 255)
            name = self._colours.get(colour)
            if name is None and colour == _BLACK:
                continue
            if name is not None and bare_name(name) in known:
                ids[index] = known[bare_name(name)]
            elif name is None or bare_name(name) != BACKGROUND:
                row, column = np.argwhere(places == index)[0]
                where = f"{source}, row {row}, column {column}"
                raise ValueError(f"{where}: {self._wrong(colour, name)}")
        return ids[places]

    def _wrong(self, colour: Colour, name: str | None) -> str:
        if name is None:
            return (
                f"colour {colour} is none of the {len(self._colours)} in {LABELMAP}; a label image"
                " is neither resized nor stored as JPEG: export it again"
            )
        hint = unknown_name("class", name, self._label_set.names)
        return f"{hint}; add it to the label set '{self._label_set.name}', or rename it in CVAT"


class _Reader:
    """Reads single files of a folder or zip, of bounded sizes."""

    def __init__(self, root: Path, archive: zipfile.ZipFile | None) -> None:
        self._root, self._archive = root, archive

    def paths(self) -> list[str]:
        """Return the paths of the files, with forward slashes."""
        if self._archive is not None:
            return [each.filename for each in self._archive.infolist() if not each.is_dir()]
        files = (path for path in sorted(self._root.rglob("*")) if path.is_file())
        return [path.relative_to(self._root).as_posix() for path in files]

    def __call__(self, path: str, most: int) -> bytes:
        file = self._archive.open(path) if self._archive else (self._root / path).open("rb")
        with file:
            # What a zip says of a size may be wrong: it is what comes out that counts.
            content = file.read(most + 1)
        if len(content) > most:
            raise ValueError(f"{self._root}: {path} has more than {most >> 20} MiB; refused")
        return content


def _root_of(source: Path, paths: Sequence[str]) -> str:
    """Return the folder of the list of colours, "" or ending in a slash."""
    found = sorted((p for p in paths if PurePosixPath(p).name == LABELMAP), key=len)
    if not found:
        raise ValueError(
            f"{source} has no {LABELMAP}: export the task in the format Segmentation mask 1.1"
            " (others have no colours that could be read)"
        )
    return found[0].removesuffix(LABELMAP)


def _images_below(source: Path, paths: Sequence[str], folder: str) -> dict[str, str]:
    images: dict[str, str] = {}
    for path in paths:
        pure = PurePosixPath(path)
        if not path.startswith(folder) or pure.suffix.lower() != ".png":
            continue
        if pure.stem in images:
            raise ValueError(
                f"{source}: {images[pure.stem]} and {path} are labels of one frame, {pure.stem}"
            )
        images[pure.stem] = path
    if not images:
        raise ValueError(f"{source} has no images in {CLASSES}/; is anything annotated?")
    return images


def _read_labelmap(source: str, text: str) -> dict[Colour, str]:
    """Return the name of each colour."""
    names: dict[Colour, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        levels = rest.split(":")[0].split(",")
        if len(levels) != 3 or not all(v.strip().isdecimal() and int(v) <= 255 for v in levels):
            raise ValueError(f"{source} line {number} is '{line}'; wanted name:red,green,blue::")
        red, green, blue = map(int, levels)
        if (red, green, blue) in names:
            raise ValueError(
                f"{source} line {number}: {name} has the colour of {names[red, green, blue]},"
                f" {(red, green, blue)}; give each label of the task its own, and export again"
            )
        names[red, green, blue] = name.strip()
    if not names:
        raise ValueError(f"{source} has no line name:red,green,blue::")
    return names


def _colours_of(source: str, content: bytes, size: Size) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) uint8; its size is checked before it is decoded."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            found = (image.height, image.width)
            if found != size:
                raise ValueError(
                    f"{source} is {size_text(found)}, but its colour image is {size_text(size)};"
                    " annotate the images that were picked, at their own size"
                )
            return np.asarray(image.convert("RGB"))
    except OSError as error:  # among them PIL's errors of damaged images
        raise ValueError(f"{source} is not an image, or it is cut short: {error}") from error


def check_partners(export: CvatExport, source: Path, frames: Sequence[str]) -> list[str]:
    """Return the frames that the export does not have.

    Raises:
        ValueError: it has labels of a frame that there is not.
    """
    if strangers := [name for name in export.names if name not in frames]:
        raise ValueError(
            f"{source} has labels of {len(strangers)} frames that are not there:"
            f" {name_some(strangers)}; import it into the folder that it was annotated from"
        )
    return [name for name in frames if name not in export.names]
