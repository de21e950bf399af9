"""Statistics by a clock in the test's hands, and what they cost."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from fafnet_ros.statistics import Statistics


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
