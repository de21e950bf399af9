"""Down from accelerations: at rest, turning, shaken, and with clocks that jump."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fafnet_core.accelerometer import STANDARD_GRAVITY, GravityFilter, Reading, Vector
from fafnet_core.hha import estimate_gravity

G = STANDARD_GRAVITY
NS = 1_000_000_000
PERIOD_NS = 5_000_000


def pitched(degrees: float) -> Vector:
    """What a camera reads at rest that looks down by so much: down is (0, cos, sin)."""
    angle = math.radians(degrees)
    return (0.0, -G * math.cos(angle), -G * math.sin(angle))


def pitch_of(down: object) -> float:
    x, y, z = np.asarray(down)
    assert x == pytest.approx(0, abs=1e-9)
    return math.degrees(math.atan2(z, y))


def fed(readings: list[Vector], *, start_ns: int = 0, period_ns: int = PERIOD_NS) -> GravityFilter:
    low_pass = GravityFilter()
    for i, reading in enumerate(readings):
        stamp = start_ns + i * period_ns
        low_pass.add(stamp, stamp, reading)
    return low_pass


def test_one_reading_at_rest_is_an_answer_and_none_is_none() -> None:
    assert GravityFilter().down(0, 0) is None
    low_pass = GravityFilter()
    assert low_pass.add(7, 7, pitched(20)) is Reading.USED
    down = low_pass.down(7, 7)
    assert down is not None
    angle = math.radians(20)
    np.testing.assert_allclose(down, (0.0, math.cos(angle), math.sin(angle)), atol=1e-15)


@pytest.mark.parametrize("period_ns", [2_500_000, PERIOD_NS, 16_000_000, 100_000_000])
def test_a_step_comes_through_by_the_time_constant_at_any_rate(period_ns: int) -> None:
    low_pass = GravityFilter(time_constant_s=0.5)
    begun = 20 * NS  # long enough for the old direction to be all there is
    for stamp in range(0, begun + NS // 2 + 1, period_ns):
        low_pass.add(stamp, stamp, pitched(0) if stamp <= begun else pitched(20))
    last = stamp
    new = 1 - math.exp(-((last - begun) / NS) / 0.5)
    old, angle = 1 - new, math.radians(20)
    expected = math.degrees(math.atan2(new * math.sin(angle), old + new * math.cos(angle)))
    assert pitch_of(low_pass.down(last, last)) == pytest.approx(expected, abs=1e-6)
    assert new == pytest.approx(1 - math.exp(-1), abs=0.08)


def test_a_gyroscope_takes_the_lag_away() -> None:
    """A camera that tilts by 60 degrees a second about its x axis, its nose going down."""
    rate = 60.0
    lazy, quick = GravityFilter(), GravityFilter()
    for i in range(200):
        stamp = i * PERIOD_NS
        reading = pitched(rate * stamp / NS)
        lazy.add(stamp, stamp, reading)
        quick.add(stamp, stamp, reading, (-math.radians(rate), 0.0, 0.0))
    truth = rate * stamp / NS
    assert pitch_of(quick.down(stamp, stamp)) == pytest.approx(truth, abs=1e-6)
    assert truth - pitch_of(lazy.down(stamp, stamp)) > 15


def test_through_a_disturbance_the_gyroscope_alone_counts_for_a_second() -> None:
    low_pass = fed([pitched(0)] * 100)
    last = 99 * PERIOD_NS
    for i in range(1, 101):  # half a second of strong braking, and 20 degrees of tilt in it
        stamp = last + i * PERIOD_NS
        turning = (-math.radians(40), 0.0, 0.0)
        assert low_pass.add(stamp, stamp, (0.0, -G, 2 * G), turning) is Reading.DISTURBED
    assert pitch_of(low_pass.down(stamp, stamp)) == pytest.approx(20, abs=1e-9)
    assert low_pass.down(stamp, last + NS) is not None
    assert low_pass.down(stamp, last + NS + 1) is None


@pytest.mark.parametrize("share", [0.79, 1.21, 0.1, 5.0])
def test_a_reading_far_from_1_g_changes_nothing(share: float) -> None:
    low_pass = fed([pitched(10)] * 50)
    stamp = 50 * PERIOD_NS
    aside = (share * G, 0.0, 0.0)
    assert low_pass.add(stamp, stamp, aside) is Reading.DISTURBED
    assert pitch_of(low_pass.down(stamp, stamp)) == pytest.approx(10, abs=1e-12)


@pytest.mark.parametrize("nothing", [(0.0, 0.0, 0.0), (math.nan, -G, 0.0), (0.0, math.inf, 0.0)])
def test_no_acceleration_is_no_answer(nothing: Vector) -> None:
    low_pass = GravityFilter()
    assert low_pass.add(1, 1, nothing) is Reading.ABSENT
    assert low_pass.down(1, 1) is None
    low_pass.add(2, 2, pitched(5))
    assert low_pass.add(3, 3, nothing) is Reading.ABSENT
    assert pitch_of(low_pass.down(3, 3)) == pytest.approx(5)


@pytest.mark.parametrize("turn", [(math.nan, 0.0, 0.0), (1e6, 0.0, 0.0), (math.inf, 0.0, 0.0)])
def test_what_no_gyroscope_measures_turns_nothing(turn: Vector) -> None:
    low_pass, stamp = fed([pitched(5)] * 10), 10 * PERIOD_NS
    low_pass.add(stamp, stamp, pitched(5), turn)
    assert pitch_of(low_pass.down(stamp, stamp)) == pytest.approx(5)


def test_an_earlier_stamp_gets_the_direction_of_then() -> None:
    low_pass = GravityFilter()
    answers = {}
    for i in range(200):
        stamp = 100 * NS + i * PERIOD_NS
        low_pass.add(stamp, stamp, pitched(0.1 * i))
        answers[stamp] = pitch_of(low_pass.down(stamp, stamp))
    now = stamp
    for past, answer in answers.items():
        # The nearest reading counts, from both sides.
        for offset in (0, 2_000_000, -2_000_000):
            assert pitch_of(low_pass.down(past + offset, now)) == pytest.approx(answer, abs=1e-12)
    assert pitch_of(low_pass.down(100 * NS - NS, now)) == answers[100 * NS]
    for unrelated in (0, 100 * NS - NS - 1, now + NS + 1, 10**18):
        assert pitch_of(low_pass.down(unrelated, now)) == answers[now]


def test_a_clock_that_jumps_starts_anew_and_a_late_message_does_not() -> None:
    low_pass = fed([pitched(0)] * 100, start_ns=50 * NS)
    last = 50 * NS + 99 * PERIOD_NS
    assert low_pass.add(last - PERIOD_NS, last + 1, pitched(20)) is Reading.LATE
    assert pitch_of(low_pass.down(last, last)) == pytest.approx(0, abs=1e-12)
    for jump in (3 * NS, last + 2 * NS):  # a bag that loops; a pause of two seconds
        low_pass.add(jump, last + 2, pitched(20))
        assert pitch_of(low_pass.down(jump, last + 2)) == pytest.approx(20, abs=1e-12)
        low_pass.reset()
        low_pass.add(last, last + 2, pitched(0))


def test_without_stamps_the_receipt_counts() -> None:
    stamped, unstamped = GravityFilter(), GravityFilter()
    for i in range(300):
        received = i * PERIOD_NS
        reading = pitched(0 if i < 150 else 20)
        stamped.add(received, received, reading)
        unstamped.add(0, received, reading)
    expected = stamped.down(received, received)
    assert expected is not None
    np.testing.assert_array_equal(unstamped.down(0, received), expected)
    np.testing.assert_array_equal(unstamped.down(received + 10 * NS, received), expected)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(-2 * NS, 2 * NS),
            st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 3),
            st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 3),
        ),
        max_size=30,
    )
)
def test_whatever_comes_the_answer_is_none_or_a_unit_vector(
    messages: list[tuple[int, Vector, Vector]],
) -> None:
    low_pass = GravityFilter()
    stamp = 10**18
    for i, (step, acceleration, angular_velocity) in enumerate(messages):
        stamp += step
        low_pass.add(stamp, i, acceleration, angular_velocity)
        down = low_pass.down(stamp, i)
        if down is not None:
            assert np.linalg.norm(down) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("degrees", [-25.0, 0.0, 25.0])
def test_before_a_bare_wall_it_knows_the_tilt_and_the_depth_image_does_not(degrees: float) -> None:
    rng, roll = np.random.default_rng(1), math.radians(20)
    pitch = math.radians(degrees)
    down = np.array((math.sin(roll), math.cos(roll) * math.cos(pitch), math.sin(pitch)))
    down /= np.linalg.norm(down)
    readings = -G * down + rng.normal(0, 0.2, (200, 3))
    found = fed([tuple(reading) for reading in readings.tolist()]).down(NS, NS)
    assert found is not None

    ahead = np.cross(down, (1.0, 0.0, 0.0))  # level, so along the normal of an upright wall
    ahead *= np.sign(ahead[2]) / np.linalg.norm(ahead)
    rows, columns = np.mgrid[:90, :120]
    rays = np.stack([(columns - 59.5) / 100, (rows - 44.5) / 100, np.ones(rows.shape)])
    inverse = np.tensordot(ahead, rays, 1) / 2.5 + rng.normal(0, 0.002, rows.shape)
    camera = np.array([[100, 0, 59.5], [0, 100, 44.5], [0, 0, 1.0]])
    estimated = estimate_gravity((1 / inverse).astype(np.float32), camera)

    assert math.degrees(math.acos(float(down @ found))) < 1
    assert math.degrees(math.acos(float(down @ estimated))) > 10
