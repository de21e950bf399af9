"""States of the authors' network as their code would name them, without their code.

The names and shapes are theirs (`benchmarks/release_parity.py` compares them with a checkout); the
values are random, but always the same: each tensor's depend on its name and a seed alone.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

R50 = (3, 4, 6, 3)
R101 = (3, 4, 23, 3)
_WIDTHS = (256, 512, 1024, 2048)


def _conv(name: str, out: int, channels: int, size: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (out, channels, size, size)


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for tensor in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{tensor}", (width,)
    yield f"{name}.num_batches_tracked", ()


def _stem(hha: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    stem = f"backbone.{hha}conv1"
    for index, (out, channels) in {0: (64, 3), 3: (64, 64), 6: (128, 64)}.items():
        yield from _conv(f"{stem}.{index}", out, channels, 3)
    yield from _norm(f"{stem}.1", 64)
    yield from _norm(f"{stem}.4", 64)
    yield from _norm(f"backbone.{hha}bn1", 128)


def _stage(stage: int, blocks: int, hha: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    width = _WIDTHS[stage]
    inner = width // 4
    for block in range(blocks):
        channels = width if block else (128, *_WIDTHS)[stage]
        name = f"backbone.layer{stage + 1}.{block}.{hha}"
        sizes = ((inner, channels, 1), (inner, inner, 3), (width, inner, 1))
        for index, (out, into, size) in enumerate(sizes, start=1):
            yield from _conv(f"{name}conv{index}", out, into, size)
            yield from _norm(f"{name}bn{index}", out)
        if block == 0:
            yield from _conv(f"{name}downsample.0", width, channels, 1)
            yield from _norm(f"{name}downsample.1", width)


def _fusion(block: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    width = _WIDTHS[block]
    name = f"backbone.sagates.{block}"
    for flow in ("flow_make", "flow_make2"):
        yield from _conv(f"{name}.{flow}", 2, 2 * width, 3)
    for mlp in ("fsp1", "fsp2"):
        for index, (out, into) in {0: (width // 16, 2 * width), 2: (width, width // 16)}.items():
            yield f"{name}.{mlp}.filter.fc.{index}.weight", (out, into)
            yield f"{name}.{mlp}.filter.fc.{index}.bias", (out,)


def _head(classes: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for branch in range(4):
        yield from _conv(f"head.ppm.stages.{branch}.1", 256, 2048, 1)
        yield from _norm(f"head.ppm.stages.{branch}.2", 256)
    yield from _conv("head.ppm.bottleneck.0", 256, 2048 + 4 * 256, 1)
    yield from _norm("head.ppm.bottleneck.1", 256)
    for level in range(3):
        yield from _conv(f"head.fpn_in.{level}.0", 256, _WIDTHS[level], 1)
        yield f"head.fpn_in.{level}.0.bias", (256,)
        yield from _norm(f"head.fpn_in.{level}.1", 256)
        yield from _conv(f"head.fpn_out.{level}.0.0", 256, 256, 3)
        yield from _norm(f"head.fpn_out.{level}.0.1", 256)
        yield from _conv(f"head.fpn_out_align.{level}.down_h", 128, 256, 1)
        yield from _conv(f"head.fpn_out_align.{level}.down_l", 128, 256, 1)
        yield from _conv(f"head.fpn_out_align.{level}.flow_make", 2, 256, 3)
    yield from _conv("head.conv_last.0.0", 256, 4 * 256, 3)
    yield from _norm("head.conv_last.0.1", 256)
    yield from _conv("head.conv_last.1", classes, 256, 1)
    yield "head.conv_last.1.bias", (classes,)


def shapes(
    depths: tuple[int, int, int, int] = R50, classes: int = 37
) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of their network, by name."""
    named: dict[str, tuple[int, ...]] = {}
    for hha in ("", "hha_"):
        named.update(_stem(hha))
        for stage, blocks in enumerate(depths):
            named.update(_stage(stage, blocks, hha))
    for block in range(4):
        named.update(_fusion(block))
    named.update(_head(classes))
    return named


def random_state(named: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    """Return random values for every tensor, biases and running statistics too.

    They are such that the network's maps stay about as large as its inputs, and that its flows
    are a few pixels long.
    """
    return {name: _random(name, shape, seed) for name, shape in named.items()}


def random_images(batch: int, height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return a colour and an HHA image, (batch, 3, height, width), of patches of 16 pixels."""
    rows, columns = torch.arange(height) // 16, torch.arange(width) // 16
    patches = (batch, 3, int(rows[-1]) + 1, int(columns[-1]) + 1)
    rgb, hha = (_uniform(name, patches, seed) * 4 - 2 for name in ("rgb", "hha"))
    return rgb[:, :, rows][..., columns], hha[:, :, rows][..., columns]


def _random(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.tensor(41000 + seed)
    # One module with two names.
    values = _uniform(name.replace("hha_downsample", "downsample"), shape, seed)
    if len(shape) > 1:
        gain = 1.0 if name.endswith("flow_make.weight") else 1.4
        return values.sub_(0.5).mul_(gain * math.sqrt(12 / math.prod(shape[1:])))
    if name.endswith(("bias", "running_mean")):
        return values.sub_(0.5).mul_(0.6)
    # What a block adds to its shortcut stays small: there are dozens in a row.
    if name.endswith("bn3.weight"):
        return values.mul_(0.3)
    return values.mul_(0.4).add_(0.8)


def _uniform(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """Numbers from 0 to 1: plain bits of the generator, the same on every machine."""
    generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
    return torch.from_numpy(generator.random(shape, np.float32))
