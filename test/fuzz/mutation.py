"""Makes damaged and lying inputs out of valid ones; the same numbers give the same input."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

Change = Callable[[random.Random, bytearray], None]

_NUMBERS = (0, 1, 2, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24 - 1, 2**24)
_EXTREMES = (2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
_FORMATS = ("<B", "<H", ">H", "<I", ">I", "<Q", ">Q")
_FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-300, 1e300, float("inf"), float("-inf"), float("nan"))
_TEXTS = (
    b"../", b"/etc/passwd", b"\x00", b"\xff\xfe", b"[" * 2000, b"{", b"9" * 500, b"-1", b"1e999",
    b"NaN", b"null", b"*a", b"&a ", b"!!python/object/apply:os.system ", b"\n", b": ", b"%s", b"\\",
    "\u202e\U0001f600".encode(), b"A" * 5000,
)  # fmt: skip
_FRONT = 512
"""Headers are at the front, and of some formats at the end."""


def mutated(seeds: Sequence[bytes], random_: random.Random) -> bytes:
    """Return one of the seeds with some changes; now and then random bytes, or a seed as it is."""
    kind = random_.random()
    if kind < 0.01:
        return random_.choice(seeds)
    if kind < 0.03:
        return random_.randbytes(random_.randrange(64))
    data = bytearray(random_.choice(seeds))
    for _ in range(1 + int(random_.expovariate(0.6))):
        random_.choice(_CHANGES)(random_, data)
    if random_.random() < 0.05:
        _splice(random_, data, random_.choice(seeds))
    return bytes(data)


def _place(random_: random.Random, data: bytearray) -> int:
    if not data:
        return 0
    where = random_.random()
    if where < 0.4:
        return random_.randrange(min(_FRONT, len(data)))
    if where < 0.5:
        return len(data) - 1 - random_.randrange(min(_FRONT, len(data)))
    return random_.randrange(len(data))


def _flip(random_: random.Random, data: bytearray) -> None:
    if data:
        data[_place(random_, data)] ^= 1 << random_.randrange(8)


def _number(random_: random.Random, data: bytearray) -> None:
    format_ = random_.choice(_FORMATS)
    size = struct.calcsize(format_)
    value = random_.choice((*_NUMBERS, *_EXTREMES, random_.getrandbits(32), len(data)))
    place = _place(random_, data)
    data[place : place + size] = struct.pack(format_, value % 2 ** (8 * size))


def _step(random_: random.Random, data: bytearray) -> None:
    """A number that is there, one more or less."""
    if data:
        place = _place(random_, data)
        data[place] = (data[place] + random_.choice((1, -1))) % 256


def _float(random_: random.Random, data: bytearray) -> None:
    format_ = random_.choice(("<f", "<d"))
    place = _place(random_, data)
    value = random_.choice(_FLOATS)
    if format_ == "<f" and abs(value) == 1e300:
        value = 3e38
    packed = struct.pack(format_, value)
    data[place : place + len(packed)] = packed


def _text(random_: random.Random, data: bytearray) -> None:
    place = _place(random_, data)
    text = random_.choice(_TEXTS)
    end = place if random_.random() < 0.5 else place + len(text)
    data[place:end] = text


def _cut(random_: random.Random, data: bytearray) -> None:
    del data[_place(random_, data) :]


def _drop(random_: random.Random, data: bytearray) -> None:
    place = _place(random_, data)
    del data[place : place + random_.choice((1, 2, 4, 8, 64))]


def _repeat(random_: random.Random, data: bytearray) -> None:
    place = _place(random_, data)
    part = data[place : place + random_.choice((1, 4, 8, 64, 300))]
    data[place:place] = part * random_.choice((1, 2, 50))


def _noise(random_: random.Random, data: bytearray) -> None:
    place = _place(random_, data)
    size = random_.choice((1, 2, 4, 16))
    data[place : place + size] = random_.randbytes(size)


def _splice(random_: random.Random, data: bytearray, other: bytes) -> None:
    if other:
        begin = random_.randrange(len(other))
        place = _place(random_, data)
        size = random_.choice((4, 16, 64, 1000))
        data[place : place + size] = other[begin : begin + size]


_CHANGES: tuple[Change, ...] = (
    _flip, _flip, _number, _number, _number, _step, _float, _text, _cut, _drop, _repeat, _noise,
)  # fmt: skip
