"""Pairs colour and depth images by their stamps. Knows nothing of ROS but nanoseconds.

Each colour image goes with the depth image nearest in time, at most `slop` away, and each image
into one pair at most. A pair leaves as soon as no image still to come can be a nearer partner: at
once for equal stamps or a gap below half the shortest of the last frame intervals, otherwise with
the next image. Pairs leave in order of time, the newest first in line: what is older is dropped
and counted.

After a jump back in time (a bag that loops, a camera that restarts) pairing starts again. A stamp
far behind its stream's newest tells it at once. Nearer ones may only be late: a network that holds
images up lets newer ones through before them or soon after. They tell a jump when several come, in
their own order, and go on coming for `_BEHIND_NS` by receipt while the newest stamp does not move
on.
"""

from __future__ import annotations

import bisect
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

T = TypeVar("T")

_BEHIND_NS = 400_000_000
"""A stream that has been behind its newest stamp for so long, by receipt, has jumped back.

Also by how much later the other stream may follow, and it is one jump.
"""

_BEHIND_IMAGES = 3
"""So many it takes at least: an outage may part two late ones."""


class Stream(Enum):
    """The two sides of a pair."""

    COLOUR = "colour"
    DEPTH = "depth"


@dataclass(frozen=True)
class Pair(Generic[T]):
    """A matched pair, and how far the depth image's stamp lies behind the colour image's."""

    colour: T
    depth: T
    offset_ns: int


@dataclass
class _Run:
    """Images of one stream in a row that came behind its newest stamp.

    Attributes:
        since_ns: when the first came.
        last: stamp of the latest.
        images: how many.
        goes_on: one came with a later stamp than the one before: a clock that stands still
            repeats one.
    """

    since_ns: int
    last: int
    images: int = 0
    goes_on: bool = False

    def add(self, stamp: int) -> None:
        self.images += 1
        self.goes_on |= stamp > self.last
        self.last = stamp

    def is_jump(self, now_ns: int) -> bool:
        lasts = now_ns - self.since_ns >= _BEHIND_NS
        return lasts and self.goes_on and self.images >= _BEHIND_IMAGES


@dataclass
class _Buffer(Generic[T]):
    """The images of one stream that wait for a partner, oldest first."""

    stamps: list[int] = field(default_factory=list)
    images: list[T] = field(default_factory=list)
    newest: int | None = None
    intervals: deque[int] = field(default_factory=lambda: deque(maxlen=8))
    behind: _Run | None = None

    def has_jumped(self, stamp: int, received_ns: int | None, jump_ns: int) -> bool:
        """Tell whether an image that has come shows that time went back."""
        if self.newest is None or stamp > self.newest:
            self.behind = None
            return False
        if stamp < self.newest - jump_ns:
            return True
        if received_ns is None:
            return False
        if self.behind is None:
            self.behind = _Run(received_ns, stamp)
        self.behind.add(stamp)
        return self.behind.is_jump(received_ns)

    def insert(self, stamp: int, image: T) -> None:
        if self.newest is not None and stamp > self.newest:
            self.intervals.append(stamp - self.newest)
        self.newest = stamp if self.newest is None else max(stamp, self.newest)
        index = bisect.bisect(self.stamps, stamp)
        self.stamps.insert(index, stamp)
        self.images.insert(index, image)

    def nearest(self, stamp: int) -> int:
        """Return the index of the image nearest in time (the earlier one of two)."""
        index = bisect.bisect_left(self.stamps, stamp)
        around = range(max(index - 1, 0), min(index + 1, len(self.stamps)))
        return min(around, key=lambda i: abs(self.stamps[i] - stamp))

    def drop_first(self, count: int) -> None:
        del self.stamps[:count]
        del self.images[:count]


class Synchronizer(Generic[T]):
    """Matches two streams of stamped images.

    Args:
        slop_ns: the largest difference of stamps within a pair.
        queue_size: images that each stream may keep waiting; colour can come 100 ms late.
        jump_ns: a stamp this far behind its stream's newest means at once that time jumped back.

    Attributes:
        counts: what happened so far, by name: `pairs`, `unmatched_colour`, `unmatched_depth`
            (dropped without a partner), `late_colour`, `late_depth` (came after a newer pair had
            left, or twice), `jumps` (of time; both streams make one together).
    """

    def __init__(self, slop_ns: int, queue_size: int = 10, jump_ns: int = 1_000_000_000) -> None:
        if slop_ns < 0 or queue_size < 1 or jump_ns <= 0:
            raise ValueError(
                f"slop {slop_ns} ns, queue size {queue_size} and jump {jump_ns} ns came; slop"
                " must not be negative, the others must be above zero"
            )
        self.slop_ns = slop_ns
        self.queue_size = queue_size
        self.jump_ns = jump_ns
        self.counts: Counter[str] = Counter()
        self._buffers: dict[Stream, _Buffer[T]] = {}
        self._left: dict[Stream, int] = {}  # stamp of each stream's image in the last pair
        self.reset()

    def reset(self) -> None:
        """Forget all waiting images; the counts stay."""
        for stream, buffer in self._buffers.items():
            self._count_unmatched(stream, len(buffer.stamps))
        self._buffers = {stream: _Buffer() for stream in Stream}
        self._left = {}
        self._jumped: tuple[Stream, int] | None = None  # which stream alone has, and when

    def restamp(self, stamp_of: Callable[[T], int | None]) -> None:
        """Go over to another clock: no jump, and the images that wait go on waiting.

        Args:
            stamp_of: an image's stamp by that clock; None where it has none, and is unmatched.
        """
        waiting = {stream: buffer.images for stream, buffer in self._buffers.items()}
        self._buffers, self._left, self._jumped = {}, {}, None
        for stream, images in waiting.items():
            buffer = self._buffers[stream] = _Buffer()
            for image in images:
                stamp = stamp_of(image)
                if stamp is None:
                    self._count_unmatched(stream, 1)
                else:
                    buffer.insert(stamp, image)
            buffer.intervals.clear()  # what waits may be few of many

    def add(
        self, stream: Stream, stamp_ns: int, image: T, received_ns: int | None = None
    ) -> Pair[T] | None:
        """Take one image; return the pair that it completes, if it does.

        Args:
            stream: its stream.
            stamp_ns: its stamp.
            image: the image.
            received_ns: when it came, by a clock that never jumps; None where that says nothing (a
                file): then only `jump_ns` tells a jump.
        """
        if self._buffers[stream].has_jumped(stamp_ns, received_ns, self.jump_ns):
            self._jump(stream, received_ns)
        buffer = self._buffers[stream]
        if stamp_ns <= self._left.get(stream, stamp_ns - 1) or stamp_ns in buffer.stamps:
            self.counts[f"late_{stream.value}"] += 1
            return None
        buffer.insert(stamp_ns, image)
        pair = self._take_newest()
        if len(buffer.stamps) > self.queue_size:
            self._drop(stream, 1)
        return pair

    def _jump(self, stream: Stream, received_ns: int | None) -> None:
        """Start again, or let this stream follow where the other has just done so."""
        if self._jumped is not None and received_ns is not None:
            first, when = self._jumped
            if first is not stream and received_ns - when <= _BEHIND_NS:
                self._jumped = None
                self._count_unmatched(stream, len(self._buffers[stream].stamps))
                self._buffers[stream] = _Buffer()
                self._left.pop(stream, None)
                return
        self.counts["jumps"] += 1
        self.reset()
        self._jumped = None if received_ns is None else (stream, received_ns)

    def _drop(self, stream: Stream, count: int) -> None:
        self._buffers[stream].drop_first(count)
        self._count_unmatched(stream, count)

    def _count_unmatched(self, stream: Stream, count: int) -> None:
        if count:
            self.counts[f"unmatched_{stream.value}"] += count

    def _take_newest(self) -> Pair[T] | None:
        colour, depth = self._buffers[Stream.COLOUR], self._buffers[Stream.DEPTH]
        if not depth.stamps:
            return None
        for i in reversed(range(len(colour.stamps))):
            j = depth.nearest(colour.stamps[i])
            mutual = colour.nearest(depth.stamps[j]) == i
            if mutual and self._is_settled(colour.stamps[i], depth.stamps[j]):
                return self._take(i, j)
        return None

    def _is_settled(self, colour_stamp: int, depth_stamp: int) -> bool:
        """Tell whether these two may go: near enough, and no image to come can be nearer."""
        gap = abs(colour_stamp - depth_stamp)
        if gap > self.slop_ns:
            return False
        earlier, until = (
            (Stream.DEPTH, colour_stamp)
            if depth_stamp < colour_stamp
            else (Stream.COLOUR, depth_stamp)
        )
        newest = self._buffers[earlier].newest or 0
        if newest >= until:  # so too where both stamps are equal
            return True
        other = Stream.COLOUR if earlier is Stream.DEPTH else Stream.DEPTH
        # A stream that has sent one image only is taken to run at the other's rate.
        intervals = self._buffers[earlier].intervals or self._buffers[other].intervals
        return bool(intervals) and newest + min(intervals) >= until + gap

    def _take(self, i: int, j: int) -> Pair[T]:
        for stream, index in ((Stream.COLOUR, i), (Stream.DEPTH, j)):
            self._drop(stream, index)
            self._left[stream] = self._buffers[stream].stamps[0]
        colour, depth = self._buffers[Stream.COLOUR], self._buffers[Stream.DEPTH]
        offset = depth.stamps[0] - colour.stamps[0]
        pair = Pair(colour.images[0], depth.images[0], offset)
        colour.drop_first(1)
        depth.drop_first(1)
        self.counts["pairs"] += 1
        return pair
