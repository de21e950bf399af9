"""Which colour image goes with which depth image, told before anything is labelled.

The pairs are those of the node's synchroniser, fed in order of the stamps: in a bag all stamps are
known, so an image that was recorded late still finds its partner.
"""

from __future__ import annotations

import bisect
import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fafnet_core.bags.errors import AskedWrongly
from fafnet_core.bags.reading import Bag, Key, Stored
from fafnet_core.bags.streams import Streams
from fafnet_core.messages.synchronizer import Stream, Synchronizer

_JUMP_NS = 1_000_000_000
"""A stamp this far behind its stream's newest begins a new part: a clock that was set back."""
_QUEUE = 100
_OTHER_CLOCK_NS = 1_000_000_000


@dataclass(frozen=True)
class Pairs:
    """What will be labelled.

    Attributes:
        depth_of: the depth image of each paired colour image.
        unmatched_colour: colour images without a depth image within the slop.
        unmatched_depth: depth images without a colour image.
        offsets_ns: how far the depth image's stamp lies behind the colour image's, of each pair.
        hint: what is worth saying where many images have no partner, else None.
    """

    depth_of: dict[Key, Key]
    unmatched_colour: int
    unmatched_depth: int
    offsets_ns: tuple[int, ...]
    hint: str | None


def find_pairs(
    bag: Bag,
    streams: Streams,
    slop_s: float,
    watch: Callable[[Iterable[Stored]], Iterable[Stored]] = iter,
) -> Pairs:
    """Read the stamps of both streams and pair them.

    Args:
        bag: an open bag.
        streams: its topics.
        slop_s: the largest difference of the stamps of a pair.
        watch: given the messages as they are read, gives them on: a progress bar.

    Raises:
        AskedWrongly: nothing pairs; the message says by how much stamps lie apart.
    """
    keys: dict[str, list[Key]] = {streams.rgb.name: [], streams.depth.name: []}
    for stored in watch(bag.messages(list(keys))):
        keys[stored.topic].append(bag.key(stored))
    times = "times of recording" if bag.by_record else "stamps"
    return pair(keys[streams.rgb.name], keys[streams.depth.name], round(slop_s * 1e9), times)


def pair(colour: Sequence[Key], depth: Sequence[Key], slop_ns: int, times: str = "stamps") -> Pairs:
    """Pair images, given in order of their record times; `times` says what they are paired by.

    Raises:
        AskedWrongly: nothing pairs.
    """
    depth_of: dict[Key, Key] = {}
    offsets: list[int] = []
    for part in _parts(colour, depth):
        synchronizer = Synchronizer[Key](slop_ns, queue_size=_QUEUE, jump_ns=_JUMP_NS)
        end = max(key[0] for _, key in part) + slop_ns + 1
        # The last pair leaves when something later comes, which has no partner itself.
        last = [(Stream.COLOUR, (end, 0)), (Stream.DEPTH, (end + 2 * slop_ns + 1, 0))]
        for stream, key in [*part, *last]:
            if found := synchronizer.add(stream, key[0], key):
                depth_of[found.colour] = found.depth
                offsets.append(found.offset_ns)
    unmatched = (len(colour) - len(depth_of), len(depth) - len(depth_of))
    gaps = _gaps(colour, depth)
    if not depth_of:
        raise AskedWrongly(_apart(gaps, slop_ns, times))
    alone = f"{unmatched[0]} of {len(colour)} colour images have no depth"
    hint = f"{alone}: {_apart(gaps, slop_ns, times)}" if unmatched[0] > len(colour) / 2 else None
    return Pairs(depth_of, *unmatched, tuple(offsets), hint)


def _parts(colour: Sequence[Key], depth: Sequence[Key]) -> list[list[tuple[Stream, Key]]]:
    """Cut the recording where a stamp jumps back; return each part in order of the stamps."""
    recorded = [(Stream.COLOUR, key) for key in colour] + [(Stream.DEPTH, key) for key in depth]
    recorded.sort(key=lambda image: image[1][1])
    parts: list[list[tuple[Stream, Key]]] = [[]]
    newest: Counter[Stream] = Counter()
    for stream, key in recorded:
        if stream in newest and key[0] < newest[stream] - _JUMP_NS:
            parts.append([])
            newest.clear()
        newest[stream] = max(newest.get(stream, key[0]), key[0])
        parts[-1].append((stream, key))
    return [sorted(part, key=lambda image: image[1][0]) for part in parts if part]


def _gaps(colour: Sequence[Key], depth: Sequence[Key]) -> list[int]:
    """Return how far the nearest depth stamp lies from each colour stamp."""
    stamps = sorted(key[0] for key in depth)
    gaps = []
    for stamp, _ in colour:
        index = bisect.bisect_left(stamps, stamp)
        gaps.append(min(abs(near - stamp) for near in stamps[max(index - 1, 0) : index + 1]))
    return gaps


def _apart(gaps: Sequence[int], slop_ns: int, times: str) -> str:
    """Say by how much stamps lie apart, and which slop would pair half of the images."""
    middle = statistics.median_high(gaps)
    text = (
        f"the nearest {times} of depth lie {min(gaps) / 1e9:.3g} to {max(gaps) / 1e9:.3g} s from"
        f" those of colour (median {middle / 1e9:.3g} s), --slop is {slop_ns / 1e9:.3g} s"
    )
    if middle > _OTHER_CLOCK_NS and times == "stamps":
        return (
            f"{text}: the streams have different clocks, so their stamps cannot be paired;"
            " --pair-by record takes the times of recording"
        )
    if middle <= slop_ns:
        return f"{text}: one stream has far fewer images than the other"
    wanted = math.ceil(middle / 1e7 + 0.1) / 100
    return f"{text}: --slop {wanted:g} would pair them, if nothing moves much in that time"
