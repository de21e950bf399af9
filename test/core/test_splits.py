"""Validation is carved from training: whole groups, the same each time, evenly through the list."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fafnet_core.datasets.matlab import read_matlab5
from fafnet_core.datasets.splits import blocks, choose_frames, held_out_groups, runs_of_numbers
from fafnet_core.samples import Split


@given(
    groups=st.lists(st.integers(0, 12), min_size=1, max_size=80),
    fraction=st.floats(0, 0.99),
)
def test_training_and_validation_are_the_official_training_split(
    groups: list[int], fraction: float
) -> None:
    frames = list(range(len(groups)))
    chosen: dict[Split, list[int]] = {"train": [], "val": []}
    for split in chosen:
        with suppress(ValueError):  # a split without frames
            chosen[split] = choose_frames(split, frames, [-1], groups=groups, validation=fraction)
    assert sorted(chosen["train"] + chosen["val"]) == frames
    assert not {groups[i] for i in chosen["train"]} & {groups[i] for i in chosen["val"]}
    largest = max(groups.count(group) for group in groups)
    assert abs(len(chosen["val"]) - fraction * len(frames)) <= largest


def test_the_fraction_is_taken_evenly_through_the_list() -> None:
    groups = [i // 10 for i in range(1000)]
    held_out = held_out_groups(groups, 0.1)
    assert len(held_out) == 10
    assert all(sum(k * 10 <= group < (k + 1) * 10 for group in held_out) == 1 for k in range(10))  # type: ignore[operator]


@given(
    groups=st.lists(st.integers(0, 12), min_size=2, max_size=300),
    fraction=st.floats(1e-6, 0.99),
)
def test_of_two_groups_or_more_at_least_one_is_held_out(groups: list[int], fraction: float) -> None:
    if len(set(groups)) > 1:
        assert held_out_groups(groups, fraction)
    assert held_out_groups(groups, 0) == set()


def test_where_every_group_is_too_large_the_one_nearest_to_the_fraction_is_held_out() -> None:
    assert held_out_groups(["a"] * 50 + ["b"] * 30 + ["c"] * 40, 0.1) == {"b"}


@pytest.mark.parametrize("count", [10, 50, 51, 100, 249, 499, 500, 795])
def test_any_list_of_ten_frames_or_more_has_about_a_tenth_for_validation(count: int) -> None:
    numbered = [f"{number:04d}" for number in range(count)]
    for names in (numbered, [f"room-{name}-left-of-door" for name in map(_letters, numbered)]):
        groups = runs_of_numbers(names)
        val = choose_frames("val", names, [], groups=groups, validation=0.1)
        assert 0.08 * count <= len(val) <= 0.14 * count


def _letters(digits: str) -> str:
    return digits.translate(str.maketrans("0123456789", "abcdefghij"))


def test_one_group_is_never_divided() -> None:
    with pytest.raises(ValueError, match="never divided"):
        choose_frames("val", [5, 6, 7], [1], groups=["a", "a", "a"], validation=0.1)


def test_the_test_split_is_left_alone() -> None:
    assert choose_frames("test", [1, 2], [3, 4], groups=[0, 0], validation=0.5) == [3, 4]


def test_without_validation_training_has_every_frame() -> None:
    assert choose_frames("train", [5, 6, 7], [1], groups=[0, 1, 2], validation=0) == [5, 6, 7]
    with pytest.raises(ValueError, match=r"val split .*train\.validate_every: 0"):
        choose_frames("val", [5, 6, 7], [1], groups=[0, 1, 2], validation=0)


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan")])
def test_fractions_out_of_range(fraction: float) -> None:
    with pytest.raises(ValueError, match="validation is"):
        choose_frames("train", [1], [2], groups=[0], validation=fraction)


def test_a_misspelt_split() -> None:
    with pytest.raises(ValueError, match="trian"):
        choose_frames("trian", [1], [2], groups=[0], validation=0)  # type: ignore[arg-type]


def test_runs_end_where_a_number_is_left_out() -> None:
    numbers = [number for number in range(70) if number % 7]  # ten runs of six
    shuffled = sorted(numbers, key=lambda number: number * 37 % 71)
    runs = dict(
        zip(shuffled, runs_of_numbers([f"{number:04d}" for number in shuffled]), strict=True)
    )
    for number in numbers:
        assert [other for other in numbers if runs[other] == runs[number]] == [
            other for other in numbers if other // 7 == number // 7
        ]
    long = runs_of_numbers([str(i) for i in range(520)])
    assert [long.count(run) for run in dict.fromkeys(long)] == [50] * 10 + [20]


def test_blocks_of_a_short_list_are_shorter() -> None:
    short = runs_of_numbers([str(i) for i in range(105)])
    assert [short.count(run) for run in dict.fromkeys(short)] == [10] * 10 + [5]
    assert len(set(runs_of_numbers(list("123")))) == 3
    assert len(set(blocks([f"kitchen/{letter}" for letter in "abc"]))) == 3


def test_names_without_numbers_go_in_blocks() -> None:
    letters = "abcdefghijklmno"
    names = [f"kitchen/{letter}{other}" for letter in letters for other in letters]
    assert runs_of_numbers(names) == blocks(names)
    sizes = [blocks(names).count(group) for group in dict.fromkeys(blocks(names))]
    assert sizes == [20] * 11 + [5]


def test_blocks_do_not_cross_folders() -> None:
    groups = blocks([f"{folder}/{number}" for number in range(20) for folder in "ab"])
    assert groups[0::2] == [f"a, block {number // 4}" for number in range(20)]
    assert groups[1::2] == [f"b, block {number // 4}" for number in range(20)]


def test_the_real_nyuv2_training_list_falls_into_short_runs(shared_data: Path) -> None:
    stored = read_matlab5(shared_data / "nyuv2" / "splits.mat", ("trainNdxs",))["trainNdxs"]
    train = stored.astype(int)
    runs = runs_of_numbers([f"{i:04d}" for i in train])
    assert len(set(runs)) == 123
    assert max(np.unique(runs, return_counts=True)[1]) == 34
    val = choose_frames("val", list(train), [0], groups=runs, validation=0.1)
    assert 75 <= len(val) <= 84
