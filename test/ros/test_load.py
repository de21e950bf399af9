"""Load control: frames are thinned out evenly."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fafnet_ros.node.load import RateLimit


def admitted(limit: RateLimit, times: list[float]) -> list[int]:
    return [i for i, now in enumerate(times) if limit.admits(now)]


def camera(frames: int, rate: float = 30.0, jitter: float = 0.0, start: float = 7.0) -> list[float]:
    generator = random.Random(3)
    return [start + (i + generator.uniform(-jitter, jitter)) / rate for i in range(frames)]


@pytest.mark.parametrize("jitter", [0.0, 0.1])
def test_ten_of_thirty_is_every_third(jitter: float) -> None:
    passed = admitted(RateLimit(10), camera(300, jitter=jitter))
    assert {later - earlier for earlier, later in pairwise(passed)} == {3}
    assert len(passed) == 100


def test_a_camera_at_the_limit_keeps_its_frames_in_spite_of_jitter() -> None:
    assert len(admitted(RateLimit(30), camera(900, jitter=0.1))) == 900
    # Half an interval each way: what the first frame's own delay costs is lost once.
    assert len(admitted(RateLimit(30), camera(900, jitter=0.25))) >= 897
    # One a little faster than the limit loses what it has too much, not every other frame.
    assert 890 <= len(admitted(RateLimit(30), camera(900, rate=30.1))) <= 900


def test_zero_admits_all() -> None:
    assert len(admitted(RateLimit(0), [1.0] * 50)) == 50


def test_a_pause_is_not_made_up_for() -> None:
    limit = RateLimit(10)
    before = admitted(limit, camera(30))
    after = admitted(limit, camera(30, start=60.0))
    assert len(before) == len(after) == 10
    assert after[:3] == [0, 3, 6]


def test_a_clock_that_jumps_back_does_not_stop_the_frames() -> None:
    limit = RateLimit(10)
    admitted(limit, camera(30, start=1000.0))
    assert admitted(limit, camera(30, start=5.0))[:3] == [0, 3, 6]


@given(
    st.floats(1, 100),
    st.lists(st.floats(0, 0.3), min_size=2, max_size=200),
)
def test_no_stretch_of_time_has_more_than_its_share(rate: float, gaps: list[float]) -> None:
    now, times, limit = 0.0, [], RateLimit(rate)
    for gap in gaps:
        now += gap
        if limit.admits(now):
            times.append(now)
    assert len(times) > 0
    for i, begin in enumerate(times):
        for j in range(i, len(times)):
            assert j - i + 1 <= (times[j] - begin) * rate + 2.26
