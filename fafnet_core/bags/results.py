"""What labelling adds to a bag: image messages under `/fafnet/`, and the class names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fafnet_core.bags.reading import jazzy
from fafnet_core.bags.streams import IMAGE, OUR_PREFIX
from fafnet_core.bags.writing import BagWriter
from fafnet_core.frame import RgbdFrame, Segmentation
from fafnet_core.inference import overlay
from fafnet_core.labels import LabelSet
from fafnet_core.resampling import sampled

_STRING = "std_msgs/msg/String"
_NAMES = f"{OUR_PREFIX}label_names"


# topic below /fafnet: encoding, and what goes out; as the node's topics
_IMAGES: dict[str, tuple[str, Callable[[RgbdFrame, Segmentation], NDArray[Any]]]] = {
    "labels": ("mono8", lambda frame, found: found.labels),
    "overlay": ("rgb8", lambda frame, found: overlay(frame.rgb, found.labels, found.label_set)),
    "color": ("rgb8", lambda frame, found: found.label_set.colourise(found.labels)),
    "confidence": ("32FC1", lambda frame, found: found.confidence),
    "hha": ("rgb8", lambda frame, found: sampled(found.hha, frame.size)),
}


class Results:
    """Writes what labelling gives.

    Args:
        writer: of the new bag; gets the topics, and the class names at `begin_ns`.
        outputs: which images: labels, overlay, color, confidence, hha.
        label_set: what the labels mean.
        begin_ns: record time of the recording's first message.
    """

    def __init__(
        self, writer: BagWriter, outputs: Sequence[str], label_set: LabelSet, begin_ns: int
    ) -> None:
        self._writer = writer
        self._outputs = outputs
        self._types = jazzy().types
        for name in outputs:
            writer.add(f"{OUR_PREFIX}{name}", IMAGE)
        writer.add(_NAMES, _STRING, latched=True)
        writer.write(_NAMES, begin_ns, self._types[_STRING](data=label_set.to_json()))

    def write(self, frame: RgbdFrame, found: Segmentation, header: Any, time: int) -> None:
        """Write the images of a frame under the colour image's own header and record time."""
        for name in self._outputs:
            encoding, picture = _IMAGES[name]
            array = picture(frame, found)
            stored = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            height, width = array.shape[:2]
            message = self._types[IMAGE](
                header=header,
                height=height,
                width=width,
                encoding=encoding,
                is_bigendian=0,
                step=stored.nbytes // height,
                data=stored.reshape(-1).view(np.uint8),
            )
            self._writer.write(f"{OUR_PREFIX}{name}", time, message)
