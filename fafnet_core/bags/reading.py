"""One way to read every bag: ROS 1 `.bag`, ROS 2 `.mcap`, `.db3` and folders of them.

Messages come as stored bytes; only those that labelling needs are decoded, all as messages of
ROS 2 Jazzy (sensor_msgs are the same bytes in every distribution since Foxy). Unknown types do not
matter.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import Connection
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from fafnet_core.bags.errors import BagError, one_line
from fafnet_core.bags.paths import METADATA
from fafnet_core.bags.storage import Ros1Reader, Ros2Reader

_REMEDIES = {
    ".bag": "`rosbag reindex` mends a ROS 1 bag whose recording was interrupted",
    ".mcap": "`mcap recover` saves what is in a file whose recording was interrupted",
    ".db3": "`sqlite3 FILE .recover` saves what is in a database whose recording was interrupted",
}
_FOLDER_REMEDY = f"`ros2 bag reindex` writes a missing {METADATA} anew; or give the file in it"

RENAMED = {"tf/msg/tfMessage": "tf2_msgs/msg/TFMessage"}
"""Types of ROS 1 that have another name in ROS 2."""

_ZSTD = b"\x28\xb5\x2f\xfd"

_STAMPED = (
    "sensor_msgs/msg/Image",
    "sensor_msgs/msg/CompressedImage",
    "sensor_msgs/msg/CameraInfo",
)


Key = tuple[int, int]
"""An image by the time by which it is paired and its record time, nanoseconds."""


@dataclass(frozen=True)
class Stored:
    """One message as the bag holds it.

    Attributes:
        connection: its topic, type and all that the bag says of them.
        time: when it was recorded, nanoseconds.
        data: CDR in ROS 2, ROS 1's own serialisation there.
    """

    connection: Connection
    time: int
    data: bytes

    @property
    def topic(self) -> str:
        """The topic's name."""
        return str(self.connection.topic)


class Bag:
    """An open recording; a context manager.

    Args:
        path: a file or a folder.
        by_record: whether `key` takes the time of recording in place of the stamp.

    Raises:
        BagError: on opening or reading what is cut short, damaged, not indexed or no bag.
    """

    def __init__(self, path: Path, *, by_record: bool = False) -> None:
        self.path = path
        self.by_record = by_record
        self.is_ros1 = path.suffix == ".bag" and path.is_file()
        self._types = jazzy()
        self._reader: Any = None

    def __enter__(self) -> Bag:
        if self.path.name.endswith((".active", ".zstd")):
            raise BagError(
                f"{self.path}: a recording that was interrupted (`rosbag reindex` mends it)"
                if self.path.suffix == ".active"
                else f"{self.path} is compressed as a whole: give its folder with {METADATA}"
            )
        with self._one_line(), ExitStack() as opened:
            reader = Ros1Reader(self.path) if self.is_ros1 else Ros2Reader(self.path)
            reader.open()
            opened.callback(reader.close)
            self._reader = reader
            self._check()
            opened.pop_all()
        return self

    def _check(self) -> None:
        """Raise where what the bag says of itself, which may be text of metadata.yaml, is wrong."""
        if not self.connections or not self.count:
            raise BagError(f"{self.path} is a bag without messages")
        if not all(isinstance(each.topic, str) for each in self.connections):
            raise BagError(f"{self.path} is damaged, a topic has no name; {self._remedy()}")
        numbers = [self._reader.message_count, self._reader.start_time, *self.counts().values()]
        if not all(isinstance(number, int) for number in numbers):
            raise BagError(
                f"{self.path} is damaged, what it says of counts and times is no number;"
                f" {self._remedy()}"
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._reader.close()

    @property
    def connections(self) -> list[Connection]:
        """What was recorded: ROS 1 has several connections of a topic, one for each publisher."""
        connections: list[Connection] = self._reader.connections
        return connections

    @property
    def count(self) -> int:
        """How many messages the bag says it holds."""
        count: int = self._reader.message_count
        return count

    @property
    def begin_ns(self) -> int:
        """Record time of the first message, nanoseconds."""
        time: int = self._reader.start_time
        return time

    def counts(self) -> dict[str, int]:
        """How many messages the bag says each topic has."""
        counts: dict[str, int] = {}
        for connection in self.connections:
            counts[connection.topic] = counts.get(connection.topic, 0) + connection.msgcount
        return counts

    def said(self) -> dict[str, int]:
        """How many messages each topic has by what says most: the files, or metadata.yaml."""
        counts = self.counts()
        stored = {} if self.is_ros1 else self._reader.stored_counts()
        return {
            name: max(counts.get(name, 0), stored.get(name, 0)) for name in {**counts, **stored}
        }

    def topics(self, *types: str) -> list[str]:
        """The names of the topics of these types and no other, in order, without empty ones.

        What is not serialised as ROS does it has no type of ROS, whatever it is called.
        """
        others = {
            each.topic
            for each in self.connections
            if each.msgtype not in types
            or getattr(each.ext, "serialization_format", "cdr") != "cdr"
        }
        return sorted(name for name, count in self.counts().items() if count and name not in others)

    def messages(self, topics: Collection[str] | None = None) -> Iterator[Stored]:
        """Yield messages in order of their record times: of these topics, or all."""
        chosen = [each for each in self.connections if topics is None or each.topic in topics]
        if not chosen:
            return
        # The library fails in many ways on a damaged file; this generator sees only its errors.
        with self._one_line():
            for connection, time, data in self._reader.messages(connections=chosen):
                yield Stored(connection, time, bytes(data))

    def first(self, topic: str) -> Any:
        """Return the first message of a topic, decoded."""
        for stored in self.messages([topic]):
            return self.decode(stored)
        raise BagError(f"{self.path} says it has messages on {topic}, but none can be found")

    def decode(self, stored: Stored) -> Any:
        """Return the message as rosbags' class of ROS 2, `data` as a uint8 array.

        Raises:
            BagError: its bytes are not a message of its type.
        """
        if not self.is_ros1 and stored.data[:4] == _ZSTD:
            raise BagError(
                f"{self.path}: its messages are compressed one by one, which only {METADATA} says:"
                " give the bag's folder"
            )
        kind = RENAMED.get(stored.connection.msgtype, stored.connection.msgtype)
        try:
            data: bytes | memoryview = stored.data
            if self.is_ros1:
                data = self._types.ros1_to_cdr(without_depth_units(stored.data, kind), kind)
            return self._types.deserialize_cdr(data, kind)
        except Exception as error:
            raise BagError(f"a message of {stored.topic} is damaged: {one_line(error)}") from error

    def stamp_ns(self, stored: Stored) -> int:
        """Return the header's stamp, or where that is 0 or missing, the record time.

        Reads the few bytes of the stamp only.
        """
        if stored.connection.msgtype not in _STAMPED or len(stored.data) < 12:
            return stored.time
        big = not self.is_ros1 and stored.data[1] == 0
        # ROS 1 has the sequence number there, CDR the four bytes that say its byte order.
        seconds, nanoseconds = struct.unpack_from(">iI" if big else "<iI", stored.data, 4)
        return seconds * 1_000_000_000 + nanoseconds or stored.time

    def key(self, stored: Stored) -> Key:
        """Return the stamp and the record time of an image; twice the latter if `by_record`."""
        return stored.time if self.by_record else self.stamp_ns(stored), stored.time

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        try:
            yield
        except (BagError, GeneratorExit, KeyboardInterrupt):
            raise
        except FileNotFoundError as error:
            raise BagError(f"{self.path}: {one_line(error)}; {self._remedy()}") from error
        except PermissionError:
            raise
        except Exception as error:
            raise BagError(
                f"{self.path} cannot be read ({one_line(error)}): it is cut short, damaged or no"
                f" bag; {self._remedy()}"
            ) from error

    def _remedy(self) -> str:
        known = _REMEDIES.get(
            self.path.suffix, "bags are .mcap, .db3, .bag, or a folder of ROS 2's"
        )
        return _FOLDER_REMEDY if self.path.is_dir() else known


@cache
def jazzy() -> Typestore:
    """Return the types of ROS 2 Jazzy, made once; add none."""
    return get_typestore(Stores.ROS2_JAZZY)


def without_depth_units(data: bytes, kind: str) -> bytes:
    """Return a ROS 1 message as its type's definition says.

    librealsense's newer recorders write 4 bytes more after each image than the type has (metres of
    a count, announced by the frame id 1); nobody else could read it.
    """
    if kind != "sensor_msgs/msg/Image" or data[12:17] != b"\1\0\0\0" + b"1":
        return data
    (encoding,) = struct.unpack_from("<I", data, 25)  # after the header, height and width
    place = 25 + 4 + encoding + 1 + 4  # after the encoding, the byte order and the step
    (length,) = struct.unpack_from("<I", data, place)
    end = place + 4 + length
    return data[:end] if len(data) == end + 4 else data
