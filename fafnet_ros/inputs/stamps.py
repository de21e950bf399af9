"""What the stamps of two image streams say of each other: how far apart, and by the same clock?

A pair needs stamps nearer than `slop`. Where none are, the reason decides the remedy: frames that
fall between each other need a larger slop, two clocks have to be synchronised, stamps of 0 need a
driver that sets them. The times of receipt tell these apart, because one clock has both.
"""

from __future__ import annotations

import threading
from collections import deque

import numpy as np
from numpy.typing import NDArray

from fafnet_ros.diagnostics.state import StampState, StreamStamps

_WINDOW = 64
"""Stamps kept for each stream: two seconds of a camera."""

_ENOUGH = 5
"""Stamps from which something can be said."""

_JUMP_BACK_NS = 200_000_000
_JUMP_AHEAD_NS = 10_000_000_000


class StampOffsets:
    """The last stamps of colour and depth; cheap to feed, computed when asked.

    A stamp that jumps (back by 0.2 s, ahead by 10 s) makes its stream begin again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, deque[tuple[int, int]]] = {
            stream: deque(maxlen=_WINDOW) for stream in ("colour", "depth")
        }

    def add(self, stream: str, stamp_ns: int, received_s: float) -> None:
        """Take one image's stamp.

        Args:
            stream: `colour` or `depth`.
            stamp_ns: nanoseconds of the camera's clock.
            received_s: seconds of this computer's clock, the same one for both streams.
        """
        with self._lock:
            entries = self._entries[stream]
            if entries:
                step = stamp_ns - entries[-1][0]
                if step < -_JUMP_BACK_NS or step > _JUMP_AHEAD_NS:
                    entries.clear()
            entries.append((stamp_ns, round(1e9 * received_s)))

    def state(self) -> StampState:
        """Return what the last stamps say."""
        with self._lock:
            colour, depth = (
                np.array(self._entries[stream], np.int64).reshape(-1, 2)
                for stream in ("colour", "depth")
            )
        streams = _describe(colour[:, 0]), _describe(depth[:, 0])
        if min(len(colour), len(depth)) < _ENOUGH:
            return StampState(colour=streams[0], depth=streams[1])
        distances = _nearest_distances(np.sort(colour[:, 0]), np.sort(depth[:, 0]))
        nearest, within = np.percentile(distances, (50, 90))
        return StampState(
            colour=streams[0],
            depth=streams[1],
            nearest_s=1e-9 * float(nearest),
            within_s=1e-9 * float(within),
            clock_offset_s=1e-9 * _offset(colour, depth),
        )


def _describe(stamps: NDArray[np.int64]) -> StreamStamps | None:
    if not len(stamps):
        return None
    is_zero = not stamps.any()
    stands_still = len(stamps) >= _ENOUGH and not is_zero and bool((stamps == stamps[0]).all())
    gaps = np.diff(np.unique(stamps))
    lost = 0.0 if len(gaps) < _WINDOW // 2 else 1 - float(np.percentile(gaps, 25) / gaps.mean())
    return StreamStamps(
        newest_ns=int(stamps[-1]), is_zero=is_zero, stands_still=stands_still, lost=lost
    )


def _offset(colour: NDArray[np.int64], depth: NDArray[np.int64]) -> int:
    """Return how far depth's stamps are ahead of colour's that were received at the same time.

    Columns are stamps and times of receipt. Only the time that both cover: a clock that does not
    run as this computer's (a bag played fast) moves its stamps while they are collected.
    """
    begin = max(colour[0, 1], depth[0, 1])
    lags = []
    for values in (colour, depth):
        together = values[values[:, 1] >= begin]
        values = together if len(together) >= _ENOUGH else values
        lags.append(int(np.median(values[:, 1] - values[:, 0])))
    return lags[0] - lags[1]


def _nearest_distances(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how far each stamp of the slower stream is from the nearest of the other.

    Only stamps in the time that both cover, because the partners of the latest may still come; all
    of them where there is no common time. Both are sorted.
    """
    slower, faster = sorted((first, second), key=_mean_rate)
    common = slower[(slower >= faster[0]) & (slower <= faster[-1])]
    queries = common if len(common) else slower
    after = np.clip(np.searchsorted(faster, queries), 1, len(faster) - 1)
    distances: NDArray[np.int64] = np.minimum(
        np.abs(queries - faster[after - 1]), np.abs(faster[after] - queries)
    )
    return distances


def _mean_rate(stamps: NDArray[np.int64]) -> float:
    return len(stamps) / max(int(stamps[-1] - stamps[0]), 1)
