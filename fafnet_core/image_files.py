"""What an image file says of itself, read before it is decoded.

A decoder believes a header: a file of some bytes that says it has a thousand million pixels, or a
chunk of four gigabytes, takes as much memory; and a JPEG of many scans takes the time of as many
images. Only the formats below go to a decoder: it would take others too, whatever the file's name.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

MOST_PIXELS = 1 << 26
"""Of an image file that is decoded: 8192 x 8192."""
MOST_SCANS = 100
"""Of a JPEG file; encoders write at most about ten."""

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
_TIFF = (b"II*\0", b"MM\0*")
_EXR = b"\x76\x2f\x31\x01"
_JPEG_END, _JPEG_SCAN = b"\xff\xd9", b"\xff\xda"
# Start of a frame, of any kind (C4, C8 and CC are other things).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_NETPBM = re.compile(
    rb"P[1-6Ff](?:\s|#[^\n]{0,200}\n){1,20}(\d{1,9})(?:\s|#[^\n]{0,200}\n){1,20}(\d{1,9})"
)
_WIDTH, _LENGTH, _TILE_WIDTH, _TILE_LENGTH = 256, 257, 322, 323


class ImageHeader(NamedTuple):
    """What a file says.

    Attributes:
        height, width: in pixels; 0 where the header is cut short.
        is_whole: as far as can be seen, the file has its end.
    """

    height: int
    width: int
    is_whole: bool


def check_image_file(data: bytes, what: str, most: int = MOST_PIXELS) -> None:
    """Refuse a file that must not be decoded.

    Args:
        data: the file.
        what: what the message calls it.
        most: pixels.

    Raises:
        ValueError: another format, too many pixels or scans, or it is cut short.
    """
    if data.startswith(_EXR):
        return  # read only where the user trusts it; OpenCV has a limit of its own
    header = read_header(data)
    if header is None:
        raise ValueError(
            f"{what} is not an image of a format that is read here (PNG, JPEG, BMP, TIFF, PGM,"
            " PFM), or it is cut short"
        )
    if not header.is_whole:
        raise ValueError(f"{what} is not an image that can be read: it is damaged or cut short")
    if not 0 < header.height * header.width <= most or min(header[:2]) < 0:
        raise ValueError(
            f"{what} says that it is {header.width}x{header.height}; 1 to {most} pixels are read."
            " It is damaged, or no image of a camera"
        )


def read_header(data: bytes) -> ImageHeader | None:
    """Return what a file says; None for another format.

    Raises:
        ValueError: a JPEG of too many scans.
    """
    if data.startswith(PNG):
        return _png(data)
    if data.startswith(JPEG):
        return _jpeg(data)
    if data.startswith(_TIFF):
        return _tiff(data)
    if data.startswith(b"BM"):
        return _bmp(data)
    found = _NETPBM.match(data)
    return None if found is None else ImageHeader(int(found[2]), int(found[1]), True)


def _png(data: bytes) -> ImageHeader:
    """Chunks have their length, 4 letters, data and 4 bytes of checksum."""
    place, size = len(PNG), (0, 0)
    while place + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        if place == len(PNG):
            if name != b"IHDR" or length != 13 or len(data) < place + 25:
                break
            size = struct.unpack_from(">II", data, place + 8)
        place += 12 + length
        if name == b"IEND":
            return ImageHeader(size[1], size[0], place <= len(data))
    return ImageHeader(size[1], size[0], False)


def _jpeg(data: bytes) -> ImageHeader:
    if data.count(_JPEG_SCAN) > MOST_SCANS:
        raise ValueError(
            f"a JPEG image of {data.count(_JPEG_SCAN)} scans came; at most {MOST_SCANS} are decoded"
        )
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        kind = data[place + 1]
        if kind in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, place + 5)
            # A preview within the header has an end too; coded pixels have none.
            return ImageHeader(height, width, data.find(_JPEG_END, place) >= 0)
        place += 1 if kind == 0xFF else 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return ImageHeader(0, 0, False)


def _bmp(data: bytes) -> ImageHeader:
    if len(data) < 30:
        return ImageHeader(0, 0, False)
    is_old = data[14:18] == b"\x0c\0\0\0"
    width, height = struct.unpack_from("<HH" if is_old else "<ii", data, 18)
    return ImageHeader(abs(height), width, True)  # below zero: the first row comes first


def _tiff(data: bytes) -> ImageHeader:
    """Entries of 12 bytes: tag, type (3: 16 bits, 4: 32 bits), count, value.

    OpenCV writes and reads classic TIFF; of BigTIFF (64 bits) there are no camera images.
    """
    order = "<" if data[:1] == b"I" else ">"
    sides = dict.fromkeys((_WIDTH, _LENGTH, _TILE_WIDTH, _TILE_LENGTH), 0)
    try:
        (place,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, place)
        for entry in range(place + 2, place + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", data, entry)
            if tag in sides:
                size = "H" if kind == 3 else "I"
                (sides[tag],) = struct.unpack_from(order + size, data, entry + 8)
    except struct.error:
        return ImageHeader(0, 0, False)
    # A tile that is larger than the image is allocated too.
    height = max(sides[_LENGTH], sides[_TILE_LENGTH])
    return ImageHeader(height, max(sides[_WIDTH], sides[_TILE_WIDTH]), True)
