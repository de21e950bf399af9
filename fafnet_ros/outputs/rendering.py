"""The images of one frame, each made when it is first asked for, and once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.inference import blend
from fafnet_core.input_size import sampled, scaled_camera
from fafnet_ros.outputs.frame import OutputSettings, Result


class FrameRendering:
    """What is shown of one frame under these settings.

    Images are of the outputs' size. Only the picture under the overlay is averaged where that is
    smaller: a label, a confidence or HHA is that of the pixel at the same place, because nothing
    lies between two classes, or between a depth and none.
    """

    def __init__(self, result: Result, settings: OutputSettings) -> None:
        self.result = result
        self.settings = settings
        height, width = result.rgb.shape[:2]
        scale = settings.output_scale
        self.shape = max(round(height * scale), 1), max(round(width * scale), 1)

    @cached_property
    def sure_labels(self) -> NDArray[np.uint8]:
        """The labels (H, W) at full size, unlabelled where confidence is below the threshold."""
        labels, confidence = self.result.labels, self.result.confidence
        if labels is None or confidence is None:
            raise ValueError("no labels were made of this frame")
        threshold = self.settings.confidence_threshold
        if threshold <= 0:
            return labels
        unlabelled = np.uint8(self.result.label_set.ignore_index)
        return np.where(confidence < np.float32(threshold), unlabelled, labels)

    @cached_property
    def labels(self) -> NDArray[np.uint8]:
        """The labels (h, w)."""
        return sampled(self.sure_labels, self.shape)

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """The confidence (h, w) of the labels, also of those below the threshold."""
        if self.result.confidence is None:
            raise ValueError("no labels were made of this frame")
        return sampled(self.result.confidence, self.shape)

    @cached_property
    def hha(self) -> NDArray[np.uint8]:
        """HHA (h, w, 3), whatever the size at which the network saw it."""
        return sampled(self.result.hha, self.shape)

    @cached_property
    def colour(self) -> NDArray[np.uint8]:
        """The labels in the label set's colours (h, w, 3)."""
        return self.result.label_set.colourise(self.labels)

    @cached_property
    def overlay(self) -> NDArray[np.uint8]:
        """The labels' colours over the colour image; unlabelled pixels stay as they are."""
        rgb: Any = self.result.rgb
        if self.shape != rgb.shape[:2]:
            rgb = cv2.resize(rgb, self.shape[::-1], interpolation=cv2.INTER_AREA)
        unlabelled = self.labels == self.result.label_set.ignore_index
        return blend(rgb, self.colour, self.settings.overlay_opacity, keep=unlabelled)

    def mask(self, class_id: int) -> NDArray[np.uint8]:
        """Return (h, w) uint8: 255 where the label is this class, 0 elsewhere."""
        mask: NDArray[np.uint8] = np.multiply(self.labels == class_id, 255, dtype=np.uint8)
        return mask

    @property
    def camera_matrix(self) -> NDArray[np.float64]:
        """The camera matrix (3, 3) of the images; pixel centres at whole numbers."""
        return scaled_camera(self.result.camera_matrix, self.result.rgb.shape[:2], self.shape)
