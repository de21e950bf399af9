"""Statistics by a clock in the test's hands, and what they cost."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from fafnet_ros.diagnostics.statistics import Statistics, rate_text


class Hands:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_rates_ages_and_counts() -> None:
    clock = Hands()
    statistics = Statistics(clock)
    assert statistics.rate("colour") == 0
    assert statistics.age("colour") == float("inf")
    for _ in range(60):
        statistics.count("colour")
        clock.now += 0.1
    assert statistics.rate("colour") == pytest.approx(10)
    assert statistics.age("colour") == pytest.approx(0.1)
    assert statistics.counts == {"colour": 60}
    clock.now += 2
    assert statistics.rate("colour") == 0


def test_what_lasts_begins_anew_after_two_seconds_of_silence() -> None:
    clock = Hands()
    statistics = Statistics(clock)
    assert statistics.lasting("colour") == 0
    for pause in (0.5, 2.0, 1.5):
        statistics.count("colour")
        clock.now += pause
    assert statistics.lasting("colour") == pytest.approx(4.0)
    clock.now += 0.6
    assert statistics.lasting("colour") == 0
    statistics.count("colour")
    clock.now += 0.25
    assert statistics.lasting("colour") == pytest.approx(0.25)


def heard(clock: Hands, statistics: Statistics, gaps: list[float]) -> None:
    """Count an event after each of these seconds."""
    for gap in gaps:
        clock.now += gap
        statistics.count("colour")


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.33, 0.45])
def test_a_slow_stream_is_neither_silent_nor_without_rate(rate: float) -> None:
    clock = Hands()
    statistics = Statistics(clock)
    heard(clock, statistics, [1 / rate] * 3)
    for _ in range(200):  # ten more messages, looked at twenty times between any two
        for _ in range(20):
            clock.now += 0.05 / rate
            assert not statistics.is_silent("colour")
            assert statistics.rate("colour") == pytest.approx(rate)
            assert statistics.lasting("colour") > 0
        statistics.count("colour")
    assert statistics.lasting("colour") == pytest.approx(201 / rate)
    clock.now += 2 / rate  # one is lost
    assert not statistics.is_silent("colour")
    clock.now += 1 / rate
    assert statistics.is_silent("colour")
    assert statistics.rate("colour") == statistics.lasting("colour") == 0


@pytest.mark.parametrize("rate", [1.0, 2.0, 5.0, 30.0, 90.0])
def test_a_stream_that_stops_is_silent_after_two_seconds_or_some_intervals(rate: float) -> None:
    clock = Hands()
    statistics = Statistics(clock)
    heard(clock, statistics, [1 / rate] * 100)
    silent_after = max(2.0, 2.5 / rate)
    assert statistics.silent_after("colour") == pytest.approx(silent_after)
    clock.now += silent_after - 0.01
    assert not statistics.is_silent("colour")
    assert statistics.rate("colour") == pytest.approx(rate)
    clock.now += 0.02
    assert statistics.is_silent("colour")
    assert statistics.rate("colour") == 0


def test_before_its_interval_is_known_a_stream_is_silent_after_two_seconds() -> None:
    clock = Hands()
    statistics = Statistics(clock)
    assert statistics.is_silent("colour")
    assert statistics.silent_after("colour") == 2
    heard(clock, statistics, [0.0])
    clock.now += 1.9
    assert not statistics.is_silent("colour")
    clock.now += 0.2
    assert statistics.is_silent("colour")


@pytest.mark.parametrize("pause", [2.5, 60.0, 86400.0])
def test_one_pause_does_not_make_a_fast_stream_slow(pause: float) -> None:
    clock = Hands()
    statistics = Statistics(clock)
    heard(clock, statistics, [0.1] * 5 + [pause])
    for _ in range(20):
        assert statistics.silent_after("colour") == 2
        heard(clock, statistics, [0.1])
    # Nor do some: ten messages later they are forgotten.
    heard(clock, statistics, [pause, 0.1, pause] + [0.1] * 10)
    assert statistics.silent_after("colour") == 2


def test_silence_is_told_after_a_minute_however_slow_the_stream() -> None:
    clock = Hands()
    statistics = Statistics(clock)
    heard(clock, statistics, [3600.0] * 4)
    assert statistics.silent_after("colour") == pytest.approx(62.5)


def test_a_slow_stream_that_comes_in_bursts_is_not_silent_between_them() -> None:
    clock = Hands()
    statistics = Statistics(clock)
    heard(clock, statistics, [3.0, 0.01, 0.01] * 5)
    assert statistics.silent_after("colour") == pytest.approx(7.5)


def test_a_stream_that_changes_its_rate_is_judged_by_the_new_one() -> None:
    clock = Hands()
    statistics = Statistics(clock)
    heard(clock, statistics, [1 / 30] * 100 + [4.0, 4.0])
    assert statistics.silent_after("colour") == 10
    heard(clock, statistics, [4.0] * 3)
    assert statistics.rate("colour") == pytest.approx(0.25)
    heard(clock, statistics, [1 / 30] * 160)
    assert statistics.silent_after("colour") == 2
    assert statistics.rate("colour") == pytest.approx(30)


@pytest.mark.parametrize(
    ("rate", "text"), [(29.97, "30.0"), (1.0, "1.0"), (0.333, "0.33"), (0.05, "0.05"), (0, "0.0")]
)
def test_a_rate_is_written_so_that_slow_ones_can_be_told_apart(rate: float, text: str) -> None:
    assert rate_text(rate) == text


def test_percentiles_are_of_the_last_two_hundred() -> None:
    statistics = Statistics()
    for _ in range(500):
        statistics.measure("hha", 9.0)
    for i in range(200):
        statistics.measure("hha", i / 1000)
    latency = statistics.latency_ms()["hha"]
    wanted = np.percentile(np.arange(200), (50, 95, 99))
    assert (latency.p50, latency.p95, latency.p99) == pytest.approx(tuple(wanted))


def test_a_gauge_keeps_the_latest() -> None:
    statistics = Statistics()
    statistics.gauge("share", 0.25)
    statistics.gauge("share", 0.5)
    gauges = statistics.gauges
    gauges["share"] = 9.0
    assert statistics.gauges == {"share": 0.5}


def test_nothing_is_lost_between_threads() -> None:
    statistics = Statistics()

    def work() -> None:
        for _ in range(5000):
            statistics.count("event")
            statistics.measure("stage", 0.001)
            statistics.gauge("value", 1.0)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert statistics.latency_ms().get("stage", None) is None or statistics.counts["event"]
    for thread in threads:
        thread.join()
    assert statistics.counts == {"event": 15000}
    assert statistics.latency_ms()["stage"].p99 == pytest.approx(1.0)
