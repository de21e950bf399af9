"""ROS 1 messages as messages of ROS 2 Jazzy, with the machinery of rosbags.

A type that Jazzy has becomes Jazzy's: the same bytes but for the header's `seq` where its fields
are the same, else field by field (what is new there is zero). Another type keeps its own
definition, which the new bag then holds.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial

from rosbags.convert.converter import generate_message_converter
from rosbags.interfaces import Connection
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from fafnet_core.bags.errors import BagError, one_line
from fafnet_core.bags.reading import RENAMED, without_depth_units

Convert = Callable[[bytes], "bytes | memoryview"]


_NO_FIELDS = "d41d8cd98f00b204e9800998ecf8427e"
"""MD5 of a type without fields, whose definition is empty by right."""


class Ros1Conversion:
    """Converts the messages of one ROS 1 bag.

    Attributes:
        types: what the converted messages are: Jazzy's types and those that the bag adds.
    """

    def __init__(self) -> None:
        self.types: Typestore = get_typestore(Stores.ROS2_JAZZY)
        self._known: dict[tuple[str, str], tuple[str, Convert]] = {}
        self._cache: dict[str, object] = {}

    def of(self, connection: Connection) -> tuple[str, Convert]:
        """Return the type in ROS 2, and what converts a message of this connection.

        Raises:
            BagError: the type cannot be converted; the message says why.
        """
        key = (connection.msgtype, connection.msgdef.data)
        if key not in self._known:
            try:
                self._known[key] = self._make(connection)
            except Exception as error:  # whatever a definition can have wrong
                reason = one_line(error)
                raise BagError(f"{connection.msgtype} cannot be converted: {reason}") from error
        return self._known[key]

    def _make(self, connection: Connection) -> tuple[str, Convert]:
        name = RENAMED.get(connection.msgtype, connection.msgtype)
        source = get_typestore(Stores.EMPTY)
        source.register(get_types_from_msg(_definition(connection), connection.msgtype))
        # Of a type that is known too: it fails where a type of a field is not there.
        text, _ = source.generate_msgdef(connection.msgtype, ros_version=2)
        if name not in self.types.fielddefs:
            defined = get_types_from_msg(text, name)
            self.types.register(
                {each: of for each, of in defined.items() if each not in self.types.fielddefs}
            )
        with redirect_stdout(io.StringIO()):  # the library tells there what it migrates
            convert = generate_message_converter(
                source,
                self.types,
                connection.msgtype,
                name,
                self._cache,
                src_is2=False,
                dst_is2=True,
            )
        return name, partial(_converted, convert, connection.msgtype)


def _converted(convert: Convert, kind: str, data: bytes) -> bytes | memoryview:
    try:
        return convert(without_depth_units(data, kind))
    except Exception as error:  # whatever a message can have wrong
        raise BagError(f"a message of {kind} is damaged: {one_line(error)}") from error


def _definition(connection: Connection) -> str:
    """Return the definition of a connection's type; where none was stored, that of ROS Noetic.

    Raises:
        BagError: none was stored, and Noetic has no type of this name and MD5.
    """
    stored: str = connection.msgdef.data
    if stored.strip() or connection.digest == _NO_FIELDS:
        return stored
    noetic = get_typestore(Stores.ROS1_NOETIC)
    if connection.msgtype in noetic.fielddefs:
        text, digest = noetic.generate_msgdef(connection.msgtype, ros_version=1)
        if connection.digest in (digest, "*", ""):
            return str(text)
    raise BagError("its recorder stored no definition")
