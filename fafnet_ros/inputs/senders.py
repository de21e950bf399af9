"""Whether a topic is heard of one publisher or of several.

DDS goes on counting a publisher that was killed until its lease ends, 20 s in Fast DDS. What is
heard shows more: each publisher numbers its messages from 1 on, so that one alone counts up, the
numbers of two go back again and again, and those of one that was started again go back once.
"""

from __future__ import annotations

from collections import deque

_WINDOW = 100
"""Messages among which numbers have to go back twice: how much slower a second one may be."""


class Senders:
    """Follows the numbers of a topic's messages."""

    def __init__(self) -> None:
        self._count = 0
        self._last: int | None = None
        self._steps_back: deque[int] = deque(maxlen=2)

    def add(self, number: int | None) -> None:
        """Take the number of a message; None where the middleware gives none."""
        self._count += 1
        if number is not None and self._last is not None and number <= self._last:
            self._steps_back.append(self._count)
        self._last = number

    @property
    def are_several(self) -> bool | None:
        """Whether several are heard lately; None where the numbers are not known."""
        if self._last is None:
            return None
        return len(self._steps_back) == 2 and self._count - self._steps_back[0] < _WINDOW
