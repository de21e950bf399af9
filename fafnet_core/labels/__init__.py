"""Label sets, mappings between them, and the files that both are.

label_set   names, colours and ignore index of a network's classes
files       label sets that ship (`sets/`), and your own
mappings    from one set to another: those that ship (`mappings/`), and your own

The sets that ship are read when they are first asked for:

NYU40           NYU-Depth V2 (Gupta et al., CVPR 2013), in its published order
SUN37           SUN RGB-D (Song et al., CVPR 2015): the first 37 of the same list
NYU13           NYU-Depth V2, 13 classes (Couprie et al., ICLR 2013)
SCANNET20       ScanNet's benchmark (Dai et al., CVPR 2017)
ADE20K          ADE20K's 150 (Zhou et al., CVPR 2017)
ADE20K_INDOOR   20 groups of those, as semantic_inference and Hydra have them
"""

from __future__ import annotations

from fafnet_core.labels.files import load_label_set, shipped_label_sets
from fafnet_core.labels.label_set import UNLABELLED, LabelSet
from fafnet_core.labels.mappings import LabelMapping, load_mapping, shipped_mappings

NYU40: LabelSet
SUN37: LabelSet
NYU13: LabelSet
SCANNET20: LabelSet
ADE20K: LabelSet
ADE20K_INDOOR: LabelSet

__all__ = [
    "ADE20K",
    "ADE20K_INDOOR",
    "NYU13",
    "NYU40",
    "SCANNET20",
    "SUN37",
    "UNLABELLED",
    "LabelMapping",
    "LabelSet",
    "load_label_set",
    "load_mapping",
    "shipped_label_sets",
    "shipped_mappings",
]

_SHIPPED = ("ADE20K", "ADE20K_INDOOR", "NYU13", "NYU40", "SCANNET20", "SUN37")


def __getattr__(name: str) -> LabelSet:
    if name not in _SHIPPED:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return load_label_set(name.lower().replace("_", "-"))
