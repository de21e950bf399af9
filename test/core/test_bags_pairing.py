"""Pairing the images of a recording: the synchroniser's rule, with every stamp known."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rosbags", reason="bags are read with rosbags, which is not installed")

from fafnet_core.bags import AskedWrongly
from fafnet_core.bags.pairing import pair

MS = 1_000_000
SLOP = 40 * MS


def keys(stamps_ms: list[int], recorded_ms: list[int] | None = None) -> list[tuple[int, int]]:
    recorded = stamps_ms if recorded_ms is None else recorded_ms
    return [(a * MS, b * MS) for a, b in zip(stamps_ms, recorded, strict=True)]


def paired(colour: list[tuple[int, int]], depth: list[tuple[int, int]]) -> dict[int, int]:
    found = pair(colour, depth, SLOP).depth_of
    return {a[0] // MS: b[0] // MS for a, b in found.items()}


def test_nearest_stamps_pair_up_to_the_last_image() -> None:
    assert paired(keys([0, 33, 66]), keys([5, 38, 71])) == {0: 5, 33: 38, 66: 71}
    assert paired(keys([5, 38, 71]), keys([0, 33, 66])) == {5: 0, 38: 33, 71: 66}
    assert paired(keys([0]), keys([40])) == {0: 40}
    # However late it was recorded.
    assert paired(keys([0, 33, 66]), keys([0, 33, 66], [1000] * 3)) == {0: 0, 33: 33, 66: 66}


def test_images_without_a_partner_are_counted() -> None:
    pairs = pair(keys([0, 100, 200, 300]), keys([0, 210, 300, 400, 500]), SLOP)
    assert len(pairs.depth_of) == 3
    assert (pairs.unmatched_colour, pairs.unmatched_depth) == (1, 2)
    assert sorted(pairs.offsets_ns) == [0, 0, 10 * MS]
    assert pairs.hint is None


def test_a_clock_that_is_set_back_begins_a_new_part() -> None:
    stamps, recorded = [0, 33, 66, 0, 33, 66], [5000, 5033, 5066, 5100, 5133, 5166]
    colour = keys([stamp + (9000 if i < 3 else 2000) for i, stamp in enumerate(stamps)], recorded)
    found = pair(colour, colour, SLOP)
    assert found.depth_of == {key: key for key in colour}
    assert (found.unmatched_colour, found.unmatched_depth) == (0, 0)


@pytest.mark.parametrize(
    ("colour", "depth", "slop"),
    [([0], [102, 268], "0.11"), ([0, 500], [180, 690], "0.2"), ([0], [50], "0.06")],
)
def test_nothing_pairs_and_the_slop_that_would_is_named(
    colour: list[int], depth: list[int], slop: str
) -> None:
    with pytest.raises(AskedWrongly, match=f"--slop {slop} would pair them") as wrong:
        pair(keys(colour), keys(depth), SLOP)
    assert f"lie {abs(depth[0] - colour[0]) / 1000:g} to" in str(wrong.value)
    assert pair(keys(colour), keys(depth), round(float(slop) * 1e9)).unmatched_colour == 0


def test_different_clocks_are_not_blamed_on_the_slop() -> None:
    with pytest.raises(AskedWrongly, match="different clocks") as wrong:
        pair(keys([1_700_000_000_000]), keys([360_000]), SLOP)
    assert "would pair" not in str(wrong.value)


def test_a_hint_where_most_images_stay_alone() -> None:
    hint = pair(keys([0, 1000, 2000, 3000]), keys([0, 1100, 2100, 3100]), SLOP).hint
    assert "3 of 4 colour images have no depth" in str(hint)
    assert "--slop 0.11 would pair them" in str(hint)


@given(
    st.lists(st.integers(0, 3000), min_size=1, max_size=40, unique=True),
    st.lists(st.integers(0, 3000), min_size=1, max_size=40, unique=True),
)
@settings(max_examples=60, deadline=None)
def test_pairs_are_near_one_to_one_and_in_order(colour: list[int], depth: list[int]) -> None:
    try:
        found = pair(keys(sorted(colour)), keys(sorted(depth)), SLOP)
    except AskedWrongly:
        assert all(abs(a - b) > 40 for a in colour for b in depth)
        return
    pairs = sorted(found.depth_of.items())
    partners = [b for _, b in pairs]
    assert len(set(partners)) == len(partners)
    assert partners == sorted(partners)
    assert all(abs(a[0] - b[0]) <= SLOP for a, b in pairs)
    assert found.unmatched_colour == len(colour) - len(pairs)
    assert found.unmatched_depth == len(depth) - len(pairs)
