"""Every door takes what is valid, and refuses the rest in our own words.

A small run, always of the same inputs; `make trust` is the long one.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from door import Door, knock
from doors import DOORS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutation import mutated

_FAST, _SLOW = 60, 6


@pytest.mark.parametrize("name", [name for name, door in DOORS.items() if door.share > 0.1])
@pytest.mark.filterwarnings("ignore")
def test_what_comes_in_is_taken_or_refused_in_our_words(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    door = DOORS[name]
    folder = tmp_path_factory.mktemp("door")
    seeds = list(door.seeds(folder))
    if door.accepts:
        for seed in seeds:
            assert knock(door, seed, folder).accepted, name
    _refuses(door, seeds, folder, _FAST if door.share == 1 else _SLOW)


def _refuses(door: Door, seeds: list[bytes], folder: Path, inputs: int) -> None:
    @settings(
        max_examples=inputs, derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.integers(0, 2**32 - 1))
    def visit(number: int) -> None:
        outcome = knock(door, mutated(seeds, random.Random(number)), folder)
        assert not outcome.find, outcome.find

    visit()
