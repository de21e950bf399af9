"""The camera_info that belongs to an image: by its stamp, for cameras that change theirs."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from fafnet_core.messages.protocols import CameraInfoFields, HeaderFields, stamp_ns

I = TypeVar("I", bound=CameraInfoFields)  # noqa: E741

_KEPT = 32


class CameraInfos(Generic[I]):
    """Keeps the latest camera_infos of one camera."""

    def __init__(self) -> None:
        self._by_stamp: OrderedDict[int, I] = OrderedDict()
        self._by_frame: dict[str, I] = {}
        self._latest: I | None = None

    def __bool__(self) -> bool:
        return self._latest is not None

    def add(self, info: I) -> None:
        """Take one."""
        stamp = stamp_ns(info.header)
        self._by_stamp.pop(stamp, None)  # a camera that was restarted may repeat one
        self._by_stamp[stamp] = self._by_frame[info.header.frame_id] = self._latest = info
        while len(self._by_stamp) > _KEPT:
            self._by_stamp.popitem(last=False)
        while len(self._by_frame) > _KEPT:
            del self._by_frame[next(iter(self._by_frame))]

    def of(self, header: HeaderFields) -> I | None:
        """Return that with the image's own stamp and frame id, or else what comes nearest to that.

        That is the latest of its frame id, which may arrive after the image; where none has that
        id, the one with its stamp; else the latest, which may be of another frame. None if none has
        come.
        """
        own = self._by_stamp.get(stamp_ns(header))
        if own is not None and own.header.frame_id == header.frame_id:
            return own
        return self._by_frame.get(header.frame_id, own or self._latest)
