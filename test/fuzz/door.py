"""A door: one place where data from outside comes in, and what may become of it there."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import fafnet_core

SECONDS = 5.0
"""Longest time of the processor that one input may take; other programs do not count."""
MEMORY = 512 * 2**20
"""Bytes that one input may take beyond what it is and what comes of it."""

_PACKAGES = tuple(
    str(Path(fafnet_core.__file__).resolve().parents[1] / name)
    for name in ("fafnet_core", "fafnet_ros")
)


@dataclass(frozen=True)
class Door:
    """One decoder or parser.

    Attributes:
        name: of the table.
        seeds: gives valid inputs; may use an empty folder.
        call: hands an input to the code that users call; what it returns counts as honest memory.
            It may use the folder, which is the same for all inputs.
        refusals: the errors that say no.
        accepts: the seeds are taken; False where they only lead to the door.
        share: of the inputs of a long run; below 1 where one input takes long.
    """

    name: str
    seeds: Callable[[Path], Sequence[bytes]]
    call: Callable[[bytes, Path], Any]
    refusals: tuple[type[Exception], ...] = (ValueError,)
    accepts: bool = True
    share: float = 1.0


@dataclass(frozen=True)
class Outcome:
    """What became of one input.

    Attributes:
        find: what is wrong; "" where nothing is.
        accepted: it was taken.
        seconds: that it took.
        memory: bytes beyond what it is and what came of it.
    """

    find: str
    accepted: bool
    seconds: float
    memory: int


class TooSlowError(BaseException):
    """Raised within an input that takes too long; no code of ours catches it."""


def knock(door: Door, data: bytes, folder: Path) -> Outcome:
    """Hand one input to a door, and tell what became of it."""
    before = _peak(reset=True)
    begun = time.process_time()
    result: Any = None
    find, accepted = "", False
    try:
        with _limited():
            result = door.call(data, folder)
        accepted = True
    except door.refusals as error:
        if not _is_ours(error):
            find = f"not our own words: {_place_of(error)}"
    except Exception as error:
        find = f"another type: {_place_of(error)}"
    except TooSlowError as error:
        find = f"over {SECONDS:g} s: {_place_of(error)}"
    seconds = time.process_time() - begun
    memory = max(0, _peak() - before - len(data) - _size(result))
    if not find and memory > MEMORY:
        find = f"{memory >> 20} MiB beyond its honest size"
    return Outcome(find, accepted, seconds, memory)


@contextmanager
def _limited() -> Iterator[None]:
    """Interrupt Python code after the longest time; what a library hangs in, the parent ends."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _is_ours(error: BaseException) -> bool:
    """Whether our own code raised it, and not a library below."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return last.filename.startswith(_PACKAGES)


def _place_of(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(_PACKAGES)]
    where = (ours or frames)[-1]
    text = " ".join(str(error).split())[:120]
    name = Path(where.filename).name
    return f"{type(error).__name__} in {name}, {where.name}, line {where.lineno}: {text}"


def _size(result: Any) -> int:
    """Bytes of arrays and tensors, in containers too."""
    if isinstance(result, dict):
        return sum(map(_size, result.values()))
    if isinstance(result, (tuple, list)):
        return sum(map(_size, result))
    return int(getattr(result, "nbytes", 0))


def _peak(*, reset: bool = False) -> int:
    """The most memory that this process has held since the last reset, in bytes (Linux)."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        text = Path("/proc/self/status").read_text()
    except OSError:  # another system
        return 0
    return int(text.partition("VmHWM:")[2].split(maxsplit=1)[0]) * 1024
