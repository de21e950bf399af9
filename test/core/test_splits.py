"""Validation is carved from training: whole groups, the same each time, evenly through the list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fafnet_core.data.matlab import read_matlab5
from fafnet_core.data.splits import Split, blocks, choose_frames, held_out_groups, runs_of_numbers


@given(
    groups=st.lists(st.integers(0, 12), min_size=1, max_size=80),
    fraction=st.floats(0, 0.99),
)
def test_training_and_validation_are_the_official_training_split(
    groups: list[int], fraction: float
) -> None:
    frames = list(range(len(groups)))
    chosen: dict[Split, list[int]] = {}
    splits: tuple[Split, ...] = ("train", "val")
    for split in splits:
        try:
            chosen[split] = choose_frames(
                split,
                frames,
                [-1],
                groups=groups,
                validation=fraction,
            )
        except ValueError:
            chosen[split] = []
    assert sorted(chosen["train"] + chosen["val"]) == frames
    assert not {groups[i] for i in chosen["train"]} & {groups[i] for i in chosen["val"]}
    largest = max(groups.count(group) for group in groups)
    assert abs(len(chosen["val"]) - fraction * len(frames)) <= largest


def test_the_fraction_is_taken_evenly_through_the_list() -> None:
    groups = [i // 10 for i in range(1000)]
    held_out = held_out_groups(groups, 0.1)
    assert len(held_out) == 10
    assert all(sum(k * 10 <= group < (k + 1) * 10 for group in held_out) == 1 for k in range(10))  # type: ignore[operator]


def test_the_test_split_is_left_alone() -> None:
    assert choose_frames("test", [1, 2], [3, 4], groups=[0, 0], validation=0.5) == [3, 4]


def test_without_validation_training_has_every_frame() -> None:
    assert choose_frames("train", [5, 6, 7], [1], groups=[0, 1, 2], validation=0) == [5, 6, 7]
    with pytest.raises(ValueError, match=r"the val split has no frame: 3 training frames in 3"):
        choose_frames("val", [5, 6, 7], [1], groups=[0, 1, 2], validation=0)


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan"), True, "0.1"])
def test_fractions_that_cannot_be(fraction: float) -> None:
    with pytest.raises(ValueError, match="validation is"):
        choose_frames("train", [1], [2], groups=[0], validation=fraction)


def test_a_misspelt_split() -> None:
    with pytest.raises(ValueError, match="unknown split 'trian': did you mean 'train'"):
        choose_frames("trian", [1], [2], groups=[0], validation=0)  # type: ignore[arg-type]


def test_runs_end_where_a_number_is_left_out() -> None:
    runs = runs_of_numbers(["0003", "0004", "0010", "0005", "0011"])
    assert runs[0] == runs[1] == runs[3]
    assert runs[2] == runs[4]
    assert len(set(runs)) == 2
    long = runs_of_numbers([str(i) for i in range(120)])
    assert [long.count(run) for run in dict.fromkeys(long)] == [50, 50, 20]


def test_names_without_numbers_go_in_blocks() -> None:
    names = [f"kitchen/{letter}{other}" for letter in "abcde" for other in "vwxyz"]
    assert runs_of_numbers(names) == blocks(names)
    assert [blocks(names).count(group) for group in dict.fromkeys(blocks(names))] == [20, 5]


def test_blocks_do_not_cross_folders() -> None:
    assert len(set(blocks(["a/1", "b/1", "a/2", "b/2"]))) == 2


def test_the_real_nyuv2_training_list_falls_into_short_runs(shared_data: Path) -> None:
    train = read_matlab5(shared_data / "nyuv2" / "splits.mat", ("trainNdxs",))["trainNdxs"]
    runs = runs_of_numbers([f"{i:04d}" for i in train])
    assert len(set(runs)) == 123
    assert max(np.unique(runs, return_counts=True)[1]) == 34
    val = choose_frames("val", list(train), [0], groups=runs, validation=0.1)
    assert 75 <= len(val) <= 84
