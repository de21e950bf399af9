"""The frames of a recording for those who want some of them, and no labelled recording."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from fafnet_core.bags.errors import BagError
from fafnet_core.bags.job import BagJob, find_frames
from fafnet_core.bags.labelling import worded
from fafnet_core.bags.pairing import Pairs
from fafnet_core.bags.reading import Bag, Key, Stored
from fafnet_core.bags.streams import Streams
from fafnet_core.bags.watch import Watch
from fafnet_core.frame import RgbdFrame
from fafnet_core.messages.camera_infos import CameraInfos


class BagFrames:
    """The frames of an open recording; `open_frames` makes it.

    Attributes:
        keys: of its pairs of images, by their stamps.
    """

    def __init__(
        self,
        bag: Bag,
        streams: Streams,
        pairs: Pairs,
        frame_of: Callable[[Any, Any, Any, Any], RgbdFrame],
    ) -> None:
        self._bag, self._streams = bag, streams
        self._depth_of = pairs.depth_of
        self._frame_of = frame_of
        self.keys = sorted(pairs.depth_of)

    def apart(self, seconds: float) -> list[Key]:
        """Return the keys of frames whose stamps lie at least so far apart, from the first one."""
        chosen: list[Key] = []
        for key in self.keys:
            if not chosen or key[0] - chosen[-1][0] >= seconds * 1e9:
                chosen.append(key)
        return chosen

    def read(self, keys: Collection[Key]) -> Iterator[tuple[Key, RgbdFrame | str]]:
        """Yield these frames in order of recording; in place of one that cannot be made, why.

        Raises:
            BagError: the recording cannot be read to its end.
        """
        depth_of = {key: self._depth_of[key] for key in keys}
        wanted = set(depth_of.values())
        infos: dict[str, CameraInfos[Any]] = {}
        for topic in (self._streams.rgb_info, self._streams.depth_info):
            if topic:
                infos[topic] = CameraInfos()
                infos[topic].add(self._bag.first(topic))
        depths: dict[Key, Stored] = {}
        waiting: deque[tuple[Stored, Key]] = deque()
        rgb, depth = self._streams.rgb.name, self._streams.depth.name
        for stored in self._bag.messages([rgb, depth, *infos]):
            if stored.topic in infos:
                infos[stored.topic].add(self._bag.decode(stored))
            elif stored.topic == depth and self._bag.key(stored) in wanted:
                depths[self._bag.key(stored)] = stored
            elif stored.topic == rgb and self._bag.key(stored) in depth_of:
                waiting.append((stored, self._bag.key(stored)))
            while waiting and depth_of[waiting[0][1]] in depths:
                colour, key = waiting.popleft()
                yield key, self._frame(colour, depths.pop(depth_of[key]), infos)
        if waiting:
            raise BagError(f"{self._bag.path} changed while it was read: is it being recorded?")

    def _frame(
        self, colour: Stored, depth: Stored, infos: dict[str, CameraInfos[Any]]
    ) -> RgbdFrame | str:
        try:
            images = self._bag.decode(colour), self._bag.decode(depth)
            topics = (self._streams.rgb_info, self._streams.depth_info)
            of_each = (
                topic and infos[topic].of(image.header)
                for topic, image in zip(topics, images, strict=True)
            )
            frame = self._frame_of(*images, *of_each)
        except ValueError as error:
            return worded(error)
        return replace(frame, stamp_ns=self._bag.stamp_ns(colour))


@contextmanager
def open_frames(job: BagJob, watch: Watch | None = None) -> Iterator[BagFrames]:
    """Open the frames of a recording.

    Args:
        job: which recording, and how it is read; what it says of results does not count.
        watch: is told how the reading of the stamps goes.

    Raises:
        AskedWrongly: another option would do; the message names it.
        BagError: the recording cannot be read.
    """
    watch = watch or Watch()
    with Bag(job.source, by_record=job.pair_by == "record") as bag:
        yield BagFrames(bag, *find_frames(job, bag, watch))
