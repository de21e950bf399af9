"""Times taken in turn: the one loop of every benchmark."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

Clock = Callable[[], float]
T = TypeVar("T")


def timed(way: Callable[[], T], clock: Clock = time.process_time) -> tuple[T, float]:
    """Return what `way` returns, and the seconds that it took.

    Processor time, the default, is the time that one thread takes, and other programs on the
    machine hardly change it. What runs on several threads or on a GPU needs `time.perf_counter`.
    """
    begun = clock()
    result = way()
    return result, clock() - begun


@dataclass(frozen=True)
class Times:
    """How long each of several ways took.

    Attributes:
        turns: by name, the seconds that were taken in each round, one or more a round.
    """

    turns: Mapping[str, Sequence[Sequence[float]]]

    def seconds(self, name: str) -> list[float]:
        """Return those of all rounds."""
        return [seconds for turn in self.turns[name] for seconds in turn]

    def ms(self, name: str, quantile: float = 0.5) -> float:
        """Return a quantile, the median by default, in milliseconds."""
        return 1e3 * float(np.quantile(self.seconds(name), quantile))

    def ratio(self, name: str, other: str) -> float:
        """Return the median of the ratios of all rounds.

        Round by round: a shared machine is slower in one minute than in the next.
        """
        rounds = zip(self.turns[name], self.turns[other], strict=True)
        return statistics.median(
            statistics.median(own) / statistics.median(others) for own, others in rounds
        )


def take_turns(
    takers: Mapping[str, Callable[[], Sequence[float]]], rounds: int, warming: int
) -> Times:
    """Let each taker measure seconds, one after the other, round by round.

    Args:
        takers: by name, what measures one or more times whenever it is its turn.
        rounds: that count.
        warming: rounds before them that do not.
    """
    turns: dict[str, list[Sequence[float]]] = {name: [] for name in takers}
    for index in range(warming + rounds):
        for name, take in takers.items():
            seconds = take()
            if index >= warming:
                turns[name].append(seconds)
    return Times(turns)


def in_turn(
    ways: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Clock = time.process_time,
    warming: int = 2,
) -> Times:
    """Time several ways to do the same, in turn; the first, warming, rounds do not count."""
    takers = {name: partial(_once, way, clock) for name, way in ways.items()}
    return take_turns(takers, rounds, warming)


def _once(way: Callable[[], object], clock: Clock) -> tuple[float]:
    return (timed(way, clock)[1],)


def median_ms(
    way: Callable[[], object], rounds: int = 21, clock: Clock = time.process_time
) -> float:
    """Return the median time of one way in milliseconds; see `in_turn`."""
    return in_turn({"": way}, rounds, clock).ms("")
