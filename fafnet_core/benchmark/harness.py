"""Rows side by side: each in a process of its own, in turn, so that a disturbance hits them all.

A process a row, because threads, allocators and memory are the process's: PyTorch's threads go on
waiting actively after a frame, and compiled networks stay in memory. The processes are forked from
one that has imported everything.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Any, NoReturn

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fafnet_core.benchmark.rows import Contender, LeftOut, Row, Way
from fafnet_core.benchmark.timing import Times, take_turns, timed
from fafnet_core.camera import Size
from fafnet_core.processes import deaf_to_sigterm, hear_sigterm, helper_context
from fafnet_core.runtimes.devices import keep_memory, use_threads

_WARMING = 1

_PAUSE_S = 0.01
"""Before a turn: threads of the row before it wait actively for some milliseconds."""

_MOST_FRAMES = 100
"""In a turn."""

_PRELOADED = ["fafnet_core.benchmark.contenders"]


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        rounds: in each, every row has its turn.
        turn_s: a turn is one frame, and more until this time is over.
        busy: measure again beside a process that keeps a core busy.
    """

    rounds: int = 7
    turn_s: float = 0.1
    busy: bool = False


def measure(
    groups: Sequence[Sequence[Contender]], effort: Effort
) -> tuple[list[Row], list[LeftOut]]:
    """Measure contenders; those of a group side by side.

    Args:
        groups: of contenders; as many processes are there at a time as a group has.
        effort: how much.

    Returns:
        Rows in the order of the contenders, and who is left out.

    Raises:
        ChildProcessError: the system ended a process while it was measured.
    """
    context = helper_context(_PRELOADED)
    turns = (_WARMING + effort.rounds) * (2 if effort.busy else 1)
    total = sum(map(len, groups)) * (1 + turns)
    rows: list[Row] = []
    left_out: list[LeftOut] = []
    references: dict[tuple[str, Size], NDArray[np.uint8]] = {}
    with tqdm(total=total, unit="turn", disable=None) as bar:
        for group in groups:
            with contextlib.ExitStack() as stack:
                children = _opened(context, group, stack, left_out, bar)
                bar.update((len(group) - len(children)) * turns)
                _find_references(context, children, references)
                rows += _rows(context, children, effort, references, bar)
    return rows, left_out


class _Child:
    """The process of a contender, seen from here."""

    def __init__(self, context: ForkServerContext | SpawnContext, contender: Contender) -> None:
        self.contender = contender
        self.labels: NDArray[np.uint8] | None = None
        self.ran = ("", "")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, contender), daemon=True)
        with deaf_to_sigterm():
            self._process.start()
        theirs.close()

    def opened(self) -> str | None:
        """Wait until it is ready; return why it cannot be, if it cannot."""
        try:
            refused, self.labels, self.ran = self._connection.recv()
        except (EOFError, ConnectionError):
            return "its process ended while it made ready; is there memory enough?"
        reason: str | None = refused
        return reason

    def turn(self, turn_s: float) -> list[float]:
        """Return the seconds of each frame of a turn."""
        seconds: list[float] = self._asked(turn_s)
        return seconds

    def peak_mb(self) -> float:
        """Return the most resident memory so far; it has no turn after this."""
        peak: float = self._asked(None)
        return peak

    def _asked(self, question: float | None) -> Any:
        try:
            self._connection.send(question)
            return self._connection.recv()
        except (EOFError, ConnectionError) as error:
            raise ChildProcessError(
                f"the process of {self.contender.network} in {self.contender.runtime} ended while"
                " it was measured; is there memory enough? Try fewer --networks or --sizes"
            ) from error

    def close(self) -> None:
        """End it."""
        self._connection.close()
        self._process.terminate()
        self._process.join()


def _opened(
    context: ForkServerContext | SpawnContext,
    group: Sequence[Contender],
    stack: contextlib.ExitStack,
    left_out: list[LeftOut],
    bar: tqdm[NoReturn],
) -> list[_Child]:
    """Start the contenders, as many at a time as there are cores; return those that are ready."""
    at_once = os.cpu_count() or 1
    started: list[_Child] = []
    ready: list[_Child] = []
    for index, contender in enumerate(group):
        bar.set_postfix_str(f"{contender.network} {contender.runtime}", refresh=False)
        while len(started) < min(index + at_once, len(group)):
            child = _Child(context, group[len(started)])
            stack.callback(child.close)
            started.append(child)
        refused = started[index].opened()
        if refused is None:
            ready.append(started[index])
        else:
            left_out.append(LeftOut(contender, refused))
        bar.update()
    return ready


def _find_references(
    context: ForkServerContext | SpawnContext,
    children: Sequence[_Child],
    references: dict[tuple[str, Size], NDArray[np.uint8]],
) -> None:
    """Add the labels of eager PyTorch in float32 for each network and size that has labels."""
    for child in children:
        if child.labels is not None and child.ran == ("torch", "float32"):
            references[child.contender.network, child.contender.size] = child.labels
    for child in children:
        key = child.contender.network, child.contender.size
        if child.labels is None or key in references:
            continue
        reference = _Child(context, replace(child.contender, runtime="torch", precision="float32"))
        with contextlib.closing(reference):
            if reference.opened() is None and reference.labels is not None:
                references[key] = reference.labels


def _rows(
    context: ForkServerContext | SpawnContext,
    children: Sequence[_Child],
    effort: Effort,
    references: dict[tuple[str, Size], NDArray[np.uint8]],
    bar: tqdm[NoReturn],
) -> Iterator[Row]:
    def turn(child: _Child) -> list[float]:
        bar.update()
        return child.turn(effort.turn_s)

    def times() -> Times:
        takers = {str(index): partial(turn, child) for index, child in enumerate(children)}
        return take_turns(takers, effort.rounds, _WARMING)

    quiet, busy = times(), None
    if effort.busy:
        with _busy_process(context):
            busy = times()
    for index, child in enumerate(children):
        name, contender = str(index), child.contender
        reference = references.get((contender.network, contender.size))
        compared = child.labels is not None and reference is not None
        yield Row(
            what=contender.what,
            network=contender.network,
            runtime=child.ran[0],
            precision=child.ran[1],
            device=contender.device,
            threads=contender.threads,
            size=contender.size,
            ms=quiet.ms(name),
            p95_ms=quiet.ms(name, 0.95),
            frames=len(quiet.seconds(name)),
            of_first=quiet.ratio(name, "0"),
            labels_equal=float(np.mean(child.labels == reference)) if compared else None,
            peak_mb=child.peak_mb(),
            busy_ms=None if busy is None else busy.ms(name),
            busy_p95_ms=None if busy is None else busy.ms(name, 0.95),
        )


@contextlib.contextmanager
def _busy_process(context: ForkServerContext | SpawnContext) -> Iterator[None]:
    """Keep one core busy while the block runs."""
    process = context.Process(target=_spin, daemon=True)
    with deaf_to_sigterm():
        process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


# In the processes


def _spin() -> None:
    hear_sigterm()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        pass


def _serve(connection: Connection, contender: Contender) -> None:
    """Make the contender ready, then take a turn whenever asked."""
    hear_sigterm()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asks ends it
    # Nothing compiled is kept: what the node has compiled and needs would have to go.
    os.environ["XDG_CACHE_HOME"] = os.devnull
    try:
        cv2.setNumThreads(contender.threads)
        use_threads(contender.threads)
        opened = contender.open(contender)
        keep_memory()
        connection.send((None, opened.way(), (opened.runtime, opened.precision)))
    except (ValueError, OSError, RuntimeError, ImportError, MemoryError) as error:
        connection.send((str(error) or type(error).__name__, None, None))
        return
    with contextlib.suppress(EOFError, ConnectionError):
        while (turn_s := connection.recv()) is not None:
            connection.send(_turn(opened.way, turn_s))
        connection.send(_peak_mb())


def _turn(way: Way, turn_s: float) -> list[float]:
    time.sleep(_PAUSE_S)
    end = time.perf_counter() + turn_s
    seconds = [timed(way, time.perf_counter)[1]]
    while time.perf_counter() < end and len(seconds) < _MOST_FRAMES:
        seconds.append(timed(way, time.perf_counter)[1])
    return seconds


def _peak_mb() -> float:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6
