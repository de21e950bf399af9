"""What is measured: networks in each runtime, and the stages of a camera's frame."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from fafnet_core.benchmark.rows import Contender, Opened
from fafnet_core.camera import Size
from fafnet_core.checkpoints.checkpoint import read_metadata
from fafnet_core.checkpoints.shipped import checkpoint_file
from fafnet_core.frame import RgbdFrame
from fafnet_core.hha import HHAStream, HHAStreamConfig
from fafnet_core.inference.segmenter import UNTRAINED, Segmenter
from fafnet_core.input_size import fitted_size
from fafnet_core.models import PRESETS
from fafnet_core.rooms import Tour, pinhole, render
from fafnet_core.runtimes import Runtime
from fafnet_core.runtimes.classify import classify
from fafnet_core.runtimes.deployed import DeployedNetwork
from fafnet_core.runtimes.devices import choose_device, choose_dtype
from fafnet_core.runtimes.proof import proof_frame

_PRECISIONS = ("float32", "bfloat16")
_HOLES = 0.25
_RATE_HZ = 30.0


def checkpoint_of(network: str) -> str:
    """Return what `Segmenter.from_checkpoint` takes for a network: a preset has random weights."""
    return f"{UNTRAINED}{network}" if network in PRESETS else network


def precisions_of(runtime: str, device: str) -> tuple[str, ...]:
    """Return those worth a row: in bfloat16 PyTorch is slower where it would not choose it."""
    where = choose_device(device)
    if runtime == "torch" and choose_dtype("auto", where) == torch.float32:
        return ("float32",)
    return _PRECISIONS


def open_network(contender: Contender) -> Opened:
    """Make a row of a checkpoint or a preset ready."""
    segmenter = Segmenter.from_checkpoint(
        checkpoint_of(contender.network),
        contender.device,
        contender.precision,
        contender.runtime,
        input_size=contender.size,
    )
    return labelling(segmenter.runtime, contender.size)


def labelling(runtime: Runtime, size: Size) -> Opened:
    """Return what labels a frame of a synthetic room, (height, width), in a runtime."""
    rgb, hha = proof_frame(size)
    runtime.prepare(size)
    return Opened(lambda: runtime.predict(rgb, hha, size).labels, runtime.name, runtime.precision)


# The stages of a frame


def stages(
    network: str, camera: Size, threads: int, device: str, runtime: str = "auto"
) -> list[Contender]:
    """Return the whole frame of a camera, (height, width), and its stages.

    By default the network gets the runtime and the precision that it has in a node.
    """
    return [
        Contender(network, runtime, "auto", device, threads, camera, open_stage, what)
        for what, open_stage in STAGES.items()
    ]


def _frame(camera: Size, *, holes: bool) -> RgbdFrame:
    """A synthetic room; a quarter of its depth missing in blobs where there are holes."""
    tour, pin = Tour.of(1), pinhole(camera[1], camera[0])
    view = render(tour.room.scene, pin, tour.pose(0.2))
    depth_m = view.depth_m.copy()
    if holes:
        noise = np.random.default_rng(0).normal(size=camera)
        blobs: NDArray[np.floating] = np.asarray(cv2.GaussianBlur(noise, (0, 0), 5))
        depth_m[blobs > np.quantile(blobs, 1 - _HOLES)] = 0
    return RgbdFrame(rgb=view.rgb, depth_m=depth_m, camera=pin)


def _seen(contender: Contender, *, holes: bool) -> RgbdFrame:
    """The frame at the size at which the network sees it."""
    source = checkpoint_of(contender.network)
    known = None if source.startswith(UNTRAINED) else read_metadata(checkpoint_file(source))
    size = fitted_size(contender.size, known.input_size if known else None)
    return _frame(contender.size, holes=holes).scaled(size)


def _segmenter(contender: Contender) -> Segmenter:
    return Segmenter.from_checkpoint(
        checkpoint_of(contender.network),
        contender.device,
        contender.precision,
        contender.runtime,
    )


def _whole(contender: Contender) -> Opened:
    segmenter = _segmenter(contender).following()
    frame, stamps = _frame(contender.size, holes=True), _stamps()

    def way() -> None:
        segmenter.segment_frame(replace(frame, stamp_ns=next(stamps)))

    return Opened(way, segmenter.runtime.name, segmenter.precision)


def _scaling(contender: Contender) -> Opened:
    frame, size = _frame(contender.size, holes=True), _seen(contender, holes=True).size

    def way() -> None:
        frame.scaled(size)

    return Opened(way)


def _hha(contender: Contender, *, holes: bool) -> Opened:
    seen, stamps = _seen(contender, holes=holes), _stamps()
    stream = HHAStream(HHAStreamConfig())

    def way() -> None:
        stream.encode(seen.depth_m, seen.camera, stamp_s=next(stamps) / 1e9)

    return Opened(way)


def _network(contender: Contender) -> Opened:
    segmenter = _segmenter(contender)
    seen = segmenter.encode(_frame(contender.size, holes=True))

    def way() -> None:
        segmenter.predict(seen.rgb, seen.hha, size=seen.size)

    return Opened(way, segmenter.runtime.name, segmenter.precision)


def _classes(contender: Contender) -> Opened:
    segmenter = _segmenter(replace(contender, runtime="torch", precision="float32"))
    seen = segmenter.encode(_frame(contender.size, holes=True))
    network = DeployedNetwork(segmenter.torch.model, segmenter.torch.normalisation)
    images = (torch.from_numpy(image)[None].to(segmenter.device) for image in (seen.rgb, seen.hha))
    with torch.inference_mode():
        logits = network.to(segmenter.device)(*images)[0]

    def way() -> None:
        classify(logits, seen.size, (seen.rgb.shape[0], seen.rgb.shape[1]))

    return Opened(way)


STAGES: Mapping[str, Callable[[Contender], Opened]] = MappingProxyType(
    {
        "whole frame": _whole,
        "scaling": _scaling,
        "HHA, no holes": partial(_hha, holes=False),
        "HHA, holes": partial(_hha, holes=True),
        "network and classes": _network,
        "classes alone": _classes,
    }
)
"""From a camera's frame to its labels: what makes each ready."""


def _stamps() -> itertools.count[int]:
    return itertools.count(1, round(1e9 / _RATE_HZ))
