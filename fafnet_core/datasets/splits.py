"""Training, validation and test frames.

The test split is the official one; nothing is chosen by it. The validation split is a part of the
official training split: whole scenes where they are known, else blocks of frames that were recorded
one after another, so that validation has no near copies of training frames. It depends on the list
and the fraction alone; with the fraction 0, training has every frame. Short lists have shorter
blocks, so that a tenth of them is some blocks too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TypeVar, get_args

from fafnet_core.datasets.checks import name_some
from fafnet_core.nearest import unknown_name
from fafnet_core.samples import Split

Frame = TypeVar("Frame")

_LONGEST_RUN = 50
_LONGEST_BLOCK = 20
_FEWEST_PARTS = 10
"""A list is cut into about so many parts or more: then a tenth of it can be held out."""

_LAST_NUMBER = re.compile(r"(\d+)(?!.*\d)")


def choose_frames(
    split: Split,
    train: Sequence[Frame],
    test: Sequence[Frame],
    *,
    groups: Sequence[Hashable],
    validation: float,
) -> list[Frame]:
    """Return the frames of a split, in the order of the official list.

    Args:
        split: "train", "val" or "test".
        train: the official training frames.
        test: the official test frames.
        groups: a group for each training frame; groups stay whole.
        validation: fraction of the training frames that becomes "val", 0 <= validation < 1.

    Raises:
        ValueError: no such split, a fraction out of range, or a split without frames.
    """
    if split not in get_args(Split):
        raise ValueError(unknown_name("split", str(split), get_args(Split)))
    if not 0 <= validation < 1:
        raise ValueError(
            f"validation is {validation!r}; wanted the fraction of the training split that becomes"
            " the validation split, 0 <= validation < 1"
        )
    if split == "test":
        chosen = list(test)
    else:
        held_out = held_out_groups(groups, validation)
        chosen = [
            frame
            for frame, group in zip(train, groups, strict=True)
            if (group in held_out) == (split == "val")
        ]
    if not chosen:
        parts = len(set(groups))
        raise ValueError(
            f"the {split} split has no frame: {len(train)} training frames in {parts} scenes or"
            f" blocks, validation {validation}, {len(test)} test frames. Choose another fraction,"
            " or train on all frames without validation: validation: 0, train.validate_every: 0 (a"
            " single scene or block is never divided)"
        )
    return chosen


def check_official_split(
    path: Path, names: Sequence[str], train: Sequence[int], test: Sequence[int]
) -> None:
    """Refuse official lists (`path`) that do not have each frame of a data set exactly once.

    Raises:
        ValueError: the message names the frames.
    """
    times = Counter([*train, *test])
    if wrong := [name for index, name in enumerate(names) if times[index] != 1]:
        raise ValueError(
            f"{path}: {len(wrong)} frames are not in exactly one of the training and test lists:"
            f" {name_some(wrong)}; take the official split"
        )


def held_out_groups(groups: Sequence[Hashable], fraction: float) -> set[Hashable]:
    """Choose whole groups that hold about `fraction` of the frames, evenly through the list.

    In the order of their first frames, a group is taken if that brings the frames taken so far
    nearer to the fraction of those passed. So each sensor has its share where a list has one sensor
    after another. If each of several groups is too large for that, the one whose size is nearest to
    the fraction is taken.
    """
    sizes = Counter(groups)
    taken: set[Hashable] = set()
    frames_taken = frames_passed = 0
    for group, size in sizes.items():
        frames_passed += size
        if frames_taken + size / 2 < fraction * frames_passed:
            taken.add(group)
            frames_taken += size
    if fraction > 0 and not taken and len(sizes) > 1:
        taken.add(min(sizes, key=lambda group: abs(sizes[group] - fraction * len(groups))))
    return taken


def runs_of_numbers(names: Sequence[str]) -> list[str]:
    """Group names whose last numbers follow one another without a gap.

    In NYUv2 the frames of a scene follow one another, and each scene is in one split: a gap in the
    training list is a test scene, and a run between gaps consists of whole scenes. Runs are cut
    after 50 names, in a list of less than 500 after a tenth of it. Names without numbers: `blocks`.
    """
    matches = [_LAST_NUMBER.search(name) for name in names]
    numbers = [int(match.group()) for match in matches if match]
    if len(numbers) < len(names) or len(set(numbers)) < len(names):
        return blocks(names)
    groups = [""] * len(names)
    longest = _cut(_LONGEST_RUN, names)
    run, length, last = 0, 0, None
    for place in sorted(range(len(names)), key=numbers.__getitem__):
        if last is not None and (numbers[place] != last + 1 or length == longest):
            run, length = run + 1, 0
        groups[place] = f"run {run}"
        last, length = numbers[place], length + 1
    return groups


def blocks(names: Sequence[str]) -> list[str]:
    """Group each 20 names that follow one another in one folder (the part up to the last slash).

    In a list of less than 200 a tenth of them.
    """
    longest = _cut(_LONGEST_BLOCK, names)
    seen: Counter[str] = Counter()
    groups = []
    for name in names:
        folder = name.rpartition("/")[0]
        groups.append(f"{folder}, block {seen[folder] // longest}")
        seen[folder] += 1
    return groups


def _cut(longest: int, names: Sequence[str]) -> int:
    return max(1, min(longest, len(names) // _FEWEST_PARTS))
