"""What the node counts: events, rates and the latency of each stage, safe between threads."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable

import numpy as np

SILENT_AFTER = 2.0
"""Seconds without an event after which it counts as silent."""

_RATE_OVER = 5.0
"""Seconds over which a rate is taken: what lies before a pause must not slow it."""

_WINDOW = 200
"""Latencies and arrival times kept for each name: some six seconds of a camera."""


class Statistics:
    """Counters, rates and latencies by name.

    Args:
        clock: seconds that never jump.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._times: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_WINDOW))
        self._seconds: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_WINDOW))

    def count(self, event: str) -> None:
        """Count one event of this name, now."""
        with self._lock:
            self._counts[event] += 1
            self._times[event].append(self._clock())

    def measure(self, stage: str, seconds: float) -> None:
        """Note how long a stage took."""
        with self._lock:
            self._seconds[stage].append(seconds)

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

    def latency_ms(self) -> dict[str, tuple[float, float]]:
        """Return the median and the 95th percentile of each stage, in milliseconds."""
        with self._lock:
            seconds = {stage: list(values) for stage, values in self._seconds.items()}
        return {
            stage: (float(1e3 * np.median(values)), float(1e3 * np.percentile(values, 95)))
            for stage, values in seconds.items()
        }
