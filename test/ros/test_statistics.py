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
    assert statistics.event("colour").rate_hz == 0
    assert statistics.event("colour").age_s == float("inf")
    for _ in range(60):
        statistics.count("colour")
        clock.now += 0.1
    assert statistics.event("colour").rate_hz == pytest.approx(10)
    assert statistics.event("colour").age_s == pytest.approx(0.1)
    assert statistics.event("colour").count == 60
    clock.now += 2
    assert statistics.event("colour").rate_hz == 0


def test_what_lasts_begins_anew_after_two_seconds_of_silence() -> None:
    clock = Hands()
    statistics = Statistics(clock)
    assert statistics.event("colour").lasting_s == 0
    for pause in (0.5, 2.0, 1.5):
        statistics.count("colour")
        clock.now += pause
    assert statistics.event("colour").lasting_s == pytest.approx(4.0)
    clock.now += 0.6
    assert statistics.event("colour").lasting_s == 0
    statistics.count("colour")
    clock.now += 0.25
    assert statistics.event("colour").lasting_s == pytest.approx(0.25)


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
            assert not statistics.event("colour").is_silent
            assert statistics.event("colour").rate_hz == pytest.approx(rate)
            assert statistics.event("colour").lasting_s > 0
        statistics.count("colour")
    assert statistics.event("colour").lasting_s == pytest.approx(201 / rate)
    clock.now += 2 / rate  # one is lost
    assert not statistics.event("colour").is_silent
    clock.now += 1 / rate
    assert statistics.event("colour").is_silent
    assert statistics.event("colour").rate_hz == statistics.event("colour").lasting_s == 0


@pytest.mark.parametrize("rate", [1.0, 2.0, 5.0, 30.0, 90.0])
def test_a_stream_that_stops_is_silent_after_two_seconds_or_some_intervals(rate: float) -> None:
    clock = Hands()
    statistics = Statistics(clock)
    heard(clock, statistics, [1 / rate] * 100)
    silent_after = max(2.0, 2.5 / rate)
    assert statistics.event("colour").silent_after_s == pytest.approx(silent_after)
    clock.now += silent_after - 0.01
    assert not statistics.event("colour").is_silent
    assert statistics.event("colour").rate_hz == pytest.approx(rate)
    clock.now += 0.02
    assert statistics.event("colour").is_silent
    assert statistics.event("colour").rate_hz == 0


def test_before_its_interval_is_known_a_stream_is_silent_after_two_seconds() -> None:
    clock = Hands()
    statistics = Statistics(clock)
    assert statistics.event("colour").is_silent
    assert statistics.event("colour").silent_after_s == 2
    heard(clock, statistics, [0.0])
    clock.now += 1.9
    assert not statistics.event("colour").is_silent
    clock.now += 0.2
    assert statistics.event("colour").is_silent


@pytest.mark.parametrize("pause", [2.5, 60.0, 86400.0])
def test_one_pause_does_not_make_a_fast_stream_slow(pause: float) -> None:
    clock = Hands()
    statistics = Statistics(clock)
    heard(clock, statistics, [0.1] * 5 + [pause])
    for _ in range(20):
        assert statistics.event("colour").silent_after_s == 2
        heard(clock, statistics, [0.1])
    # Nor do some: ten messages later they are forgotten.
    heard(clock, statistics, [pause, 0.1, pause] + [0.1] * 10)
    assert statistics.event("colour").silent_after_s == 2


def test_silence_is_told_after_a_minute_however_slow_the_stream() -> None:
    clock = Hands()
    statistics = Statistics(clock)
    heard(clock, statistics, [3600.0] * 4)
    assert statistics.event("colour").silent_after_s == pytest.approx(62.5)


def test_a_slow_stream_that_comes_in_bursts_is_not_silent_between_them() -> None:
    clock = Hands()
    statistics = Statistics(clock)
    heard(clock, statistics, [3.0, 0.01, 0.01] * 5)
    assert statistics.event("colour").silent_after_s == pytest.approx(7.5)


def test_a_stream_that_changes_its_rate_is_judged_by_the_new_one() -> None:
    clock = Hands()
    statistics = Statistics(clock)
    heard(clock, statistics, [1 / 30] * 100 + [4.0, 4.0])
    assert statistics.event("colour").silent_after_s == 10
    heard(clock, statistics, [4.0] * 3)
    assert statistics.event("colour").rate_hz == pytest.approx(0.25)
    heard(clock, statistics, [1 / 30] * 160)
    assert statistics.event("colour").silent_after_s == 2
    assert statistics.event("colour").rate_hz == pytest.approx(30)


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
    latency = statistics.figures().latencies["hha"]
    wanted = np.percentile(np.arange(200), (50, 95, 99))
    assert (latency.p50, latency.p95, latency.p99) == pytest.approx(tuple(wanted))


def test_a_gauge_keeps_the_latest() -> None:
    statistics = Statistics()
    statistics.gauge("share", 0.25)
    statistics.gauge("share", 0.5)
    assert statistics.figures().gauges == {"share": 0.5}


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
        figures = statistics.figures()
        assert "stage" not in figures.latencies or figures.event("event").count
    for thread in threads:
        thread.join()
    assert statistics.event("event").count == 15000
    assert statistics.figures().latencies["stage"].p99 == pytest.approx(1.0)
