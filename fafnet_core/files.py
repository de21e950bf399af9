"""Writing files so that nothing is lost: first under another name, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


@contextmanager
def written_beside(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; rename it to `path` when the block ends well.

    A reader sees the old file or the whole new one; a block that fails leaves the old one. Folders
    on the way are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield beside
        beside.replace(path)
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)  # the error of a full disk names no file
        raise
    finally:
        beside.unlink(missing_ok=True)


def write_png(path: str | Path, picture: NDArray[np.uint8]) -> None:
    """Write RGB (H, W, 3) or one channel (H, W), uint8, as a PNG.

    Raises:
        OSError: it cannot be encoded or written.
    """
    # OpenCV takes blue, green, red.
    stored = np.ascontiguousarray(picture[..., ::-1]) if picture.ndim == 3 else picture
    encoded, content = cv2.imencode(".png", stored)
    if not encoded:
        raise OSError(f"OpenCV cannot encode {path}")
    with written_beside(path) as beside:
        beside.write_bytes(content.tobytes())
