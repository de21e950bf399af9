"""Readers and writers of ROS 2 bags: those of rosbags, and what real files ask of them besides."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.rosbag2.reader import DirectoryReader
from rosbags.rosbag2.storage_mcap import McapWriter
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader, Sqlite3Writer

from fafnet_core.bags.errors import BagError
from fafnet_core.bags.mcap import MAGIC, McapReader


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

    STORAGE_PLUGINS: ClassVar = {"mcap": McapReader, "sqlite3": _Sqlite3Reader}

    def open(self) -> None:
        super().open()
        known = _by_name(self.connections)
        for storage in self.storages:
            own = _by_name(storage.connections)
            for i, each in enumerate(storage.connections):
                name = (each.topic, each.msgtype)
                if own[name] and (same := known.get(name)):
                    storage.connections[i] = each._replace(ext=same.ext, digest=same.digest)


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
