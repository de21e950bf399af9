"""Writing the labelled bag: all that was recorded, byte for byte, and the new topics.

A bag is written into a folder beside its place and renamed when it is whole, so that no half bag
ever has the final name.
"""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag1,
    ConnectionExtRosbag2,
    MessageDefinitionFormat,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

from fafnet_core.bags.conversion import Ros1Conversion
from fafnet_core.bags.errors import BagError
from fafnet_core.bags.reading import Bag, Stored, jazzy
from fafnet_core.bags.storage import Ros2Writer

_VERSION = 8
"""Of the metadata: what Humble reads as well as every newer distribution."""

_IDL_HEAD = "=" * 80 + "\nIDL: "
_NO_HASH = "RIHS01_" + "0" * 64
_INFINITE = QosTime(9223372036, 854775807)


def _qos(depth: int, durability: QosDurability) -> Qos:
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        QosReliability.RELIABLE,
        durability,
        _INFINITE,
        _INFINITE,
        QosLiveliness.SYSTEM_DEFAULT,
        _INFINITE,
        avoid_ros_namespace_conventions=False,
    )


_IMAGE_QOS = [_qos(5, QosDurability.VOLATILE)]
_LATCHED_QOS = [_qos(1, QosDurability.TRANSIENT_LOCAL)]


class BagWriter(ABC):
    """What fills a labelled bag.

    Attributes:
        left_out: topics that could not be kept, and why.
    """

    def __init__(self) -> None:
        self.left_out: dict[str, str] = {}
        self._types = jazzy()
        self._ours: dict[str, Connection] = {}

    @abstractmethod
    def keep(self, stored: Stored) -> bool:
        """Write a message of the recording as it is; False where its topic is left out."""

    @abstractmethod
    def add(self, topic: str, kind: str, *, latched: bool = False) -> None:
        """Announce a topic of ours, of this type."""

    def write(self, topic: str, time: int, message: object) -> None:
        """Write a message of ours (rosbags' class of ROS 2 Jazzy) at this record time."""
        connection = self._ours[topic]
        data = self._types.serialize_cdr(message, connection.msgtype, little_endian=True)
        self._write(connection, time, data)

    @abstractmethod
    def _write(self, connection: Connection, time: int, data: bytes | memoryview) -> None:
        """Write a message of ours that is serialised as ROS 2 does."""


@contextmanager
def written_bag(out: Path, bag: Bag) -> Iterator[BagWriter]:
    """Give what fills the bag `out`; it is there, whole, when the block ends well.

    An existing bag at `out` is replaced then; `check_out` has to be asked before.

    Raises:
        BagError: the library refuses what it is to write.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f".{out.name}.{os.getpid()}.partial")
    beside.mkdir()
    try:
        if out.suffix == ".bag":
            with Ros1Writer(beside / out.name) as writer1:
                yield _Ros1BagWriter(writer1, bag)
            whole = beside / out.name
        else:
            folder = beside / out.stem
            plugin = StoragePlugin.SQLITE3 if out.suffix == ".db3" else StoragePlugin.MCAP
            with Ros2Writer(folder, version=_VERSION, storage_plugin=plugin) as writer2:
                yield _Ros2BagWriter(writer2, bag)
            whole = folder / f"{out.stem}{out.suffix}" if out.suffix else folder
        _put(whole, out, beside / "replaced")
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _put(whole: Path, out: Path, aside: Path) -> None:
    """Give a file or folder its final name; one that has it moves aside first."""
    if not out.is_dir():
        whole.replace(out)
        return
    out.rename(aside)  # a folder cannot be replaced in one step
    try:
        whole.rename(out)
    except OSError:
        aside.rename(out)
        raise


class _Ros2BagWriter(BagWriter):
    """Writes .mcap and .db3; a ROS 1 recording is converted."""

    def __init__(self, writer: Ros2Writer, bag: Bag) -> None:
        super().__init__()
        self._writer = writer
        self._conversion = Ros1Conversion() if bag.is_ros1 else None
        self._kept = {each.id: self._announce(each) for each in bag.connections}

    def keep(self, stored: Stored) -> bool:
        kept = self._kept[stored.connection.id]
        if kept is None:
            return False
        connection, convert = kept
        data = stored.data
        if convert is not None:
            try:
                data = convert(data)
            except BagError as error:
                self.left_out.setdefault(stored.topic, str(error))
                return False
        self._writer.write(connection, stored.time, data)
        return True

    def add(self, topic: str, kind: str, *, latched: bool = False) -> None:
        self._ours[topic] = self._writer.add_connection(
            topic,
            kind,
            typestore=self._types,
            offered_qos_profiles=_LATCHED_QOS if latched else _IMAGE_QOS,
        )

    def _write(self, connection: Connection, time: int, data: bytes | memoryview) -> None:
        self._writer.write(connection, time, data)

    def _announce(self, connection: Connection) -> tuple[Connection, Any] | None:
        """Return the new bag's connection for one of the recording, and what converts to it."""
        if self._conversion is None:
            text, digest = _definition(connection)
            ext = connection.ext
            assert isinstance(ext, ConnectionExtRosbag2)
            if ext.serialization_format != "cdr":
                reason = f"its messages are in '{ext.serialization_format}', not in ROS 2's cdr"
                self.left_out[connection.topic] = reason
                return None
            definition = {"msgdef": text, "rihs01": digest}
            return self._connect(connection.topic, connection.msgtype, ext, definition), None
        try:
            kind, convert = self._conversion.of(connection)
        except BagError as error:
            self.left_out[connection.topic] = str(error)
            return None
        latching = getattr(connection.ext, "latching", None)
        ext = ConnectionExtRosbag2("cdr", _LATCHED_QOS if latching else [])
        made = self._connect(connection.topic, kind, ext, {"typestore": self._conversion.types})
        return made, convert

    def _connect(
        self, topic: str, kind: str, ext: ConnectionExtRosbag2, definition: dict[str, Any]
    ) -> Connection:
        for each in self._writer.connections:
            if (each.topic, each.msgtype, each.ext) == (topic, kind, ext):
                return each  # ROS 1 has a connection for each publisher
        return self._writer.add_connection(
            topic,
            kind,
            serialization_format=ext.serialization_format,
            offered_qos_profiles=ext.offered_qos_profiles,
            **definition,
        )


def _definition(connection: Connection) -> tuple[str, str]:
    """Return the type's definition as the recording has it, and its hash."""
    kind, text = connection.msgtype, connection.msgdef.data
    is_idl = connection.msgdef.format is MessageDefinitionFormat.IDL
    if connection.msgdef.format is MessageDefinitionFormat.NONE:
        # Recordings before Iron hold no definitions; viewers need those of the common types.
        types = jazzy()
        if kind in types.fielddefs:
            return types.generate_msgdef(kind, ros_version=2)[0], types.hash_rihs01(kind)
    if is_idl and not text.startswith(_IDL_HEAD):
        text = f"{_IDL_HEAD}{kind}\n{text}"
    if connection.digest:
        return text, connection.digest
    try:
        types = get_typestore(Stores.EMPTY)
        parts = text.split("=" * 80 + "\n")[1:] if is_idl else []
        for part in parts:
            types.register(get_types_from_idl(part.split("\n", 1)[1]))
        if not is_idl:
            types.register(get_types_from_msg(text, kind))
        return text, types.hash_rihs01(kind)
    except Exception:  # a definition that rosbags cannot read; others may
        return text, _NO_HASH


class _Ros1BagWriter(BagWriter):
    """Writes .bag from .bag."""

    def __init__(self, writer: Ros1Writer, bag: Bag) -> None:
        super().__init__()
        self._writer = writer
        self._ros1 = get_typestore(Stores.ROS1_NOETIC)
        self._kept = {each.id: self._announce(each) for each in bag.connections}

    def keep(self, stored: Stored) -> bool:
        self._writer.write(self._kept[stored.connection.id], stored.time, stored.data)
        return True

    def add(self, topic: str, kind: str, *, latched: bool = False) -> None:
        self._ours[topic] = self._writer.add_connection(
            topic, kind, typestore=self._ros1, callerid="/fafnet", latching=int(latched)
        )

    def _write(self, connection: Connection, time: int, data: bytes | memoryview) -> None:
        self._writer.write(connection, time, self._types.cdr_to_ros1(data, connection.msgtype))

    def _announce(self, connection: Connection) -> Connection:
        ext = connection.ext
        assert isinstance(ext, ConnectionExtRosbag1)
        for each in self._writer.connections:
            same = (each.topic, each.msgtype, each.digest, each.ext)
            if same == (connection.topic, connection.msgtype, connection.digest, ext):
                return each
        return self._writer.add_connection(
            connection.topic,
            connection.msgtype,
            msgdef=connection.msgdef.data,
            md5sum=connection.digest,
            callerid=ext.callerid,
            latching=ext.latching,
        )
