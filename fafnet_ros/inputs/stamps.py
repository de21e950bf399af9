"""What the stamps of two image streams say of each other: how far apart, and by the same clock?

A pair needs stamps nearer than `slop`. Where none come near, the reason decides the remedy: frames
that fall between each other want a larger slop, two clocks want synchronising, stamps of 0 want a
driver that sets them. The times of receipt tell these apart, for both streams are received by one
clock.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_WINDOW = 64
"""Stamps kept for each stream: two seconds of a camera."""

_ENOUGH = 5
"""Stamps from which something can be said."""

_JUMP_BACK_NS = 200_000_000
_JUMP_AHEAD_NS = 10_000_000_000

_LOWEST = 10
"""Percentile of a stream's intervals that is taken for a small number of its camera's."""

_SHORTEST_STEPS = (1, 2, 3)
"""How many of the camera's intervals that may be: where most frames are lost, hardly two follow."""

_SHORTEST_NS = 4_000_000
"""No camera is faster than this; stamps nearer to each other come in bursts."""

_REGULAR = 0.12
"""Mean share of a camera's interval by which its stamps may lie beside whole ones."""


@dataclass(frozen=True, kw_only=True)
class StreamStamps:
    """One stream's last stamps.

    Attributes:
        newest_ns: the latest stamp, in nanoseconds.
        is_zero: all of them are 0: nobody set them.
        stands_still: all of them are the same.
        rate_hz: frames a second by the stamps; 0 if unknown.
        speed: seconds of the stamps' clock in a second of this computer's; None if unknown.
        missing: share of the camera's frames that did not arrive, by the gaps; 0 if unknown, as
            it is where the stamps are not regular (given on receipt, say).
    """

    newest_ns: int
    is_zero: bool = False
    stands_still: bool = False
    rate_hz: float = 0.0
    speed: float | None = None
    missing: float = 0.0


@dataclass(frozen=True, kw_only=True)
class PairingState:
    """How far apart the two streams' stamps are.

    Attributes:
        slop_s: the largest difference of a pair's stamps, in seconds.
        unpaired_s: seconds since the last pair, or since there could have been one.
        colour: the colour stream's stamps; None if none came.
        depth: the depth stream's.
        nearest_s: median distance of an image of the slower stream to the nearest of the other.
        within_s: the distance that nine in ten of those stay below.
        clock_offset_s: how far depth stamps are ahead of the colour stamps received meanwhile.
        is_by_receipt: images whose stamps are 0 are paired by time of receipt.
    """

    slop_s: float
    unpaired_s: float = 0.0
    colour: StreamStamps | None = None
    depth: StreamStamps | None = None
    nearest_s: float | None = None
    within_s: float | None = None
    clock_offset_s: float | None = None
    is_by_receipt: bool = False


class StampOffsets:
    """The last stamps of colour and depth; cheap to feed, computed when asked.

    A stamp that jumps (back by 0.2 s, ahead by ten) starts its stream anew.
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

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            for entries in self._entries.values():
                entries.clear()

    def state(
        self, slop_s: float, unpaired_s: float = 0.0, *, is_by_receipt: bool = False
    ) -> PairingState:
        """Return what the last stamps say; the arguments are handed on as they are."""
        with self._lock:
            columns = {
                stream: np.array(entries, np.int64).reshape(-1, 2)
                for stream, entries in self._entries.items()
            }
        colour, depth = columns["colour"], columns["depth"]
        streams = {
            stream: _describe(values[:, 0], values[:, 1]) if len(values) else None
            for stream, values in columns.items()
        }
        nearest = within = clock_offset = None
        if min(len(colour), len(depth)) >= _ENOUGH:
            distances = _nearest_distances(np.sort(colour[:, 0]), np.sort(depth[:, 0]))
            nearest, within = (1e-9 * float(value) for value in np.percentile(distances, (50, 90)))
            clock_offset = 1e-9 * _offset(colour, depth)
        return PairingState(
            slop_s=slop_s,
            unpaired_s=unpaired_s,
            colour=streams["colour"],
            depth=streams["depth"],
            nearest_s=nearest,
            within_s=within,
            clock_offset_s=clock_offset,
            is_by_receipt=is_by_receipt,
        )


def _describe(stamps: NDArray[np.int64], received: NDArray[np.int64]) -> StreamStamps:
    newest = int(stamps[-1])
    if not stamps.any():
        return StreamStamps(newest_ns=newest, is_zero=True)
    intervals = np.diff(np.unique(stamps))
    if len(stamps) < _ENOUGH or not len(intervals):
        return StreamStamps(newest_ns=newest, stands_still=len(stamps) >= _ENOUGH)
    span = int(stamps.max() - stamps.min())
    elapsed = int(received[-1] - received[0])
    return StreamStamps(
        newest_ns=newest,
        rate_hz=1e9 * len(intervals) / span,
        speed=int(stamps[-1] - stamps[0]) / elapsed if elapsed > 0 else None,
        missing=_missing(intervals) if len(intervals) >= _WINDOW // 2 else 0.0,
    )


def _missing(intervals: NDArray[np.int64]) -> float:
    """Return the share of frames that the gaps between stamps have swallowed; 0 if unknown.

    The lesser one of both halves: a pause, or a camera that changes its rate, is in one of them.
    """
    return min(_swallowed(half.astype(np.float64)) for half in np.array_split(intervals, 2))


def _swallowed(gaps: NDArray[np.float64]) -> float:
    """Return by how much gaps are longer than the interval on whose grid all of them lie."""
    shortest = np.percentile(gaps, _LOWEST)
    for shortest_steps in _SHORTEST_STEPS:
        steps = np.maximum(np.rint(gaps * shortest_steps / shortest), 1)
        interval = float(np.median(gaps / steps))
        beside = np.abs(gaps / interval - np.rint(gaps / interval))
        if interval >= _SHORTEST_NS and beside.mean() < _REGULAR:
            return max(1 - interval / float(gaps.mean()), 0.0)
    return 0.0


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

    Only stamps in the time that both have, because the latest of one stream may still wait for
    their partners to arrive; all of them where there is no such time. Both are sorted.
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
