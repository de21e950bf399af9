"""Progress of labelling a recording."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fafnet_core.bags.pairing import Pairs
    from fafnet_core.bags.reading import Stored
    from fafnet_core.bags.streams import Streams


class Watch:
    """Says nothing; a command line derives from it and draws progress bars."""

    def reading(self, messages: Iterable[Stored], count: int) -> Iterable[Stored]:
        """Take the messages whose stamps are read, `count` of them, and give them on."""
        del count
        return messages

    def begins(self, streams: Streams, pairs: Pairs) -> None:
        """Labelling begins."""

    def frame(self, failure: str | None) -> None:
        """A pair is done; `failure` says why it is not labelled, the first time of each reason."""
