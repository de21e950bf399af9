"""What each FAM of a network did to one image (figure 6), recorded from outside of the models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fafnet_core.models.config import FAFNetConfig
from fafnet_core.models.fafnet import FAFNet
from fafnet_core.models.fam import FlowAlignment

FloatMap = NDArray[np.float32]

_IN_FUSION = re.compile(r"encoder\.fuse(\d)\.align_(rgb|depth)")
_IN_DECODER = re.compile(r"decoder\.align\.(\d)")

# What a configuration has whose network has FAMs: in its fusion, or in its decoder.
_WITH_FAM = (
    {"modality": "rgbd", "fusion": "rgbd_fuse", "fusion_alignment": "flow"},
    {"decoder": "aligned", "decoder_alignment": "flow"},
)


@dataclass(frozen=True)
class Place:
    """Where a FAM is in the network.

    Attributes:
        name: of the module, such as "encoder.fuse1.align_depth".
        title: for people, such as "RGBDFuse 1: depth to colour".
        target: what X_i is, such as "colour".
        moved: what X_j is, such as "depth".
        stride: image pixels for one pixel of X_i.
    """

    name: str
    title: str
    target: str
    moved: str
    stride: int


@dataclass(frozen=True)
class Alignment:
    """What one FAM did to one image.

    `after` at (u, v) is `before` at (u, v) + flow: an offset points to where features come from,
    so they move the other way. `flow` is the learned offset. The authors' sampling adds a constant
    of its own, a stretch by W / (W - 1) about the map's centre: that is not part of it.

    Attributes:
        place: which FAM.
        flow: (2, H, W), x and y offsets in pixels of the image; over `place.stride`, in those of
            the map.
        target: X_i, (C, H, W).
        before: what was warped: X''_j, (C, H, W), or where the FAM does not warp that, X_j as it
            came, (C, h, w), whose corners lie on those of X_i.
        after: X_warped, (C, H, W).
    """

    place: Place
    flow: FloatMap
    target: FloatMap
    before: FloatMap
    after: FloatMap


def find_alignments(model: FAFNet) -> dict[str, FlowAlignment]:
    """Return the FAMs of a network by the names of their modules.

    Raises:
        ValueError: it has none.
    """
    found = {name: m for name, m in model.named_modules() if isinstance(m, FlowAlignment)}
    if not found:
        ways = [_changes(model.config, fields) for fields in _WITH_FAM]
        raise ValueError(
            "this network has no FAM to show: take a checkpoint of a network with"
            f" {', or one with '.join(ways)}"
        )
    return found


def _changes(config: FAFNetConfig, fields: Mapping[str, str]) -> str:
    """Return which of these fields the configuration has otherwise, for an error."""
    found = {name: getattr(config, name) for name in fields}
    return " and ".join(
        f"{name} '{wanted}' (here '{found[name]}')"
        for name, wanted in fields.items()
        if found[name] != wanted
    )


@contextmanager
def record_alignments(model: FAFNet) -> Iterator[dict[str, Alignment]]:
    """Record what every FAM does while the block runs, in the order in which they run.

    Keys are the modules' names. Of a batch the first image is kept, of several passes the last one.
    The maps are copied to the CPU as float32; the network computes what it always does.

    Raises:
        ValueError: the network has no FAM.
    """
    recorded: dict[str, Alignment] = {}
    hooks = [
        module.register_forward_hook(partial(_record, recorded, _place(name, model)))
        for name, module in find_alignments(model).items()
    ]
    try:
        yield recorded
    finally:
        for hook in hooks:
            hook.remove()


def _record(
    recorded: dict[str, Alignment],
    place: Place,
    module: nn.Module,
    maps: tuple[Tensor, Tensor],
    after: Tensor,
) -> None:
    """Keep what a FAM got and gave; its steps in between are run once more."""
    assert isinstance(module, FlowAlignment)
    x_i, x_j = maps
    with torch.no_grad():
        projected = module.resize(module.conv_j(x_j), x_i)
        flow = module.flow(x_i, projected).float()
    height, width = flow.shape[-2:]
    sampling = module.rules.sampling
    pixels = flow.new_tensor((sampling.pixels(width), sampling.pixels(height)))
    recorded[place.name] = Alignment(
        place,
        flow=_first(flow * (pixels * place.stride).view(2, 1, 1)),
        target=_first(x_i),
        before=_first(projected if module.rules.warps_projection else x_j),
        after=_first(after),
    )


def _first(maps: Tensor) -> FloatMap:
    """Return the first map of a batch (B, C, H, W), copied: (C, H, W)."""
    first: FloatMap = maps.detach()[0].to("cpu", torch.float32, copy=True).numpy()
    return first


def _place(name: str, model: FAFNet) -> Place:
    """Return what the name of a FAM's module says."""
    if match := _IN_FUSION.fullmatch(name):
        level = int(match[1])
        target, moved = ("depth", "colour") if match[2] == "rgb" else ("colour", "depth")
        title = f"RGBDFuse {level}: {moved} to {target}"
    elif match := _IN_DECODER.fullmatch(name):
        level = int(match[1]) + 1
        target, moved = f"level {level}", f"level {level + 1}"
        title = f"Decoder: {moved} to {target}"
    else:
        raise ValueError(f"{name} is a FAM in a place that is not known here")
    # Level 1 is at stride 4, each further one at twice that, up to the network's own.
    stride = min(4 << (level - 1), model.config.output_stride)
    return Place(name, title, target, moved, stride)
