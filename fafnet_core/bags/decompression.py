"""Decompression that ends: what a bag packs may unpack to a thousand times its size, or more.

The library unpacks all there is before it compares sizes.
"""

from __future__ import annotations

import bz2
import shutil
import sys
from binascii import crc32
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Protocol

from lz4.frame import LZ4FrameDecompressor
from rosbags.rosbag2 import ReaderError

from fafnet_core.bags.errors import BagError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MOST = 1 << 28
"""Bytes that one chunk, or one message, may unpack to; recorders write chunks of 1 to 4 MB."""
_STEP = 1 << 20
_KEPT_FREE = 1 << 28


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes | None: ...

    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


_KINDS: dict[str, Callable[[], Any]] = {
    "bz2": bz2.BZ2Decompressor,
    "lz4": LZ4FrameDecompressor,
    "zstd": zstd.ZstdDecompressor,
}


def decompress(data: bytes, kind: str, most: int = MOST) -> bytes:
    """Unpack bz2, lz4 or zstd, of one frame or several.

    Raises:
        ReaderError: more than `most` bytes, cut short, or not known.
    """
    if kind not in _KINDS:
        raise ReaderError(f"compression {kind!r:.40} is not known")
    most = min(most, MOST)
    parts: list[bytes] = []
    while data:
        frame: _Decompressor = _KINDS[kind]()
        parts.append(frame.decompress(data, max_length=most + 1))
        most -= len(parts[-1])
        if most < 0:
            raise ReaderError(f"it unpacks to more than {MOST >> 20} MiB, or than it says")
        if not frame.eof:
            raise ReaderError("what is compressed in it is cut short")
        data = frame.unused_data or b""
    return b"".join(parts)


def decompress_chunk(data: bytes, kind: str, size: int, crc: int) -> bytes:
    """Unpack a chunk of an MCAP file, and compare it with what the file says of it.

    Raises:
        ReaderError: another size or checksum, or as `decompress`.
    """
    if size > MOST:
        raise ReaderError(f"a chunk says that it has {size} bytes; at most {MOST} are read")
    raw = decompress(data, kind, size) if kind else data
    if len(raw) != size:
        raise ReaderError(f"a chunk says that it has {size} bytes, and has {len(raw)}")
    if crc and crc32(raw) != crc:
        raise ReaderError("a chunk is not what its checksum says")
    return raw


def check_unpacked_files(folder: Path) -> None:
    """Refuse a folder of compressed files that the disk has no place for.

    They are unpacked into the folder of temporary files before they are read.

    Raises:
        BagError: they take more than there is.
    """
    free = shutil.disk_usage(gettempdir()).free - _KEPT_FREE
    needed = 0
    for path in folder.glob("*.zstd"):
        with zstd.open(path, "rb") as file:
            while part := file.read(_STEP):
                needed += len(part)
                if needed > free:
                    raise BagError(
                        f"{path} unpacks to more than {free >> 20} MiB, which {gettempdir()} has"
                        " free: set TMPDIR to a folder with more"
                    )
