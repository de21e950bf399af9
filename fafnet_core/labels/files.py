"""Label sets as files: those that ship, and your own.

    name: kitchen                      # else the file's name
    names: [floor, wall, cupboard]     # the class ids are 0, 1, 2
    colours:                           # optional; those that are not given are chosen
      floor: [201, 167, 124]
      wall: "#a3b4c4"
    unlabelled: 255                    # optional
    groups: {traversable: [floor]}     # optional
    source: who says so                # optional

JSON of `LabelSet.to_dict` (what `~/label_names` publishes) is read too: `palette` has a colour for
each class in order, and `ignore_index` is `unlabelled`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated

from fafnet_core.labels.label_set import UNLABELLED, Colour, LabelSet, choose_colours
from fafnet_core.nearest import unknown_name
from fafnet_core.settings import Setting, read_section, read_settings

_FOLDER = Path(__file__).parent / "sets"
_HEXADECIMAL = re.compile(r"#?([0-9a-fA-F]{6})")

Level = Annotated[int, "0 <= x <= 255"]
WrittenColour = tuple[Level, Level, Level] | str
"""A list of red, green and blue, or six hexadecimal digits, with or without a #."""


@dataclass(frozen=True, kw_only=True)
class LabelSetFile:
    """What a file of a label set may hold; see the module.

    Attributes:
        names: of the classes, in the order of their ids.
        name: of the set.
        source: who defined the classes.
        colours: by class name.
        palette: colours by id, instead of `colours`.
        unlabelled: id of pixels without a label.
        ignore_index: the same, as `LabelSet.to_dict` calls it.
        groups: names for several classes together.
    """

    names: tuple[str, ...]
    name: str = ""
    source: str = ""
    colours: dict[str, WrittenColour] = field(default_factory=dict)
    palette: tuple[WrittenColour, ...] = ()
    unlabelled: Annotated[int, "0 < x <= 255"] = UNLABELLED
    ignore_index: Annotated[int, "0 < x <= 255"] | None = None
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)


def shipped_label_sets() -> list[str]:
    """Return the names of the label sets that ship."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load_label_set(source: str | Path) -> LabelSet:
    """Return a label set that ships by its name, or one from a file.

    Args:
        source: a name of `shipped_label_sets`, or a YAML or JSON file (docs/own-classes.md).

    Raises:
        FileNotFoundError: neither.
        ValueError: the file holds no label set; the message names the line.
    """
    if str(source) in shipped_label_sets():
        return _shipped(str(source))[0]
    path = Path(source).expanduser()
    if not path.is_file():
        hint = unknown_name("label set", str(source), shipped_label_sets())
        raise FileNotFoundError(f"{hint} (there is no such file either)")
    return read_label_set(path)[0]


def groups_of(label_set: LabelSet) -> Mapping[str, tuple[str, ...]]:
    """Return the groups of a label set; of one that ships also where it comes without them.

    Checkpoints of before have none.
    """
    if label_set.groups or label_set.name not in shipped_label_sets():
        return label_set.groups
    ships = load_label_set(label_set.name)
    return ships.groups if ships.names == label_set.names else {}


def source_of(name: str) -> str:
    """Return who defined the classes of a label set that ships."""
    return _shipped(name)[1]


@cache
def _shipped(name: str) -> tuple[LabelSet, str]:
    return read_label_set(_FOLDER / f"{name}.yaml")


def read_label_set(path: str | Path) -> tuple[LabelSet, str]:
    """Read a file of a label set, and who it says defined the classes.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a key is missing, unknown or wrong, or a class is named twice; the message names
            the line.
    """
    settings = read_settings(path)
    file = read_section(LabelSetFile, settings, "")
    _check_names(file.names, settings)
    for group, members in file.groups.items():
        for member in members:
            if member not in file.names:
                message = f"groups.{group}: {unknown_name('class', member, file.names)}"
                raise settings.section("groups").section(group).error(message)
    palette = _palette(file, settings)
    unlabelled = file.unlabelled if file.ignore_index is None else file.ignore_index
    with settings.blamed(""):
        label_set = LabelSet(
            file.name or Path(path).stem, file.names, palette, unlabelled, file.groups
        )
    return label_set, file.source


def _check_names(names: Sequence[str], settings: Setting) -> None:
    lines = settings.section("names").value
    assert isinstance(lines, list)
    if len(names) > UNLABELLED:
        raise settings.section("names").error(
            f"names has {len(names)} classes; wanted 1 to {UNLABELLED}: labels are 8-bit images"
        )
    for index, (name, line) in enumerate(zip(names, lines, strict=True)):
        if not name.strip():
            raise line.error(f"names[{index}] is empty; wanted the name of class {index}")
        if name in names[:index]:
            raise line.error(
                f"names[{index}] is '{name}', as is names[{names.index(name)}]; every class has a"
                " name of its own"
            )


def _palette(file: LabelSetFile, settings: Setting) -> tuple[Colour, ...]:
    """The colour of every class, by id."""
    if file.palette:
        if file.colours:
            raise settings.section("palette").error("colours and palette are both given; take one")
        if len(file.palette) != len(file.names):
            raise settings.section("palette").error(
                f"palette has {len(file.palette)} colours for {len(file.names)} classes; wanted"
                " one for each, in their order"
            )
        place = settings.section("palette")
        return tuple(_colour(colour, place, "palette") for colour in file.palette)
    given: dict[str, Colour] = {}
    for name, written in file.colours.items():
        place = settings.section("colours").section(name)
        if name not in file.names:
            raise place.error(f"colours: {unknown_name('class', name, file.names)}")
        given[name] = _colour(written, place, f"colours.{name}")
    others = [name for name in file.names if name not in given]
    chosen = choose_colours(len(others), list(given.values()))
    given.update(zip(others, chosen, strict=True))
    return tuple(given[name] for name in file.names)


def _colour(written: WrittenColour, place: Setting, name: str) -> Colour:
    if not isinstance(written, str):
        return written
    found = _HEXADECIMAL.fullmatch(written.strip())
    if found is None:
        raise place.error(
            f"{name} is '{written}'; wanted [red, green, blue] from 0 to 255, or six hexadecimal"
            ' digits such as "#c9a77c"'
        )
    number = int(found[1], 16)
    return number >> 16, number >> 8 & 255, number & 255
