"""The images of one frame, each made when it is first asked for, and once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.frame import Segmentation
from fafnet_core.inference import blend
from fafnet_core.resampling import resized_image, sampled
from fafnet_ros.outputs.frame import SegmentedFrame
from fafnet_ros.outputs.parameters import OutputSettings


class FrameRendering:
    """What is shown of one frame under these settings.

    Images are of the outputs' size. Where that is smaller, only the picture under the overlay is
    averaged: labels, confidence and HHA are those of the pixel at the same place, because there is
    no mean of two classes, or of a depth and none.
    """

    def __init__(self, segmented: SegmentedFrame, settings: OutputSettings) -> None:
        self.segmented = segmented
        self.frame = segmented.frame
        self.settings = settings
        height, width = self.frame.size
        scale = settings.output_scale
        self.size = max(round(height * scale), 1), max(round(width * scale), 1)

    @property
    def _found(self) -> Segmentation:
        if self.segmented.found is None:
            raise ValueError("no labels were made of this frame")
        return self.segmented.found

    @cached_property
    def sure_labels(self) -> NDArray[np.uint8]:
        """The labels (H, W) at full size, unlabelled where confidence is below the threshold."""
        found = self._found
        threshold = self.settings.confidence_threshold
        if threshold <= 0:
            return found.labels
        unlabelled = np.uint8(found.label_set.ignore_index)
        return np.where(found.confidence < np.float32(threshold), unlabelled, found.labels)

    @cached_property
    def labels(self) -> NDArray[np.uint8]:
        """The labels (h, w)."""
        return sampled(self.sure_labels, self.size)

    @property
    def label_image(self) -> NDArray[Any]:
        """The labels (h, w) in the encoding that is asked for: uint8, int16 or int32."""
        encoding = self.settings.labels_encoding
        if encoding == "mono8":
            return self.labels
        table = np.arange(256, dtype=np.int16 if encoding == "16SC1" else np.int32)
        table[self._found.label_set.ignore_index :] = -1
        return table[self.labels]

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """The confidence (h, w) of the labels, also of those below the threshold."""
        return sampled(self._found.confidence, self.size)

    @property
    def confidence_image(self) -> NDArray[Any]:
        """The confidence (h, w) in the encoding that is asked for: float32 or uint8."""
        if self.settings.confidence_encoding == "32FC1":
            return self.confidence
        levels: NDArray[np.uint8] = cv2.convertScaleAbs(self.confidence, alpha=255)  # type: ignore[assignment]
        return levels

    @cached_property
    def hha(self) -> NDArray[np.uint8]:
        """HHA (h, w, 3), of any size at which the network saw it."""
        return sampled(self.segmented.hha, self.size)

    @cached_property
    def colour(self) -> NDArray[np.uint8]:
        """The labels in the label set's colours (h, w, 3)."""
        return self._found.label_set.colourise(self.labels)

    @cached_property
    def overlay(self) -> NDArray[np.uint8]:
        """The labels' colours over the colour image; unlabelled pixels stay as they are."""
        unlabelled = self.labels == self._found.label_set.ignore_index
        rgb = resized_image(self.frame.rgb, self.size)
        return blend(rgb, self.colour, self.settings.overlay_opacity, keep=unlabelled)

    def mask(self, *class_ids: int) -> NDArray[np.uint8]:
        """Return (h, w) uint8: 255 where the label is one of these classes, 0 elsewhere."""
        table = np.zeros(256, np.uint8)
        table[list(class_ids)] = 255
        mask: NDArray[np.uint8] = table[self.labels]
        return mask

    @property
    def camera(self) -> Camera:
        """The camera of the images."""
        return self.frame.camera.scaled(self.size)
