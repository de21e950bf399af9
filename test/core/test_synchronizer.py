"""Pairing by stamps: nearest, in order, nothing lost or counted twice."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fafnet_core.messages.synchronizer import Stream, Synchronizer

MS = 1_000_000
FRAME = 33 * MS
Pairs = list[tuple[int, int]]


def feed(sync: Synchronizer[int], images: list[tuple[Stream, int]]) -> Pairs:
    """Add images whose payload is their own stamp; return the stamps of the pairs."""
    pairs = [sync.add(stream, stamp, stamp) for stream, stamp in images]
    return [(pair.colour, pair.depth) for pair in pairs if pair is not None]


C, D = Stream.COLOUR, Stream.DEPTH


def test_equal_stamps_pair_at_once_in_either_order() -> None:
    sync: Synchronizer[int] = Synchronizer(0)
    assert feed(sync, [(C, 100), (D, 100), (D, 200), (C, 200)]) == [(100, 100), (200, 200)]
    assert sync.counts == {"pairs": 2}


def test_a_lost_image_does_not_leave_pairs_off_by_one() -> None:
    sync: Synchronizer[int] = Synchronizer(20 * MS)
    images = []
    for i in range(10):
        images.append((C, i * FRAME))
        if i != 3:
            images.append((D, i * FRAME + 5 * MS))
    pairs = feed(sync, images)
    assert pairs == [(i * FRAME, i * FRAME + 5 * MS) for i in range(10) if i != 3]
    assert sync.counts["unmatched_colour"] == 1


def test_the_nearer_of_two_depth_images_is_taken() -> None:
    sync: Synchronizer[int] = Synchronizer(40 * MS)
    # Depth at 30 ms is within the slop of colour at 50 ms, but the next one is nearer.
    assert feed(sync, [(D, 30 * MS), (C, 50 * MS), (D, 60 * MS)]) == [(50 * MS, 60 * MS)]
    assert sync.counts["unmatched_depth"] == 1


def test_a_known_frame_interval_saves_waiting_for_the_next_image() -> None:
    sync: Synchronizer[int] = Synchronizer(20 * MS)
    first = [(D, 0), (C, 5 * MS), (D, FRAME)]
    assert feed(sync, first) == [(5 * MS, 0)]
    # Now that frames are known to be 33 ms apart, a gap of 5 ms cannot be beaten.
    assert feed(sync, [(C, FRAME + 5 * MS)]) == [(FRAME + 5 * MS, FRAME)]


def test_stamps_further_apart_than_the_slop_never_pair() -> None:
    sync: Synchronizer[int] = Synchronizer(10 * MS, queue_size=4)
    images = [(s, i * FRAME + (15 * MS if s is D else 0)) for i in range(20) for s in (C, D)]
    assert feed(sync, images) == []
    assert sync.counts["unmatched_colour"] == sync.counts["unmatched_depth"] == 16


def test_colour_that_comes_late_still_finds_its_depth() -> None:
    sync: Synchronizer[int] = Synchronizer(0, queue_size=10)
    depths = [(D, i * FRAME) for i in range(8)]
    assert feed(sync, [*depths, (C, 5 * FRAME)]) == [(5 * FRAME, 5 * FRAME)]
    # What is older than a pair that has left is late, also when it comes now.
    assert feed(sync, [(C, 4 * FRAME), (C, 6 * FRAME)]) == [(6 * FRAME, 6 * FRAME)]
    assert sync.counts["late_colour"] == 1
    assert sync.counts["unmatched_depth"] == 5


def test_a_jump_back_in_time_starts_anew() -> None:
    sync: Synchronizer[int] = Synchronizer(0)
    late, early = 100_000 * MS, 1_000 * MS
    images = [(C, late), (D, late), (C, late + FRAME), (C, early), (D, early)]
    assert feed(sync, images) == [(late, late), (early, early)]
    assert sync.counts["jumps"] == 1
    assert sync.counts["unmatched_colour"] == 1


def test_a_short_loop_starts_anew_too() -> None:
    sync: Synchronizer[int] = Synchronizer(0, queue_size=3)
    loop = [(s, i * FRAME) for i in range(27) for s in (C, D)]  # 0.9 s: less than jump_ns
    assert len(feed(sync, loop)) == 27
    assert len(feed(sync, loop)) > 20
    assert sync.counts["jumps"] == 1


def test_the_same_image_twice_is_late() -> None:
    sync: Synchronizer[int] = Synchronizer(0)
    assert feed(sync, [(C, 5), (C, 5), (D, 5), (D, 5)]) == [(5, 5)]
    assert (sync.counts["late_colour"], sync.counts["late_depth"]) == (1, 1)


def test_nonsense_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="slop -1 ns"):
        Synchronizer(-1)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(Stream), st.integers(0, 400)), max_size=60),
    st.integers(0, 30),
    st.integers(1, 6),
)
def test_pairs_are_in_order_within_the_slop_and_everything_is_counted(
    images: list[tuple[Stream, int]], slop: int, queue_size: int
) -> None:
    sync: Synchronizer[int] = Synchronizer(slop, queue_size, jump_ns=1000)
    pairs = feed(sync, images)
    for before, after in itertools.pairwise(pairs) if not sync.counts["jumps"] else ():
        assert before[0] < after[0]
        assert before[1] < after[1]
    assert all(abs(colour - depth) <= slop for colour, depth in pairs)
    sync.reset()
    for stream in Stream:
        came = sum(1 for s, _ in images if s is stream)
        counts = sync.counts
        name = stream.value
        gone = counts["pairs"] + counts[f"unmatched_{name}"] + counts[f"late_{name}"]
        assert gone == came


STAMPS = st.one_of(
    st.integers(-(2**31) * 10**9, 2**31 * 10**9),  # all that a message can hold
    st.integers(0, 3 * 10**9),
    st.integers(-50, 50),
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(Stream), STAMPS), max_size=60),
    st.integers(0, 10**9),
    st.integers(1, 6),
    st.integers(0, 10**9),
)
def test_whatever_came_before_a_camera_pairs_within_a_second_or_so(
    images: list[tuple[Stream, int]], slop: int, queue_size: int, begin: int
) -> None:
    sync: Synchronizer[int] = Synchronizer(slop, queue_size)
    for stream, stamp in images:
        sync.add(stream, stamp, stamp)
        assert all(len(buffer.images) <= queue_size for buffer in sync._buffers.values())
    before = sync.counts["pairs"]
    frames = 31 + 2 * queue_size
    feed(sync, [(s, begin + i * FRAME) for i in range(frames) for s in (C, D)])
    assert sync.counts["pairs"] > before


def test_a_stream_alone_keeps_no_more_than_its_queue() -> None:
    sync: Synchronizer[int] = Synchronizer(20 * MS, queue_size=4)
    assert feed(sync, [(D, i * FRAME) for i in range(1000)]) == []
    assert sync.counts == {"unmatched_depth": 996}
