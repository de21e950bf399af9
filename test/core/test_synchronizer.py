"""Pairing by stamps: nearest, in order, nothing lost or counted twice."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fafnet_core.messages.synchronizer import Pair, Stream, Synchronizer

MS = 1_000_000
FRAME = 33 * MS
Pairs = list[tuple[int, int]]


def feed(sync: Synchronizer[int], images: list[tuple[Stream, int]]) -> Pairs:
    """Add images whose payload is their own stamp; return the stamps of the pairs."""
    pairs = [sync.add(stream, stamp, stamp) for stream, stamp in images]
    return [(pair.colour, pair.depth) for pair in pairs if pair is not None]


def play(sync: Synchronizer[int], images: list[tuple[int, Stream, int]]) -> list[int]:
    """Add images (receipt, stream, stamp) in order of receipt; return when pairs came."""
    return [
        received
        for received, stream, stamp in sorted(images, key=lambda image: image[0])
        if sync.add(stream, stamp, stamp, received) is not None
    ]


def longest_gap(times: list[int]) -> int:
    return max(after - before for before, after in itertools.pairwise(times))


C, D = Stream.COLOUR, Stream.DEPTH


def test_equal_stamps_pair_at_once_in_either_order() -> None:
    sync: Synchronizer[int] = Synchronizer(0)
    assert feed(sync, [(C, 100), (D, 100), (D, 200), (C, 200)]) == [(100, 100), (200, 200)]
    assert sync.counts == {"pairs": 2}
    # What comes twice is late.
    assert feed(sync, [(C, 300), (C, 300), (D, 300), (D, 300)]) == [(300, 300)]
    assert sync.counts == {"pairs": 3, "late_colour": 1, "late_depth": 1}


def test_a_pair_says_how_far_depth_lies_behind_colour() -> None:
    sync: Synchronizer[str] = Synchronizer(50)
    images = [(C, 106, "c"), (D, 110, "d"), (D, 120, "e"), (C, 123, "f")]
    pairs = [sync.add(*image) for image in images]
    assert [pair for pair in pairs if pair] == [Pair("c", "d", 4), Pair("f", "e", -3)]


def test_an_image_that_others_have_overtaken_still_pairs() -> None:
    for first, second in ((C, D), (D, C)):
        sync: Synchronizer[int] = Synchronizer(0)
        images = [(first, 0), (first, 20), (second, 0), (first, 10), (second, 10)]
        assert feed(sync, images) == [(0, 0), (10, 10)]


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


@pytest.mark.parametrize(("first", "second"), [(C, D), (D, C)])
def test_a_gap_of_more_than_half_the_interval_waits_for_the_next_image(
    first: Stream, second: Stream
) -> None:
    sync: Synchronizer[int] = Synchronizer(50)
    feed(sync, [(first, 90), (first, 100)])
    assert feed(sync, [(second, 106)]) == []  # one at 110 would be nearer
    assert feed(sync, [(first, 110)]) in ([(106, 110)], [(110, 106)])
    assert feed(sync, [(first, 120)]) == []
    assert feed(sync, [(second, 125)]) in ([(120, 125)], [(125, 120)])


@pytest.mark.parametrize("count", [8, 9])
def test_as_many_images_wait_as_the_queue_holds(count: int) -> None:
    sync: Synchronizer[int] = Synchronizer(0, queue_size=4)
    feed(sync, [(D, i) for i in range(count)])
    assert feed(sync, [(C, count - 5), (C, count - 4)]) == [(count - 4, count - 4)]


def test_stamps_further_apart_than_the_slop_never_pair() -> None:
    sync: Synchronizer[int] = Synchronizer(10 * MS, queue_size=4)
    images = [(s, i * FRAME + (15 * MS if s is D else 0)) for i in range(20) for s in (C, D)]
    assert feed(sync, images) == []
    assert sync.counts == {"unmatched_colour": 16, "unmatched_depth": 16}


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


@pytest.mark.parametrize("queue_size", [1, 10, 30, 100])
@pytest.mark.parametrize("rate", [5, 10, 30, 90])
@pytest.mark.parametrize("loop_ms", [200, 450, 900])
def test_a_loop_below_a_second_pairs_on_within_one_whatever_the_queue(
    queue_size: int, rate: int, loop_ms: int
) -> None:
    sync: Synchronizer[int] = Synchronizer(0, queue_size)
    interval = 1000 * MS // rate
    frames = max(loop_ms * MS // interval, 2)
    passes = 8_000 * MS // (frames * interval)
    images = [
        (i * interval, stream, i % frames * interval)
        for i in range(passes * frames)
        for stream in (C, D)
    ]
    times = play(sync, images)
    assert longest_gap(times) <= 700 * MS
    assert images[-1][0] - times[-1] <= 700 * MS
    if loop_ms > 500:
        assert sync.counts["jumps"] == passes - 1
    else:
        assert sync.counts["jumps"] >= 8  # passes that are missed as a whole cannot be counted


@pytest.mark.parametrize("back_ms", [500, 900, 1500, 10**7])
@pytest.mark.parametrize("lag_ms", [-100, -40, 0, 40, 100, 200])
def test_a_jump_counts_once_though_one_stream_comes_later(back_ms: int, lag_ms: int) -> None:
    sync: Synchronizer[int] = Synchronizer(0)
    images = []
    for i in range(90):
        stamp = 10**7 * MS + i * FRAME - (back_ms * MS if i >= 45 else 0)
        images += [(i * FRAME, C, stamp), (i * FRAME + lag_ms * MS, D, stamp)]
    times = play(sync, images)
    assert sync.counts["jumps"] == 1
    assert longest_gap(times) <= (700 * MS if back_ms < 1000 else abs(lag_ms) * MS + 2 * FRAME)


@pytest.mark.parametrize(("lag_ms", "jumps"), [(400, 1), (401, 2), (2000, 2)])
def test_the_other_stream_follows_a_jump_within_two_fifths_of_a_second_or_makes_its_own(
    lag_ms: int, jumps: int
) -> None:
    sync: Synchronizer[int] = Synchronizer(0)
    before = [(0, C, 5000 * MS), (1, D, 5000 * MS), (2, C, 0), (3, D, 5033 * MS)]
    times = play(sync, [*before, (2 + lag_ms * MS, D, 0)])
    assert sync.counts["jumps"] == jumps
    assert len(times) == (2 if jumps == 1 else 1)


@pytest.mark.parametrize(("later", "jumps"), [([], 0), ([250], 1)])
def test_images_behind_the_newest_that_come_in_reverse_are_no_jump(
    later: list[int], jumps: int
) -> None:
    sync: Synchronizer[int] = Synchronizer(0)
    stamps = [10_000, 9_900, 9_800, 9_700, 9_600, 9_500, *(9_500 + ms for ms in later)]
    play(sync, [(i * 100 * MS, C, ms * MS) for i, ms in enumerate(stamps)])
    assert sync.counts["jumps"] == jumps


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 900), min_size=60, max_size=60), st.sampled_from([10, 30]))
def test_images_in_any_order_are_no_jump_while_time_goes_on(delays: list[int], rate: int) -> None:
    sync: Synchronizer[int] = Synchronizer(0)
    interval = 1000 * MS // rate
    images = []
    for i in range(60):
        # Every third image comes at once, so that the newest stamp moves on.
        late = delays[i] * MS if i % 3 else 0
        images += [(i * interval, D, i * interval), (i * interval + late, C, i * interval)]
    play(sync, [image for image in images if image[0] <= 60 * interval])
    assert sync.counts["jumps"] == 0


def test_an_outage_that_lets_two_late_images_through_is_no_jump() -> None:
    sync: Synchronizer[int] = Synchronizer(0)
    stamps = [(0, 7), (33, 10), (66, 8), (900, 9), (910, 11), (943, 12)]
    play(sync, [(ms * MS, s, i * FRAME) for ms, i in stamps for s in (C, D)])
    assert sync.counts == {"pairs": 4, "late_colour": 2, "late_depth": 2}


def test_a_clock_that_stands_still_is_no_jump() -> None:
    sync: Synchronizer[int] = Synchronizer(0)
    play(sync, [(i * FRAME, s, 5) for i in range(100) for s in (C, D)])
    assert sync.counts == {"pairs": 1, "late_colour": 99, "late_depth": 99}


def test_images_keep_waiting_under_the_stamps_of_another_clock() -> None:
    sync: Synchronizer[int] = Synchronizer(0)
    feed(sync, [(C, 10_000 * MS), (D, 9_000 * MS), (C, 10_100 * MS)])
    other = {10_000 * MS: 1 * MS, 9_000 * MS: None, 10_100 * MS: 2 * MS}
    sync.restamp(lambda image: other[image])
    pair = sync.add(D, 2 * MS, 0)
    assert pair is not None
    assert pair.colour == 10_100 * MS
    # The image without a stamp by that clock, and the one that came before the pair.
    assert sync.counts == {"pairs": 1, "unmatched_depth": 1, "unmatched_colour": 1}


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
    added = [sync.add(stream, stamp, stamp, 10 * i) for i, (stream, stamp) in enumerate(images)]
    pairs = [(pair.colour, pair.depth) for pair in added if pair is not None]
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
def test_whatever_came_before_a_camera_pairs_within_half_a_second(
    images: list[tuple[Stream, int]], slop: int, queue_size: int, begin: int
) -> None:
    sync: Synchronizer[int] = Synchronizer(slop, queue_size)
    for i, (stream, stamp) in enumerate(images):
        sync.add(stream, stamp, stamp, i * MS)
    before = sync.counts["pairs"]
    now = len(images) * MS
    play(sync, [(now + i * FRAME, s, begin + i * FRAME) for i in range(16) for s in (C, D)])
    assert sync.counts["pairs"] > before
