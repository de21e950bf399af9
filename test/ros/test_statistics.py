"""What is counted and measured, by a clock in the test's hands."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from fafnet_ros.diagnostics.statistics import EventState, Statistics, rate_text


class Stream:
    """Events of one name, by a clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self._statistics = Statistics(lambda: self.now)

    def come(self, gaps: list[float]) -> None:
        """Count an event after each of these seconds."""
        for gap in gaps:
            self.now += gap
            self._statistics.count("colour")

    def after(self, seconds: float) -> EventState:
        """Let time pass without an event and return how it stands."""
        self.now += seconds
        return self._statistics.event("colour")


def test_rates_ages_and_counts() -> None:
    stream = Stream()
    assert stream.after(0) == EventState()
    stream.come([0.1] * 60)
    event = stream.after(0.1)
    assert event.rate_hz == pytest.approx(10)
    assert event.age_s == pytest.approx(0.1)
    assert event.count == 60
    assert stream.after(2).rate_hz == 0


def test_what_lasts_begins_anew_after_two_seconds_of_silence() -> None:
    stream = Stream()
    stream.come([0.0, 0.5, 2.0])
    assert stream.after(1.5).lasting_s == pytest.approx(4.0)
    assert stream.after(0.6).lasting_s == 0
    stream.come([0.0])
    assert stream.after(0.25).lasting_s == pytest.approx(0.25)


@pytest.mark.parametrize("rate", [0.05, 0.33, 0.45, 1.0, 5.0, 90.0])
def test_a_stream_is_silent_after_two_seconds_or_some_of_its_intervals(rate: float) -> None:
    stream = Stream()
    stream.come([1 / rate] * 100)
    event = stream.after(max(2.0, 2.5 / rate) - 0.01)  # one may be lost
    assert not event.is_silent
    assert event.rate_hz == pytest.approx(rate)
    assert event.lasting_s > 99 / rate
    event = stream.after(0.02)
    assert event.is_silent
    assert event.rate_hz == event.lasting_s == 0


def test_before_its_interval_is_known_a_stream_is_silent_after_two_seconds() -> None:
    stream = Stream()
    assert stream.after(0).is_silent
    stream.come([0.0])
    assert not stream.after(1.9).is_silent
    assert stream.after(0.2).is_silent


@pytest.mark.parametrize("pause", [2.5, 60.0, 86400.0])
def test_one_pause_does_not_make_a_fast_stream_slow(pause: float) -> None:
    stream = Stream()
    stream.come([0.1] * 5 + [pause])
    for _ in range(20):
        assert stream.after(0).silent_after_s == 2
        stream.come([0.1])
    # Nor do some: ten messages later they are forgotten.
    stream.come([pause, 0.1, pause] + [0.1] * 10)
    assert stream.after(0).silent_after_s == 2


@pytest.mark.parametrize(
    ("gaps", "silent_after"),
    [
        ([3600.0] * 4, 62.5),  # a minute at the most
        ([3.0, 0.01, 0.01] * 5, 7.5),  # bursts
        ([1 / 30] * 100 + [4.0, 4.0], 10.0),  # the new rate counts
        ([4.0] * 5 + [1 / 30] * 160, 2.0),
    ],
)
def test_silence_is_judged_by_the_intervals_that_recur(
    gaps: list[float], silent_after: float
) -> None:
    stream = Stream()
    stream.come(gaps)
    assert stream.after(0).silent_after_s == pytest.approx(silent_after)


def test_a_rate_is_that_of_late() -> None:
    stream = Stream()
    for rate, count in ((30.0, 100), (0.25, 5), (30.0, 160)):
        stream.come([1 / rate] * count)
        assert stream.after(0).rate_hz == pytest.approx(rate)


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
    figures = statistics.figures()
    assert figures.event("event").count == 15000
    assert figures.latencies["stage"].p99 == pytest.approx(1.0)
    assert figures.gauges == {"value": 1.0}
