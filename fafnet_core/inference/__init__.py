"""The door of the core: `Segmenter`, its result, and pictures of it."""

from fafnet_core.inference.devices import use_threads
from fafnet_core.inference.pictures import blend, legend, strip
from fafnet_core.inference.segmenter import DEFAULT_CHECKPOINT, UNTRAINED, Segmentation, Segmenter

__all__ = [
    "DEFAULT_CHECKPOINT",
    "UNTRAINED",
    "Segmentation",
    "Segmenter",
    "blend",
    "legend",
    "strip",
    "use_threads",
]
