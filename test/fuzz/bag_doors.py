"""Doors of recordings: of three kinds, and folders of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import bag_recordings as recordings
import numpy as np
from door import Door
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2.enums import CompressionMode

from fafnet_core.bags.conversion import Ros1Conversion
from fafnet_core.bags.errors import BagError
from fafnet_core.bags.paths import METADATA
from fafnet_core.bags.reading import Bag
from fafnet_core.bags.streams import list_images


def _messages() -> list[recordings.Message]:
    """Two small frames and a text."""
    rows, columns = np.indices((6, 8))
    colour = np.stack([rows, columns, rows + columns], axis=2).astype(np.uint8) * 20
    depth = (rows * 100 + 900).astype(np.uint16)
    text = recordings.make(recordings.STRING, data="hello")
    messages = [recordings.Message("/chatter", recordings.STRING, recordings.START, text)]
    for i in range(2):
        time = recordings.START + i * 33 * recordings.MS
        of_topic = {
            "rgb": (recordings.IMAGE, recordings.image(colour, "rgb8", time)),
            "depth": (recordings.IMAGE, recordings.image(depth, "16UC1", time)),
            "camera_info": (recordings.CAMERA_INFO, recordings.camera_info(recordings.CAMERA)),
        }
        messages += [
            recordings.Message(f"/c/{name}", kind, time, message)
            for name, (kind, message) in of_topic.items()
        ]
    return messages


def _mcap_seeds(folder: Path) -> list[bytes]:
    plain = recordings.write_ros2(folder / "plain.mcap", _messages())
    packed = recordings.write_ros2(folder / "packed.mcap", _messages(), CompressionMode.STORAGE)
    # Without its summary a file is read from its beginning.
    whole = plain.read_bytes()
    unfinished = whole[:-28] + bytes(16) + whole[-12:]
    return [whole, packed.read_bytes(), unfinished]


def _sqlite_seeds(folder: Path) -> list[bytes]:
    return [recordings.write_ros2(folder / "plain.db3", _messages()).read_bytes()]


def _ros1_seeds(folder: Path) -> list[bytes]:
    return [
        recordings.write_ros1(folder / f"{compression}.bag", _messages(), compression).read_bytes()
        for compression in (None, *Ros1Writer.CompressionFormat)
    ]


def _metadata_seeds(folder: Path) -> list[bytes]:
    """The texts of three folders; the folder that they are put into is the last one."""
    modes = (CompressionMode.FILE, CompressionMode.MESSAGE, CompressionMode.NONE)
    texts = []
    for mode in modes:
        bag = recordings.write_ros2(folder / f"{mode.name.lower()}/bag", _messages(), mode)
        texts.append((bag / METADATA).read_bytes())
    return texts


def _read_metadata(data: bytes, folder: Path) -> None:
    said = re.search(rb"compression_mode:\W*(file|message)", data.lower())
    kind = said[1].decode() if said else "none"
    bag = folder / kind / "bag"
    (bag / METADATA).write_bytes(data)
    _read(bag)


def _of_file(name: str) -> Callable[[bytes, Path], None]:
    def call(data: bytes, folder: Path) -> None:
        path = folder / name
        path.write_bytes(data)
        _read(path)

    return call


def _read(path: Path) -> None:
    """Read all messages; of those that cannot be decoded the others count."""
    with Bag(path) as bag:
        list_images(bag)
        conversion = Ros1Conversion()
        for stored in bag.messages():
            bag.key(stored)
            try:
                bag.decode(stored)
                if bag.is_ros1:
                    conversion.of(stored.connection)[1](stored.data)
            except BagError:
                continue
        bag.said()


DOORS = (
    Door("bag, MCAP", _mcap_seeds, _of_file("a.mcap"), (BagError,)),
    Door("bag, SQLite", _sqlite_seeds, _of_file("a.db3"), (BagError,)),
    Door("bag, ROS 1", _ros1_seeds, _of_file("a.bag"), (BagError,)),
    Door("bag, folder", _metadata_seeds, _read_metadata, (BagError,)),
)
