"""RVL: run lengths and variable lengths for depth images, without loss.

A. D. Wilson, "Fast Lossless Depth Image Compression", ISS 2017, in the form of image_transport's
`compressedDepth`: uint32 columns, uint32 rows, then 32-bit words (all little endian) of eight
nibbles, the most significant nibble first. A number is a row of nibbles, three bits in each, the
lowest three first; the fourth bit says that more follow. The numbers of an image: how many zeros,
how many values, then for each of these its difference to the value before (across zeros too),
folded to 2 d or -2 d - 1; and again, until every pixel is there.

What looks sequential is done by arrays, a part of the payload at a time. Where a number ends shows
in its own nibble, so all of a part are read at once; and where a run begins follows from the run
before by one step in a table, of which only every fourth is walked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fafnet_core.messages.protocols import ByteData, as_bytes

LARGEST = (1 << 24) - 1
"""Pixels of the largest image that is unpacked: its counts take 24 bits, which are 8 nibbles."""

_SIZES = 8
"""Bytes of the two sizes."""
_WORD = 4
_PART = 1 << 18
"""Bytes of a payload that are decoded together: more than most cameras' images have."""
_SQUARED = 2
"""How often the table of steps from run to run is squared: a leap is 2^2 runs."""


def check_size(width: int, height: int) -> None:
    """Raise ValueError for no pixels or more than `LARGEST`, before any memory is allocated."""
    if width <= 0 or height <= 0 or width * height > LARGEST:
        raise ValueError(
            f"a compressed image says that it is {width}x{height}; 1 to {LARGEST} pixels are"
            " unpacked. The message is damaged, or no image"
        )


def decode_rvl(payload: ByteData) -> NDArray[np.uint16]:
    """Return the (H, W) uint16 depth image of an RVL payload, sizes first.

    Raises:
        ValueError: it is cut short, or not what its sizes say.
    """
    data = as_bytes(payload)
    if data.size < _SIZES:
        raise ValueError(f"RVL data of {data.size} bytes is cut short: {_SIZES} hold its size")
    width, height = (int(size) for size in data[:_SIZES].view("<u4"))
    check_size(width, height)
    pixels = width * height
    # Six nibbles are the most that a pixel takes, and four the most that its run adds.
    longest = _SIZES + _WORD * (pixels * 10 // 8 + 2)
    words = data[_SIZES:longest]
    image = _Image(np.zeros(pixels, np.uint16))
    for begin in range(0, words.size // _WORD * _WORD, _PART):
        image.add(_unpack(words[begin : begin + _PART]))
        if image.is_whole:
            return image.depth.reshape(height, width)
    raise ValueError(
        f"RVL data of {data.size} bytes ends before the last of its {width}x{height} pixels;"
        " the message was cut short"
    )


class _Image:
    """An image that is filled by one part of the payload after another.

    In parts, because the numbers and runs of a whole payload take fifty times its memory.

    Args:
        depth: zeros, all pixels in a row.
    """

    def __init__(self, depth: NDArray[np.uint16]) -> None:
        self.depth = depth
        self._place = 0
        self._last = np.uint16(0)
        """The value before, from which the next differs."""
        self._values = 0
        """Of a run that has begun: how many are to come."""
        self._nibbles: NDArray[np.uint8] = np.empty(0, np.uint8)
        """Of a number that has begun."""
        self._zeros: NDArray[np.int32] = np.empty(0, np.int32)
        """Of a run that has begun: how many zeros, where the number of its values is to come."""

    @property
    def is_whole(self) -> bool:
        """Whether every pixel is there."""
        return self._place == self.depth.size and not self._values

    def add(self, part: NDArray[np.uint8]) -> None:
        """Take the next nibbles.

        Raises:
            ValueError: they do not fit the image.
        """
        nibbles = np.concatenate([self._nibbles, part])
        self._nibbles = nibbles[_end_of_numbers(nibbles) :]
        numbers = np.concatenate([self._zeros, _read_numbers(nibbles)])
        head = min(self._values, numbers.size)
        rest = numbers[head:]
        runs = _find_runs(rest)
        ends = self._place + head + np.cumsum(rest[runs] + rest[runs + 1], dtype=np.int64)
        # What follows the last pixel fills the word up.
        runs = runs[: np.searchsorted(ends, self.depth.size) + 1]
        if runs.size and ends[runs.size - 1] > self.depth.size:
            raise ValueError(
                f"RVL data runs past the last of its {self.depth.size} pixels; the message is"
                " damaged"
            )
        self._fill(numbers[:head], rest, runs)

    def _fill(
        self, head: NDArray[np.int32], rest: NDArray[np.int32], runs: NDArray[np.intp]
    ) -> None:
        """Set the pixels of the run that goes on, and of those that begin in `rest`."""
        zeros, values = rest[runs], rest[runs + 1]
        end = int(runs[-1] + 2 + values[-1]) if runs.size else 0
        self._zeros = rest[end:] if end == rest.size - 1 else rest[:0]
        self._values += max(0, end - rest.size) - head.size
        if end > rest.size:
            values[-1] -= end - rest.size
            end = rest.size
        is_difference = np.ones(end, bool)
        is_difference[runs] = is_difference[runs + 1] = False
        folded = np.concatenate([head, rest[:end][is_difference]])
        is_value = np.concatenate([np.ones(head.size, bool), _is_value(zeros, values)])
        pixels = self.depth[self._place : self._place + is_value.size]
        # Differences wrap around with 16 bits, as the values do.
        found = np.cumsum(_unfold(folded), dtype=np.uint16) + self._last
        pixels[is_value] = found
        self._place += is_value.size
        if found.size:
            self._last = found[-1]


def encode_rvl(depth: NDArray[np.uint16]) -> bytes:
    """Return a (H, W) uint16 depth image as an RVL payload, sizes first.

    Raises:
        ValueError: not a depth image of 16 bits, or one of no or too many pixels.
    """
    if depth.dtype != np.uint16 or depth.ndim != 2:
        raise ValueError(f"RVL packs (H, W) uint16 depth, not {depth.dtype} {depth.shape}")
    height, width = depth.shape
    check_size(width, height)
    flat = np.ascontiguousarray(depth).reshape(-1)
    is_value = flat != 0
    zeros, values = _count_runs(is_value)
    differences = np.diff(flat[is_value].astype(np.int32), prepend=np.int32(0))
    numbers = np.empty(2 * zeros.size + differences.size, np.uint32)
    is_difference = np.ones(numbers.size, bool)
    runs = np.cumsum(values + 2) - values - 2
    is_difference[runs] = is_difference[runs + 1] = False
    numbers[runs], numbers[runs + 1] = zeros, values
    numbers[is_difference] = (differences << 1) ^ (differences >> 31)
    return np.array([width, height], "<u4").tobytes() + _pack(_write_numbers(numbers))


# Words and nibbles


def _unpack(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the nibbles of whole words, first to last."""
    whole = data[: data.size // _WORD * _WORD]
    high_first = whole.view("<u4").astype(">u4").view(np.uint8).astype("<u2")
    return (high_first >> 4 | (high_first & 15) << 8).view(np.uint8)


def _pack(nibbles: NDArray[np.uint8]) -> bytes:
    """Return nibbles as words, the last one filled up with zeros."""
    missing = -nibbles.size % (2 * _WORD)
    words = np.concatenate([nibbles, np.zeros(missing, np.uint8)]).reshape(-1, _WORD, 2)
    return bytes((words[..., 0] << 4 | words[..., 1])[:, ::-1].tobytes())


# Nibbles and numbers


def _read_numbers(nibbles: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return all numbers in a row of nibbles; one without an end is left out."""
    more = nibbles > 7
    ends = np.flatnonzero(~more)
    # For every nibble, the number that begins there if one does: of 2, of 4 and then 8 nibbles.
    # Narrow types make this a matter of a millisecond.
    pairs = nibbles & 7
    pairs[:-1] |= (pairs[1:] << 3) * more[:-1]
    more = more[:-1] & more[1:]
    fours = pairs.astype(np.uint16)
    fours[:-2] |= (fours[2:] << np.uint16(6)) * more[:-1]
    more = more[:-2] & more[2:]
    numbers = fours.astype(np.int32)
    longer = np.flatnonzero(more[:-1])
    numbers[longer] |= numbers[longer + 4] << 12
    if (more[:-4] & more[4:]).any():
        raise ValueError("RVL data holds a number of more than 8 nibbles; the message is damaged")
    starts = np.zeros_like(ends)
    np.add(ends[:-1], 1, out=starts[1:])
    return numbers.take(starts)


def _end_of_numbers(nibbles: NDArray[np.uint8]) -> int:
    """Return how many nibbles belong to numbers that have their end."""
    for place in range(nibbles.size, max(0, nibbles.size - 2 * _WORD - 1), -1):
        if nibbles[place - 1] <= 7:
            return place
    return 0


def _write_numbers(numbers: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Return numbers as a row of nibbles."""
    lengths = np.ones(numbers.size, np.int64)
    longer, bits = np.flatnonzero(numbers >= 8), 3
    while longer.size:
        lengths[longer] += 1
        bits += 3
        longer = longer[numbers[longer] >> np.uint32(bits) > 0]
    starts = np.cumsum(lengths) - lengths
    nibbles = np.empty(int(lengths.sum()), np.uint8)
    index, place = np.arange(numbers.size), 0
    while index.size:
        rest = numbers[index] >> np.uint32(3 * place)
        more = rest > 7
        nibbles[starts[index] + place] = (rest & 7).astype(np.uint8) | (more << 3).astype(np.uint8)
        index, place = index[more], place + 1
    return nibbles


def _unfold(folded: NDArray[np.int32]) -> NDArray[np.uint16]:
    """Return differences, modulo 2^16, of 2 d or -2 d - 1."""
    return ((folded >> 1) ^ -(folded & 1)).astype(np.uint16)


# Runs


def _find_runs(numbers: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return where each run begins in `numbers`: with how many zeros, then how many values."""
    end = numbers.size
    # Where the next run would begin if one began here, for every place; at the end: the end.
    following = np.full(end + 1, end, np.intp)
    np.minimum(np.arange(2, end + 1) + numbers[1:], end, out=following[:-2])
    leaps: NDArray[np.intp] = following
    for _ in range(_SQUARED):
        leaps = leaps.take(leaps, mode="clip")
    where, table, landings = 0, leaps.data, []
    while where < end:
        landings.append(where)
        where = table[where]
    steps = [np.array(landings, np.intp)]
    for _ in range(2**_SQUARED - 1):
        steps.append(following[steps[-1]])
    runs = np.stack(steps, axis=1).reshape(-1)
    return runs[runs < end - 1]


def _count_runs(is_value: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the lengths of zeros and of the values after them, run by run."""
    changes = np.flatnonzero(is_value[1:] != is_value[:-1]) + 1
    begins_with_value = [0] if is_value[0] else []
    ends_with_zeros = [] if is_value[-1] else [is_value.size]
    bounds = np.concatenate([[0], begins_with_value, changes, [is_value.size], ends_with_zeros])
    lengths = np.diff(bounds.astype(np.int64)).reshape(-1, 2)
    return lengths[:, 0], lengths[:, 1]


def _is_value(zeros: NDArray[np.int32], values: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Tell for every pixel of these runs whether it has a value: `_count_runs` backwards."""
    lengths = np.stack([zeros, values], axis=1).reshape(-1)
    return np.repeat(np.arange(lengths.size) % 2 == 1, lengths)
