"""What labelling adds to a bag: image messages under `/fafnet/`, and the class names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fafnet_core.bags.streams import IMAGE, OUR_PREFIX
from fafnet_core.bags.types import jazzy
from fafnet_core.bags.writing import BagWriter
from fafnet_core.inference import blend
from fafnet_core.input_size import sampled
from fafnet_core.labels import LabelSet

_STRING = "std_msgs/msg/String"
_NAMES = f"{OUR_PREFIX}label_names"
_OPACITY = 0.5


@dataclass(frozen=True)
class Labelled:
    """One labelled frame, and the pictures of it, each made at most once.

    Attributes:
        rgb: (H, W, 3) uint8.
        hha: (h, w, 3) uint8, at the size at which the network saw it.
        labels: (H, W) uint8 class ids.
        confidence: (H, W) float32, of the labels.
        label_set: what the labels mean.
    """

    rgb: NDArray[np.uint8]
    hha: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    confidence: NDArray[np.float32]
    label_set: LabelSet

    @cached_property
    def colour(self) -> NDArray[np.uint8]:
        """The labels in the label set's colours."""
        return self.label_set.colourise(self.labels)

    @property
    def shown_hha(self) -> NDArray[np.uint8]:
        """The HHA image (H, W, 3) at the size of the labels."""
        return sampled(self.hha, (self.labels.shape[0], self.labels.shape[1]))

    @cached_property
    def overlay(self) -> NDArray[np.uint8]:
        """The labels' colours over the colour image; unlabelled pixels stay as they are."""
        unlabelled = self.labels == self.label_set.ignore_index
        return blend(self.rgb, self.colour, _OPACITY, keep=unlabelled)


# topic below /fafnet: encoding, and what goes out; as the node's topics
_IMAGES: dict[str, tuple[str, Callable[[Labelled], NDArray[Any]]]] = {
    "labels": ("mono8", lambda labelled: labelled.labels),
    "overlay": ("rgb8", lambda labelled: labelled.overlay),
    "color": ("rgb8", lambda labelled: labelled.colour),
    "confidence": ("32FC1", lambda labelled: labelled.confidence),
    "hha": ("rgb8", lambda labelled: labelled.shown_hha),
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

    def write(self, labelled: Labelled, header: Any, time: int) -> None:
        """Write the images of a frame under the colour image's own header and record time."""
        for name in self._outputs:
            encoding, picture = _IMAGES[name]
            self._writer.write(
                f"{OUR_PREFIX}{name}", time, self._image(picture(labelled), encoding, header)
            )

    def _image(self, array: NDArray[Any], encoding: str, header: Any) -> object:
        height, width = array.shape[:2]
        stored = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        return self._types[IMAGE](
            header=header,
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=0,
            step=stored.nbytes // height,
            data=stored.reshape(-1).view(np.uint8),
        )
