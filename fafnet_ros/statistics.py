"""What the node counts: events, rates, the latency of each stage, and the latest of some values.

Safe between threads, and cheap where it is called for every frame; the work is in the reading.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SILENT_AFTER = 2.0
"""Seconds without an event after which it counts as silent."""

_RATE_OVER = 5.0
"""Seconds over which a rate is taken: what lies before a pause must not slow it."""

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
            if not times or now - times[-1] > SILENT_AFTER:
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
        """Return events per second of late; 0 if there was none for two seconds."""
        now = self._clock()
        with self._lock:
            times = [t for t in self._times[event] if now - t <= _RATE_OVER]
        if len(times) < 2 or now - times[-1] > SILENT_AFTER:
            return 0.0
        return (len(times) - 1) / max(times[-1] - times[0], 1e-9)

    def age(self, event: str) -> float:
        """Return the seconds since the last event of this name; infinite if there was none."""
        with self._lock:
            times = self._times[event]
            return self._clock() - times[-1] if times else float("inf")

    def lasting(self, event: str) -> float:
        """Return for how many seconds the event has come without falling silent; 0 if it is."""
        now = self._clock()
        with self._lock:
            times = self._times[event]
            is_silent = not times or now - times[-1] > SILENT_AFTER
            return 0.0 if is_silent else now - self._begun[event]

    def latency_ms(self) -> dict[str, Latency]:
        """Return the percentiles of each stage over its last 200 values."""
        with self._lock:
            seconds = {stage: list(values) for stage, values in self._seconds.items()}
        return {
            stage: Latency(*(float(1e3 * value) for value in np.percentile(values, (50, 95, 99))))
            for stage, values in seconds.items()
        }
