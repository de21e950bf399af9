"""Reading MCAP files as they are: any profile, foreign topics beside ROS's, indexes or none.

The library's reader takes files of the profile "ros2" whose schemas are all ROS's and whose chunks
have message indexes, and unpacks without limit. This one reads by itself
(https://mcap.dev/spec).
"""

from __future__ import annotations

import heapq
import struct
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, BinaryIO

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    MessageDefinition,
    MessageDefinitionFormat,
)
from rosbags.rosbag2 import ReaderError
from rosbags.rosbag2 import storage_mcap as library

from fafnet_core.bags.decompression import MOST, decompress_chunk
from fafnet_core.bags.errors import BagError

MAGIC = b"\x89MCAP0\r\n"
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = range(1, 7)
_CHUNK_INDEX, _STATISTICS = 8, 11
_FOOTER_SIZE = 1 + 8 + 20
_MESSAGE_HEAD = 22
_NO_TIME = 2**63 - 1

_DEFINITIONS = {
    "ros2msg": MessageDefinitionFormat.MSG,
    "ros2idl": MessageDefinitionFormat.IDL,
    "omgidl": MessageDefinitionFormat.IDL,
}
_ROS1 = "ros1"


@dataclass(frozen=True)
class _Loose:
    """A message outside of chunks: when it was recorded, its channel, where its data lies."""

    time: int
    channel: int
    offset: int
    size: int


@dataclass
class _Contents:
    """What a file holds.

    Attributes:
        schemas: name and definition by id.
        channels: by id: schema's id, topic, encoding of its messages, metadata.
        chunks: as the library's reader wants them.
        counts: messages of each channel.
        times: of the first and the last message.
        chunk_count: how many chunks the summary says there are; None: it does not say.
    """

    schemas: dict[int, tuple[str, MessageDefinition]] = field(default_factory=dict)
    channels: dict[int, tuple[int, str, str, bytes]] = field(default_factory=dict)
    chunks: list[Any] = field(default_factory=list)
    loose: list[_Loose] = field(default_factory=list)
    counts: Counter[int] = field(default_factory=Counter)
    times: tuple[int, int] = (_NO_TIME, 0)
    chunk_count: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the summary says all that reading takes, so that chunks need not be opened."""
        known = {key for key, (schema, *_) in self.channels.items() if schema in {0, *self.schemas}}
        return (
            bool(self.chunks) and self.chunk_count == len(self.chunks) and known >= {*self.counts}
        )

    def add(self, kind: int, record: bytes) -> None:
        """Take a record of the summary, or one that stands before messages."""
        fields = _Fields(record)
        if kind == _SCHEMA:
            (key,) = fields.unpack("<H")
            name, encoding, data = fields.text(), fields.text(), fields.block()
            self.schemas[key] = (name, _definition(encoding, data))
        elif kind == _CHANNEL:
            key, schema = fields.unpack("<HH")
            self.channels[key] = (schema, fields.text(), fields.text(), fields.block())
        elif kind == _CHUNK_INDEX:
            begin, end, offset, length = fields.unpack("<QQQQ")
            indexed = [key for key, _ in struct.iter_unpack("<HQ", fields.block())]
            (index_length,) = fields.unpack("<Q")
            compression = fields.text()
            stored, size = fields.unpack("<QQ")
            counts = dict.fromkeys(indexed, 1)
            self.chunks.append(
                library.ChunkInfo(
                    begin, end, offset, length, {}, index_length, compression, stored, size, counts
                )
            )
        elif kind == _STATISTICS:
            *_, self.chunk_count, begin, end = fields.unpack("<QHIIIIQQ")
            self.counts = Counter(dict(struct.iter_unpack("<HQ", fields.block())))
            self.times = (begin, end)

    def count(self, channel: int, time: int) -> None:
        """Take note of a message."""
        self.counts[channel] += 1
        self.times = (min(time, self.times[0]), max(time, self.times[1]))


class McapReader(library.McapReader):
    """Reads a file; see the module."""

    bio: Any
    metadata: Any

    def __init__(self, path: Any) -> None:
        super().__init__(path)
        self._loose: list[_Loose] = []

    def _open(self) -> None:
        bio = self.bio
        size = bio.seek(0, 2)
        bio.seek(0)
        begin = bio.read(len(MAGIC))
        if begin != MAGIC:
            raise ReaderError("its first bytes are not MCAP's magic" if begin else "it is empty")
        bio.seek(max(0, size - len(MAGIC) - _FOOTER_SIZE))
        footer = bio.tell()
        kind, record = _record(bio)
        if kind != _FOOTER or bio.read() != MAGIC:
            raise ReaderError("it has no footer")
        (summary,) = struct.unpack_from("<Q", record)
        bio.seek(len(MAGIC))
        kind, record = _record(bio)
        if kind != _HEADER:
            raise ReaderError("it has no header")
        if _Fields(record).text() == _ROS1:
            raise _of_ros1(self.path)
        self.data_start, self.data_end = bio.tell(), summary or footer
        contents = _Contents()
        if summary:
            bio.seek(summary)
            while bio.tell() < footer:
                contents.add(*_record(bio))
        if not contents.is_whole:
            contents = _scanned(bio, self.data_start, self.data_end)
        self._take(contents)

    def _take(self, contents: _Contents) -> None:
        """Fill in what the library's reader has."""
        if any(encoding == _ROS1 for _, _, encoding, _ in contents.channels.values()):
            raise _of_ros1(self.path)
        every = dict.fromkeys(contents.channels, 1)
        # Without message indexes a chunk may hold any channel.
        self.chunks = [
            each if each.channel_count else each._replace(channel_count=every)
            for each in contents.chunks
        ]
        self._loose = sorted(contents.loose, key=lambda each: each.time)
        for key, (schema, topic, encoding, metadata) in contents.channels.items():
            unknown = ("__schemaless__", MessageDefinition(MessageDefinitionFormat.NONE, ""))
            name, definition = contents.schemas.get(schema, unknown)
            ext = ConnectionExtRosbag2(encoding, library.get_qos(metadata))
            count = contents.counts[key]
            self.connections.append(Connection(key, topic, name, definition, "", count, ext, self))
        total, (first, last) = contents.counts.total(), contents.times
        self.metadata = self.metadata._replace(
            duration=last - first + 1 if total else 0,
            start_time=first if total else _NO_TIME,
            end_time=last + 1 if total else 0,
            message_count=total,
        )

    def messages(
        self,
        connections: Collection[Connection],
        start: int | None = None,
        stop: int | None = None,
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Yield the messages of these connections in order of their record times."""
        chunked = self._chunked(connections, start, stop)
        within = (start or 0, _NO_TIME if stop is None else stop)
        loose = self._outside({each.id: each for each in connections}, *within)
        return heapq.merge(chunked, loose, key=lambda message: message[1])

    def _chunked(
        self, connections: Collection[Connection], start: int | None, stop: int | None
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """As the library does it, but for what unpacks a chunk, and for its size."""
        wanted = {each.id: each for each in connections}
        within = (-_NO_TIME if start is None else start, _NO_TIME if stop is None else stop)
        chunks = [
            self._messages_of(each, wanted, *within)
            for each in self.chunks
            if each.message_end_time >= within[0] and each.message_start_time < within[1]
            if any(each.channel_count.get(key, 0) for key in wanted)
        ]
        # A chunk is unpacked when its first message is due: each one says first when that is.
        for time, channel, data in heapq.merge(*chunks, key=lambda message: message[0]):
            if data is not None:
                yield wanted[channel], time, data

    def _messages_of(
        self, chunk: Any, wanted: Collection[int], start: int, stop: int
    ) -> Iterator[tuple[int, int, bytes | None]]:
        """Yield time, channel and data of a chunk's messages, behind its first time without any."""
        yield chunk.message_start_time, 0, None
        self.bio.seek(chunk.chunk_start_offset)
        _, length = _head(self.bio)
        fields = _Fields(_exactly(self.bio, length))
        _, _, size, crc = fields.unpack("<QQQI")
        compression = fields.text()
        records = BytesIO(
            decompress_chunk(fields.rest(fields.unpack("<Q")[0]), compression, size, crc)
        )
        found = []
        while records.tell() < size:
            kind, record = _record(records)
            if kind == _MESSAGE:
                channel, _, time, _ = struct.unpack_from("<HIQQ", record)
                if channel in wanted and start <= time < stop:
                    found.append((time, channel, record[_MESSAGE_HEAD:]))
        yield from sorted(found, key=lambda message: message[0])

    def _outside(
        self, connections: dict[int, Connection], start: int, stop: int
    ) -> Iterator[tuple[Connection, int, bytes]]:
        for each in self._loose:
            if each.channel in connections and start <= each.time < stop:
                self.bio.seek(each.offset)
                yield connections[each.channel], each.time, _exactly(self.bio, each.size)


def _scanned(bio: BinaryIO, begin: int, end: int) -> _Contents:
    """Return what a file holds by reading it all; messages outside of chunks are skipped over."""
    contents = _Contents()
    bio.seek(begin)
    while bio.tell() < end:
        offset = bio.tell()
        kind, length = _head(bio)
        if kind == _MESSAGE:
            channel, _, time, _ = struct.unpack("<HIQQ", _exactly(bio, _MESSAGE_HEAD))
            contents.loose.append(_Loose(time, channel, bio.tell(), length - _MESSAGE_HEAD))
            contents.count(channel, time)
        elif kind == _CHUNK:
            _scan_chunk(contents, _Fields(_exactly(bio, length)), offset, 9 + length)
        elif kind in (_SCHEMA, _CHANNEL):
            contents.add(kind, _exactly(bio, length))
        bio.seek(offset + 9 + length)
    return contents


def _scan_chunk(contents: _Contents, fields: _Fields, offset: int, length: int) -> None:
    begin, end, size, crc = fields.unpack("<QQQI")
    compression = fields.text()
    (stored,) = fields.unpack("<Q")
    counts: Counter[int] = Counter()
    records = BytesIO(decompress_chunk(fields.rest(stored), compression, size, crc))
    while records.tell() < size:
        kind, record = _record(records)
        if kind == _MESSAGE:
            channel, _, time, _ = struct.unpack_from("<HIQQ", record)
            counts[channel] += 1
            contents.count(channel, time)
        else:
            contents.add(kind, record)
    contents.chunks.append(
        library.ChunkInfo(begin, end, offset, length, {}, 0, compression, stored, size, counts)
    )


def _definition(encoding: str, data: bytes) -> MessageDefinition:
    """Return a schema's text; that of other serialisations than ROS's is not text, and none."""
    if encoding not in _DEFINITIONS:
        return MessageDefinition(MessageDefinitionFormat.NONE, "")
    return MessageDefinition(_DEFINITIONS[encoding], data.decode())


def _of_ros1(path: object) -> BagError:
    return BagError(
        f"{path} is a ROS 1 recording in MCAP: give the .bag that it was made from, or convert that"
        " with `rosbags-convert --src in.bag --dst out`"
    )


def _head(bio: BinaryIO) -> tuple[int, int]:
    kind, length = struct.unpack("<BQ", _exactly(bio, 9))
    return kind, length


def _record(bio: BinaryIO) -> tuple[int, bytes]:
    kind, length = _head(bio)
    return kind, _exactly(bio, length)


def _exactly(bio: BinaryIO, size: int) -> bytes:
    if size > MOST:  # Python would reserve them before it reads
        raise ReaderError(f"a record says that it has {size} bytes; at most {MOST} are read")
    data = bio.read(size)
    if len(data) != size:
        raise ReaderError(f"{size} bytes are wanted, and {len(data)} are left")
    return data


class _Fields:
    """Takes the fields of a record, one after another."""

    def __init__(self, record: bytes) -> None:
        self._record = record
        self._at = 0

    def unpack(self, format_: str) -> tuple[int, ...]:
        values = struct.unpack_from(format_, self._record, self._at)
        self._at += struct.calcsize(format_)
        return values

    def block(self) -> bytes:
        """Bytes behind their length in 32 bits."""
        return self.rest(self.unpack("<I")[0])

    def text(self) -> str:
        return self.block().decode()

    def rest(self, size: int) -> bytes:
        self._at += size
        return self._record[self._at - size : self._at]
