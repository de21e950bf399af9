"""From one label set to another: mappings that ship, and your own.

    from_set: nyu40               # optional: checked against the set that it is used on
    to_set: nyu13                 # a set that ships, or a file beside this one
    classes:                      # every class of from_set
      wall: wall
      floor mat: floor
      otherprop: null             # no counterpart: unlabelled
    source: who says so           # optional

Without `to_set` the classes are merged and dropped: those that are not named stay as they are, and
the new set has what is left, in the old order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.labels.files import load_label_set, shipped_label_sets
from fafnet_core.labels.label_set import UNLABELLED, LabelSet
from fafnet_core.nearest import unknown_name
from fafnet_core.settings import Setting, read_section, read_settings

_FOLDER = Path(__file__).parent / "mappings"

Classes = Mapping[str, str | None]
"""The new name of a class by its old one; None: unlabelled."""


@dataclass(frozen=True, kw_only=True)
class MappingFile:
    """What a file of a mapping may hold; see the module."""

    classes: dict[str, str | None]
    from_set: str | None = None
    to_set: str | None = None
    source: str = ""


@dataclass(frozen=True)
class LabelMapping:
    """A class of `to_set`, or none, for every class of `from_set`.

    Attributes:
        from_set: the classes before.
        to_set: the classes after.
        classes: by old name, for each of `from_set`.
        source: who says so; "" where nobody is named.

    Raises:
        ValueError: a class is not one of its set, or one of `from_set` is not named.
    """

    from_set: LabelSet
    to_set: LabelSet
    classes: Classes
    source: str = ""

    def __post_init__(self) -> None:
        _check_known(self.classes, self.from_set.names)
        _check_known([new for new in self.classes.values() if new is not None], self.to_set.names)
        if lacking := [name for name in self.from_set.names if name not in self.classes]:
            raise ValueError(
                f"the mapping from '{self.from_set.name}' to '{self.to_set.name}' lacks"
                f" {', '.join(lacking)}; write null for a class without counterpart"
            )

    @cached_property
    def table(self) -> NDArray[np.uint8]:
        """The new id of every old one, (256,) uint8; 255 for what becomes unlabelled."""
        table = np.full(256, UNLABELLED, np.uint8)
        for index, name in enumerate(self.from_set.names):
            new = self.classes[name]
            if new is not None:
                table[index] = self.to_set.names.index(new)
        table.setflags(write=False)
        return table

    def apply(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return labels (H, W) uint8 of `to_set` for those of `from_set`; 255: unlabelled."""
        # A quarter of the time that indexing takes: the node does this with every frame.
        mapped: NDArray[np.uint8] = cv2.LUT(labels, self.table)  # type: ignore[assignment]
        return mapped.reshape(labels.shape)

    @cached_property
    def result_set(self) -> LabelSet:
        """`to_set` as the results of `apply` have it: unlabelled is 255, whatever its file says."""
        return replace(self.to_set, ignore_index=UNLABELLED)


def shipped_mappings() -> list[tuple[str, str]]:
    """Return the names of the two sets of every mapping that ships."""
    names = shipped_label_sets()
    return [(a, b) for a in names for b in names if (_FOLDER / f"{a}-{b}.yaml").is_file()]


def load_mapping(from_set: str, to_set: str) -> LabelMapping:
    """Return the mapping that ships between two sets that ship.

    Raises:
        FileNotFoundError: there is none; the message names those that there are.
    """
    path = _FOLDER / f"{from_set}-{to_set}.yaml"
    if not path.is_file():
        known = ", ".join(f"{a} to {b}" for a, b in shipped_mappings())
        raise FileNotFoundError(f"no mapping from {from_set} to {to_set} ships: {known}")
    return read_mapping(path)


def read_mapping(path: str | Path, from_set: LabelSet | None = None) -> LabelMapping:
    """Read a file of a mapping.

    Args:
        path: a YAML file.
        from_set: what it is to be used on; None: the set that the file names.

    Raises:
        FileNotFoundError: no such file, or a label set that it names is not there.
        ValueError: a key is missing, unknown or wrong, or the mapping is for another set; the
            message names the line.
    """
    settings = read_settings(path)
    file = read_section(MappingFile, settings, "")
    folder = Path(path).parent
    named = _named_set(file.from_set, settings.section("from_set"), folder)
    before = from_set or named
    if before is None:
        raise settings.error("from_set is missing; wanted the label set that it maps")
    if named is not None and named.names != before.names:
        raise settings.section("from_set").error(
            f"the mapping is for '{named.name}' with {len(named)} classes, not for"
            f" '{before.name}' with {len(before)}: take the one for these classes"
        )
    _check_lines(settings.section("classes"), before.names, "from_set")
    after = _named_set(file.to_set, settings.section("to_set"), folder)
    with settings.blamed("classes"):
        if after is None:
            merged = merge_classes(before, file.classes)
            return LabelMapping(before, merged.to_set, merged.classes, file.source)
        _check_new_names(settings.section("classes"), file.classes, after)
        return LabelMapping(before, after, file.classes, file.source)


def merge_classes(label_set: LabelSet, classes: Classes) -> LabelMapping:
    """Return the mapping that merges and drops classes of a set.

    Args:
        label_set: the classes before.
        classes: their new names; those that are not named stay as they are. A new name may be one
            that there was, or another: then it has the colour of the first class that gets it.

    Raises:
        ValueError: a name that is no class, or no class is left.
    """
    _check_known(classes, label_set.names)
    whole = {name: classes.get(name, name) for name in label_set.names}
    colours = dict(zip(label_set.names, label_set.palette, strict=True))
    first: dict[str, str] = {}
    for old, new in whole.items():
        if new is not None:
            first.setdefault(new, old)
    if not first:
        raise ValueError(f"no class of '{label_set.name}' is left; keep at least one")
    groups = {
        group: tuple(dict.fromkeys(new for old in members if (new := whole[old]) is not None))
        for group, members in label_set.groups.items()
    }
    merged = LabelSet(
        f"{label_set.name}-merged",
        tuple(first),
        tuple(colours.get(new, colours[old]) for new, old in first.items()),
        label_set.ignore_index,
        {group: members for group, members in groups.items() if members},
    )
    return LabelMapping(label_set, merged, whole)


def chosen_mapping(label_set: LabelSet, label_map: str | Classes) -> LabelMapping:
    """Return the mapping that a setting chooses for a label set.

    Args:
        label_set: what it is used on.
        label_map: new names by old ones (`merge_classes`); a set that ships, to which a mapping
            ships; or the file of a mapping.

    Raises:
        FileNotFoundError: no such file, and no such mapping ships.
        ValueError: the mapping does not fit the label set.
    """
    if not isinstance(label_map, str):
        return merge_classes(label_set, label_map)
    if label_map in shipped_label_sets():
        mapping = load_mapping(label_set.name, label_map)
        if mapping.from_set.names == label_set.names:
            return mapping
        raise ValueError(
            f"the mapping to '{label_map}' is for the '{label_set.name}' that ships, and this one"
            " has other classes; write a file of a mapping"
        )
    path = Path(label_map).expanduser()
    if not path.is_file():
        targets = [b for a, b in shipped_mappings() if a == label_set.name]
        raise FileNotFoundError(
            f"there is no file '{label_map}'; wanted the file of a mapping, or a set to which"
            f" '{label_set.name}' has a mapping: {', '.join(targets) or 'none'}"
        )
    return read_mapping(path, label_set)


def mapping_onto(label_set: LabelSet, target: LabelSet, label_map: str | Classes) -> LabelMapping:
    """Return the mapping that a setting chooses from one label set to a given other.

    Args:
        label_set: what it is used on.
        target: the set that is wanted. Classes that the setting leaves as they are go to those of
            the same name (see `same_names`), and where there is none become unlabelled.
        label_map: as of `chosen_mapping`.

    Raises:
        FileNotFoundError: as of `chosen_mapping`.
        ValueError: the mapping does not fit the label set, or leads to no class of `target`.
    """
    chosen = chosen_mapping(label_set, label_map)
    pairs = same_names(chosen.to_set, target).items()
    names = {chosen.to_set.names[old]: target.names[new] for new, old in pairs}
    reached = {old: names.get(new) if new else None for old, new in chosen.classes.items()}
    if not any(reached.values()):
        raise ValueError(
            f"no class of '{label_set.name}' becomes one of '{target.name}'; wanted new names that"
            f" are among {', '.join(target.names)}"
        )
    return LabelMapping(label_set, target, reached, chosen.source)


def same_names(old: LabelSet, new: LabelSet) -> dict[int, int]:
    """Return the old id of each new class that both sets have, by name.

    Upper and lower case, spaces, hyphens and underscores do not count.
    """
    ids = {bare_name(name): index for index, name in enumerate(old.names)}
    return {
        index: ids[bare_name(name)]
        for index, name in enumerate(new.names)
        if bare_name(name) in ids
    }


def bare_name(name: str) -> str:
    """Return what of a class name counts when two sets are compared by name."""
    return "".join(letter for letter in name.casefold() if letter not in " -_")


def mapping_by_name(from_set: LabelSet, to_set: LabelSet) -> LabelMapping:
    """Return the mapping of classes to those of the same name; others become unlabelled."""
    old_ids = same_names(from_set, to_set)
    classes: dict[str, str | None] = dict.fromkeys(from_set.names)
    classes.update({from_set.names[old]: to_set.names[new] for new, old in old_ids.items()})
    source = f"By name: {len(old_ids)} of the {len(to_set)} classes are in both."
    return LabelMapping(from_set, to_set, classes, source)


def _named_set(name: str | None, place: Setting, folder: Path) -> LabelSet | None:
    if name is None:
        return None
    if name in shipped_label_sets():
        return load_label_set(name)
    try:
        is_inside = (folder / name).resolve().is_relative_to(folder.resolve())
        is_there = (folder / name).is_file()
    except (OSError, ValueError) as error:  # a name that no file can have
        raise place.error(f"'{name:.100}' is no label set: {error!s:.200}") from error
    if not is_inside:
        raise place.error(
            f"'{name}' leaves the folder of the mapping; wanted a set that ships, or a file beside"
            " the mapping"
        )
    if not is_there:
        hint = unknown_name("label set", name, shipped_label_sets())
        raise place.error(f"{hint} (there is no file {folder / name} either)")
    return load_label_set(folder / name)


def _check_known(names: Sequence[str] | Classes, known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(unknown_name("class", name, known))


def _check_lines(section: Setting, known: Sequence[str], which: str) -> None:
    for name, line in section.keys("classes").items():
        if name not in known:
            raise line.error(f"classes: {unknown_name(f'class of {which}', name, known)}")


def _check_new_names(section: Setting, classes: Classes, after: LabelSet) -> None:
    for old, new in classes.items():
        if new is not None and new not in after.names:
            message = unknown_name("class of to_set", new, after.names)
            raise section.section(old).error(f"classes.{old}: {message}")
