"""What the node counts: events, rates, the latency of each stage, and the latest of some values.

Safe between threads, and cheap where it is called for every frame; the work is in the reading.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

SILENT_AFTER = 2.0
"""Seconds without an event after which it counts as silent, unless it is known to be slower."""

_SILENT_INTERVALS = 2.5
"""Intervals of a slow event's own after which it counts as silent: one may be lost."""

_RHYTHM = 8
"""Intervals by which an event's own is known."""

_LONGEST_INTERVAL = 25.0
"""Seconds: of a stream that is slower than this, one lost message may count as silence."""

_RATE_OVER = 5.0
"""Seconds over which a rate is taken: what lies before a pause must not slow it."""

_RATE_INTERVALS = 5
"""Intervals of a slow event's own over which its rate is taken."""

_WINDOW = 200
"""Latencies and arrival times kept for each name: some six seconds of a camera."""


@dataclass(frozen=True)
class Latency:
    """How long a stage took of late, in milliseconds: median, 95th and 99th percentile."""

    p50: float
    p95: float
    p99: float


class Statistics:
    """Counters, rates, latencies and gauges by name.

    Args:
        clock: seconds that never jump.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._begun: dict[str, float] = {}
        self._times: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_WINDOW))
        self._seconds: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_WINDOW))
        self._gauges: dict[str, float] = {}

    def count(self, event: str) -> None:
        """Count one event of this name, now."""
        with self._lock:
            now, times = self._clock(), self._times[event]
            if _is_silent(times, now):
                self._begun[event] = now
            self._counts[event] += 1
            times.append(now)

    def measure(self, stage: str, seconds: float) -> None:
        """Note how long a stage took."""
        with self._lock:
            self._seconds[stage].append(seconds)

    def gauge(self, name: str, value: float) -> None:
        """Note the present value of something; only the latest is kept."""
        with self._lock:
            self._gauges[name] = value

    @property
    def gauges(self) -> dict[str, float]:
        """The latest value of each gauge, by name."""
        with self._lock:
            return dict(self._gauges)

    @property
    def counts(self) -> dict[str, int]:
        """Events so far, by name."""
        with self._lock:
            return dict(self._counts)

    def rate(self, event: str) -> float:
        """Return events per second of late; 0 if the event is silent."""
        now = self._clock()
        with self._lock:
            times = list(self._times[event])
        if _is_silent(times, now):
            return 0.0
        begin = times[-1] - max(_RATE_OVER, _RATE_INTERVALS * _interval(times))
        times = [t for t in times if t >= begin]
        return (len(times) - 1) / max(times[-1] - times[0], 1e-9)

    def age(self, event: str) -> float:
        """Return the seconds since the last event of this name; infinite if there was none."""
        with self._lock:
            times = self._times[event]
            return self._clock() - times[-1] if times else float("inf")

    def silent_after(self, event: str) -> float:
        """Return for how many seconds the event may fail to come before it counts as silent.

        Two, or two and a half of the event's own intervals where that is longer: a camera of one
        frame in ten seconds is well. Its own interval is one that recurs: a single pause of a fast
        camera does not make it a slow one. At most a minute, and two seconds before two came.
        """
        with self._lock:
            return _silent_after(self._times[event])

    def is_silent(self, event: str) -> bool:
        """Tell whether the event has not come for longer than `silent_after`, or never."""
        now = self._clock()
        with self._lock:
            return _is_silent(self._times[event], now)

    def lasting(self, event: str) -> float:
        """Return for how many seconds the event has come without falling silent; 0 if it is."""
        now = self._clock()
        with self._lock:
            return 0.0 if _is_silent(self._times[event], now) else now - self._begun[event]

    def latency_ms(self) -> dict[str, Latency]:
        """Return the percentiles of each stage over its last 200 values."""
        with self._lock:
            seconds = {stage: list(values) for stage, values in self._seconds.items()}
        return {
            stage: Latency(*(float(1e3 * value) for value in np.percentile(values, (50, 95, 99))))
            for stage, values in seconds.items()
        }


def rate_text(rate_hz: float) -> str:
    """Return a rate as text: to a tenth, and slow ones to two figures."""
    return f"{rate_hz:.2g}" if 0 < rate_hz < 0.95 else f"{rate_hz:.1f}"


def _is_silent(times: Sequence[float], now: float) -> bool:
    gap = now - times[-1] if times else math.inf
    return gap > SILENT_AFTER and gap > _silent_after(times)  # counting an event has to be cheap


def _silent_after(times: Sequence[float]) -> float:
    return max(SILENT_AFTER, _SILENT_INTERVALS * _interval(times))


def _interval(times: Sequence[float]) -> float:
    """Return the interval at which an event comes: the second longest of the last; 0 if unknown.

    The longest may be a pause; that the second is as long makes it a rhythm, bursts or not.
    """
    count = min(len(times) - 1, _RHYTHM)
    if count < 1:
        return 0.0
    last = [times[-i] - times[-i - 1] for i in range(1, count + 1)]
    return min(sorted(last)[-min(count, 2)], _LONGEST_INTERVAL)
