"""The door of the core: `Segmenter`, its result, and pictures of it."""

from fafnet_core.checkpoints.shipped import DEFAULT_CHECKPOINT
from fafnet_core.frame import RgbdFrame, Segmentation
from fafnet_core.inference.alignment import Alignment, find_alignments, record_alignments
from fafnet_core.inference.alignment_pictures import alignment_sheet
from fafnet_core.inference.pictures import blend, class_key, legend, overlay, strip
from fafnet_core.inference.segmenter import UNTRAINED, NetworkInput, Segmenter, Temporal
from fafnet_core.runtimes.devices import (
    free_gpu_cache,
    give_memory_back,
    is_gpu_full,
    keep_memory,
    use_threads,
)

__all__ = [
    "DEFAULT_CHECKPOINT",
    "UNTRAINED",
    "Alignment",
    "NetworkInput",
    "RgbdFrame",
    "Segmentation",
    "Segmenter",
    "Temporal",
    "alignment_sheet",
    "blend",
    "class_key",
    "find_alignments",
    "free_gpu_cache",
    "give_memory_back",
    "is_gpu_full",
    "keep_memory",
    "legend",
    "overlay",
    "record_alignments",
    "strip",
    "use_threads",
]
