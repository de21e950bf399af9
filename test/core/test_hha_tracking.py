"""Gravity and ground from frame to frame, with normals and heights whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core.hha.tracking import FollowingRate, GravityTracker, GroundTracker

Vector = NDArray[np.float64]
Normals = NDArray[np.float32]
SMOOTHING_S = 0.5


def down(roll_deg: float) -> Vector:
    """Gravity in the frame of a camera that is rolled."""
    return np.array([math.sin(math.radians(roll_deg)), math.cos(math.radians(roll_deg)), 0])


def room(
    roll_deg: float, *, floor: int = 60, side: int = 20, ahead: int = 20, none: int = 0
) -> Normals:
    """So many normals of a floor, of walls at the sides and ahead, and windows without one."""
    below = down(roll_deg)
    axes = np.array([below, (below[1], -below[0], 0), (0, 0, 1), (0, 0, 0)])
    return np.repeat(axes, (floor, side, ahead, none), axis=0).T.astype(np.float32)


def roll(direction: Vector) -> float:
    return math.degrees(math.atan2(direction[0], direction[1]))


@pytest.mark.parametrize(
    ("left", "faster"), [(0.0, 1), (0.2, 2), (-0.2, 2), ((0.12, 0.16), 2), (0.4, 5), (0.1, 1.25)]
)
def test_a_mean_difference_of_the_scale_halves_the_time_constant(
    left: float | tuple[float, ...], faster: float
) -> None:
    # After so long a time the mean is that of the one answer.
    share = FollowingRate(SMOOTHING_S, scale=0.2).share(left, SMOOTHING_S)
    assert share == pytest.approx(1 - math.exp(-faster), abs=1e-4)


def test_the_mean_is_taken_over_a_tenth_of_the_time_constant() -> None:
    step_s = 0.05 * math.log(2)  # the mean goes half of the way
    share = FollowingRate(SMOOTHING_S, scale=1.0).share(2.0, step_s)
    assert share == pytest.approx(1 - math.exp(-2 * step_s / SMOOTHING_S))


def test_differences_to_and_fro_are_noise_and_those_to_one_side_are_not() -> None:
    noise, drift = FollowingRate(SMOOTHING_S, 0.2), FollowingRate(SMOOTHING_S, 0.2)
    slow = 1 - math.exp(-0.01 / SMOOTHING_S)
    for k in range(50):
        left = noise.share(0.2 * (-1) ** k, 0.01), drift.share(0.2, 0.01)
    assert left[0] == pytest.approx(slow, rel=0.05)
    assert left[1] > 1.5 * slow
    drift.restart()
    assert drift.share(0.0, 0.01) == pytest.approx(slow)


def test_what_is_gone_is_no_difference_any_more() -> None:
    rate = FollowingRate(SMOOTHING_S, 0.2)
    share = rate.share(0.2, SMOOTHING_S)  # the mean is 0.2, of which the share is gone
    again = rate.share(0.0, 0.05 * math.log(2))  # and half of the rest
    behind = (1 - share) / 2
    assert again == pytest.approx(1 - math.exp(-0.1 * math.log(2) * (1 + behind**2)), rel=1e-4)


def test_a_small_turn_is_followed_with_the_time_constant_and_a_large_one_sooner() -> None:
    shares = []
    for turn in (0.01, 1.0, 5.0):
        tracker = GravityTracker(SMOOTHING_S)
        tracker.update(room(0), 0.1)
        shares.append(roll(tracker.update(room(turn), 0.1)) / turn)
    # The mean has gone 1 - exp(-2) of the way; a quarter of a degree halves the time constant.
    gone = 1 - math.exp(-2)
    expected = [1 - math.exp(-0.2 * (1 + (turn * gone / 0.25) ** 2)) for turn in (0.01, 1.0, 5.0)]
    assert shares == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("elapsed_s", "limit_deg"), [(1 / 64, 7.875), (1 / 32, 9.75), (1 / 16, 13.5)]
)
def test_a_turn_that_hands_do_not_make_is_taken_when_the_next_frame_says_so_too(
    elapsed_s: float, limit_deg: float
) -> None:
    def after(*rolls: float) -> list[float]:
        tracker = GravityTracker(SMOOTHING_S)
        tracker.update(room(0), elapsed_s)
        return [roll(tracker.update(room(turn), elapsed_s)) for turn in rolls]

    # What is pulled towards the last direction says a little less than the room.
    near, far = limit_deg - 0.2, limit_deg + 0.3
    assert after(near)[0] > 0.5 * near
    assert after(far, far) == pytest.approx([0, far], abs=0.2)
    assert after(far, 0, 0) == pytest.approx([0, 0, 0], abs=1e-6)
    assert after(far, -far, -far) == pytest.approx([0, 0, -far], abs=0.2)


@pytest.mark.parametrize(("none", "is_enough"), [(98 * 100, False), (98 * 98, True)])
def test_a_frame_with_normals_in_less_than_a_hundredth_of_its_windows_is_passed_over(
    none: int, is_enough: bool
) -> None:
    few = room(5, floor=90, side=4, ahead=4, none=none)
    tracker = GravityTracker(SMOOTHING_S)
    # Its answer is given, but the next frame does not start from it.
    assert roll(tracker.update(few, 0.1)) == pytest.approx(5, abs=1e-3)
    assert (tracker.direction is not None) == is_enough
    tracker = GravityTracker(SMOOTHING_S)
    tracker.update(room(0), 0.1)
    assert (roll(tracker.update(few, 0.1)) > 1) == is_enough


def pairs(count: int, across: float, below: float) -> Normals:
    """Normals at 40 degrees of one axis, half of them mirrored: they move no estimate."""
    along, ahead = math.cos(math.radians(40)), math.sin(math.radians(40))
    both = np.array([[across, across], [below, below], [0, 0]]) * along
    both[2] = ahead, -ahead
    return np.repeat(both, count // 2, axis=1).astype(np.float32)


def with_walls_askew(count: int) -> Normals:
    """A room where so many walls more agree with gravity than with the side."""
    return np.concatenate([room(0), pairs(count, 1, 0)], axis=1)


def with_slopes(count: int) -> Normals:
    """A room where so many slopes agree with the side, and not with gravity."""
    return np.concatenate([room(0), pairs(count, 0, 1)], axis=1)


@pytest.mark.parametrize(
    ("normals", "given_up_s"),
    [
        (room(0), 1.5),
        (with_walls_askew(8), 1.5),  # by 8 per cent
        (with_walls_askew(12), 0.5),  # by 12 per cent: at the first comparison
        (with_slopes(4), 1.5),
        (with_slopes(6), math.inf),
    ],
)
def test_a_direction_is_given_up_for_a_better_one_and_after_a_second_for_one_as_good(
    normals: Normals, given_up_s: float
) -> None:
    tracker = GravityTracker(SMOOTHING_S)
    tracker.set(down(90))  # the walls at the sides are taken for the floor
    seconds = np.arange(1, 33) / 8
    found = [abs(roll(tracker.update(normals, 1 / 8))) < 1 for _ in seconds]
    np.testing.assert_array_equal(found, seconds >= given_up_s)


@pytest.mark.parametrize(("count", "is_given_up"), [(14, False), (20, True)])
def test_a_direction_is_compared_at_once_when_15_per_cent_fewer_normals_agree(
    count: int, is_given_up: bool
) -> None:
    tracker = GravityTracker(SMOOTHING_S)
    tracker.set(down(90))
    for _ in range(30):
        assert roll(tracker.update(room(0), 1 / 64)) == pytest.approx(90)
    found = roll(tracker.update(with_walls_askew(count), 1 / 64))
    assert found == pytest.approx(0 if is_given_up else 90, abs=1e-3)


def lying(*heights_m: float) -> NDArray[np.float32]:
    """A thousand points at each height."""
    return np.repeat(np.array(heights_m, np.float32), 1000)


def grounds(*lowest_m: float, elapsed_s: float = 60.0) -> list[float]:
    """The ground after each frame; the pauses are long enough to follow it to the end."""
    tracker = GroundTracker(SMOOTHING_S)
    return [tracker.update(lying(lowest), elapsed_s) for lowest in lowest_m]


@pytest.mark.parametrize(("count", "ground_m"), [(2, -1.4), (3, -3.0)])
def test_two_in_a_thousand_points_may_lie_lower_than_the_ground(
    count: int, ground_m: float
) -> None:
    heights = np.repeat(np.array([-1.4, -3.0], np.float32), (1000 - count, count))
    assert GroundTracker(SMOOTHING_S).update(heights, 0.1) == pytest.approx(ground_m)


def test_the_ground_is_assumed_where_the_lowest_point_is_too_high_for_it() -> None:
    assert grounds(-0.91) == pytest.approx([-0.91])
    assert grounds(-0.89) == pytest.approx([-1.3])
    # Between the two it is what it was before.
    assert grounds(-1.2, -0.86, -0.84, -0.94, -0.96) == pytest.approx(
        [-1.2, -0.86, -1.3, -1.3, -0.96]
    )
    assert GroundTracker(SMOOTHING_S).update(lying(), 0.1) == -1.3


def test_a_ground_that_sinks_by_five_centimetres_halves_the_time_constant() -> None:
    after = grounds(-1.0, -1.05, elapsed_s=SMOOTHING_S)
    assert after[1] == pytest.approx(-1.0 - 0.05 * (1 - math.exp(-2)), abs=1e-5)
    # A rise between has it forget that.
    tracker = GroundTracker(SMOOTHING_S)
    for lowest in (-1.0, -1.5, -1.0):
        last = tracker.update(lying(lowest), 0.02)
    share = (tracker.update(lying(last - 0.05), 0.05 * math.log(2)) - last) / -0.05
    assert share == pytest.approx(1 - math.exp(-0.1 * math.log(2) * 1.25), rel=1e-3)


def test_a_few_low_points_are_no_ground() -> None:
    ground, low = GroundTracker(SMOOTHING_S), np.append(lying(-1.4, 0.5), (-3.0, -2.5))
    assert ground.update(low, 1 / 30) == pytest.approx(-1.4)
    assert ground.update(np.append(low, lying(-2.0)), 1 / 30) < -1.5


def test_a_floor_out_of_view_is_forgotten_in_time_and_soon_taken_when_back() -> None:
    ground = GroundTracker(SMOOTHING_S)
    ground.update(lying(-1.6), 1 / 30)
    for _ in range(15):
        last = ground.update(lying(-1.0), 1 / 30)
    assert last == pytest.approx(-1.0 - 0.6 * math.exp(-1), abs=1e-6)
    for _ in range(4):
        last = ground.update(lying(-1.6), 1 / 30)
    assert last == pytest.approx(-1.6, abs=0.08)


def test_a_lowest_point_about_the_limit_does_not_switch_the_ground_to_and_fro() -> None:
    for first, ground_m in ((-0.92, -0.9), (-0.85, -1.3)):
        ground = GroundTracker(SMOOTHING_S)
        ground.update(lying(first), 1 / 30)
        for k in range(40):
            last = ground.update(lying(-0.9 + 0.03 * (-1) ** k), 1 / 30)
        assert last == pytest.approx(ground_m, abs=0.03)
        assert ground.update(lying(), 1 / 30) == last
