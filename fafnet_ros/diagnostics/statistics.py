"""What the node counts: events, the latency of each stage, and the latest of some values.

Safe between threads, and cheap where it is called for every frame; the work is in the reading.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
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
"""Seconds over which a rate is taken: what was before a pause must not lower it."""

_RATE_INTERVALS = 5
"""Intervals of a slow event's own over which its rate is taken."""

_WINDOW = 200
"""Latencies and arrival times kept for each name: some six seconds of a camera."""


@dataclass(frozen=True)
class EventState:
    """An event at one moment; the defaults are those of one that never came.

    Attributes:
        count: how often it came.
        rate_hz: how often a second, recently; 0 if it is silent.
        age_s: seconds since it came last.
        lasting_s: seconds for which it has come without falling silent; 0 if it is.
        silent_after_s: seconds without it after which it counts as silent: two, or two and a half
            of its own intervals where that is longer, because a camera may have one frame in ten
            seconds. An interval has to recur: one pause does not make a fast camera a slow one. At
            most a minute; two seconds until it came twice.
    """

    count: int = 0
    rate_hz: float = 0.0
    age_s: float = math.inf
    lasting_s: float = 0.0
    silent_after_s: float = SILENT_AFTER

    @property
    def is_silent(self) -> bool:
        """Whether it has not come for longer than it may, or never."""
        return self.age_s > self.silent_after_s


@dataclass(frozen=True)
class Latency:
    """How long a stage took recently, in milliseconds: median, 95th and 99th percentile."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Figures:
    """Everything that was counted and measured, at one moment.

    Attributes:
        events: by name; see `event` for those that never came.
        latencies: of each stage.
        gauges: the latest value of each.
    """

    events: Mapping[str, EventState]
    latencies: Mapping[str, Latency]
    gauges: Mapping[str, float]

    def event(self, name: str) -> EventState:
        """Return an event, whether it ever came or not."""
        return self.events.get(name, EventState())

    @property
    def pace_s(self) -> float:
        """Seconds after which what was found in the last frame is out of date.

        By the rates of pairs and of published frames: camera or network may be slow.
        """
        return max(self.event(name).silent_after_s for name in ("paired", "published"))


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
            # Most events are not silent by any measure, and counting has to be cheap.
            gap = now - times[-1] if times else math.inf
            if gap > SILENT_AFTER and gap > _silent_after(times):
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

    def event(self, name: str) -> EventState:
        """Return how an event stands now."""
        with self._lock:
            return self._event(name, self._clock())

    def figures(self) -> Figures:
        """Return everything as it stands now; percentiles are of the last 200 values."""
        with self._lock:
            now = self._clock()
            events = {name: self._event(name, now) for name in self._counts}
            seconds = {stage: list(values) for stage, values in self._seconds.items()}
            gauges = dict(self._gauges)
        latencies = {
            stage: Latency(*(float(1e3 * value) for value in np.percentile(values, (50, 95, 99))))
            for stage, values in seconds.items()
        }
        return Figures(events, latencies, gauges)

    def _event(self, name: str, now: float) -> EventState:
        times = self._times.get(name)
        if not times:
            return EventState()
        count, age, silent_after = self._counts[name], now - times[-1], _silent_after(times)
        if age > silent_after:
            return EventState(count, age_s=age, silent_after_s=silent_after)
        return EventState(count, _rate(times), age, now - self._begun[name], silent_after)


def rate_text(rate_hz: float) -> str:
    """Return a rate as text: to a tenth, and slow ones to two figures."""
    return f"{rate_hz:.2g}" if 0 < rate_hz < 0.95 else f"{rate_hz:.1f}"


def _rate(times: Sequence[float]) -> float:
    begin = times[-1] - max(_RATE_OVER, _RATE_INTERVALS * _interval(times))
    recent = [moment for moment in times if moment >= begin]
    return (len(recent) - 1) / max(recent[-1] - recent[0], 1e-9)


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
