"""Readers and writers of bags: those of rosbags, and what real files ask of them besides."""

from __future__ import annotations

import bz2
import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import apsw
import lz4.frame
from rosbags.interfaces import Connection
from rosbags.rosbag1 import Reader as Ros1LibraryReader
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.rosbag2.reader import DirectoryReader
from rosbags.rosbag2.storage_mcap import McapWriter
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader, Sqlite3Writer

from fafnet_core.bags.decompression import MOST, check_unpacked_files, decompress
from fafnet_core.bags.errors import BagError
from fafnet_core.bags.mcap import MAGIC, McapReader

_COMPUTED = re.compile(r"\bCREATE\s+VIRTUAL\b|\bAS\s*\(", re.IGNORECASE)
"""Virtual tables, and columns whose values are an expression."""


class _Sqlite3Reader(Sqlite3Reader):
    """Reads a .db3 of any name, and none of which a part lies beside it."""

    path: Path

    def open(self) -> None:
        path = self.path
        _refuse_log(path)
        # The library makes a URI of it, in which # and ? end the path and % begins a number.
        self.path = Path(quote(str(path)))
        try:
            super().open()
        finally:
            self.path = path

    def _open(self) -> None:
        self.dbconn.limit(apsw.SQLITE_LIMIT_LENGTH, MOST)
        # A view may be a program that never ends; recorders write tables and their indexes.
        for kind, name, sql in self.dbconn.execute("SELECT type, name, sql FROM sqlite_master"):
            if kind not in ("table", "index") or _COMPUTED.search(str(sql)):
                raise BagError(f"{self.path} has '{name}', which is no table of a recorder")
        super()._open()


class _Sqlite3Writer(Sqlite3Writer):
    """Writes a .db3 into a folder of any name."""

    def __init__(self, path: Path, *options: Any) -> None:
        super().__init__(Path(quote(str(path))), *options)
        self.path = path / f"{path.name}.db3"


class _DirectoryReader(DirectoryReader):
    """Reads a folder; topics are told by name and type.

    The library drops a topic whose quality of service or type hash differs between metadata.yaml
    and a file, or between two files: recorders of several versions write them differently.
    """

    metadata: Any

    STORAGE_PLUGINS: ClassVar = {"mcap": McapReader, "sqlite3": _Sqlite3Reader}

    def open(self) -> None:
        check_unpacked_files(self.path)
        super().open()
        known = _by_name(self.connections)
        for storage in self.storages:
            own = _by_name(storage.connections)
            for i, each in enumerate(storage.connections):
                name = (each.topic, each.msgtype)
                if own[name] and (same := known.get(name)):
                    storage.connections[i] = each._replace(ext=same.ext, digest=same.digest)

    def messages(
        self,
        connections: Collection[Connection],
        start: int | None = None,
        stop: int | None = None,
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Yield messages, file by file; those that are compressed one by one are unpacked here."""
        if self.metadata.compression_mode != "message":
            yield from super().messages(connections, start, stop)
            return
        packed = self.metadata
        self.metadata = packed._replace(compression_mode=None)
        try:
            for connection, time, data in super().messages(connections, start, stop):
                yield connection, time, decompress(data, "zstd")
        finally:
            self.metadata = packed


class Ros1Reader(Ros1LibraryReader):
    """Reads ROS 1 bags, whose chunks are unpacked up to a limit."""

    def read_chunk(self) -> Any:
        """Return where a chunk is, and what unpacks it."""
        chunk = super().read_chunk()
        kind = _ROS1_KINDS.get(chunk.decompressor)
        if kind is None:
            return chunk
        return chunk._replace(decompressor=lambda data: decompress(data, kind))


_ROS1_KINDS = {bz2.decompress: "bz2", lz4.frame.decompress: "lz4"}
"""What the library has for a chunk, by what does the same here."""

_BEGINNINGS = {MAGIC: McapReader, b"SQLite format 3\0": _Sqlite3Reader}


class Ros2Reader(Reader):
    """Reads .mcap, .db3 and folders of them; a file by its first bytes, whatever its suffix."""

    STORAGE_PLUGINS: ClassVar = {
        "dir": _DirectoryReader,
        ".mcap": McapReader,
        ".db3": _Sqlite3Reader,
    }

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if path.is_file():
            with path.open("rb") as file:
                begin = file.read(max(map(len, _BEGINNINGS)))
            for magic, plugin in _BEGINNINGS.items():
                if begin.startswith(magic):
                    self.storage = plugin(path)

    def stored_counts(self) -> Counter[str]:
        """How many messages of each topic the files say they hold, whatever metadata.yaml says."""
        files = getattr(self.storage, "storages", [self.storage])
        counts: Counter[str] = Counter()
        for each in (connection for file in files for connection in file.connections):
            counts[each.topic] += each.msgcount
        return counts


class Ros2Writer(Writer):
    """Writes .mcap and .db3."""

    STORAGE_PLUGINS: ClassVar = {
        StoragePlugin.SQLITE3: _Sqlite3Writer,
        StoragePlugin.MCAP: McapWriter,
    }


def _refuse_log(path: Path) -> None:
    """Raise BagError where SQLite's log beside a database holds what the database does not."""
    log = path.with_name(f"{path.name}-wal")
    size = log.stat().st_size if log.is_file() else 0
    if size:
        command = f"sqlite3 {shlex.quote(str(path))} 'PRAGMA wal_checkpoint(TRUNCATE)'"
        raise BagError(
            f"{log} holds {size} bytes that are not in {path.name}, for its recorder was stopped or"
            f" still runs: `{command}` puts them there"
        )


def _by_name(connections: list[Connection]) -> dict[tuple[str, str], Connection | None]:
    """Return connections by topic and type; None where several have both."""
    found: dict[tuple[str, str], Connection | None] = {}
    for each in connections:
        key = (each.topic, each.msgtype)
        found[key] = None if key in found else each
    return found
