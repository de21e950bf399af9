"""`Segmenter`, the door to the core: colour, metric depth and a camera in, labels out.

A frame's way, top to bottom: brought to the size that the network was trained at, where its
checkpoint says one; HHA; the runtime, which knows no cameras; and classes for the frame's own
pixels. A segmenter follows one camera: it keeps its HHA tables, and for a stream of frames gravity
and ground too.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from fafnet_core.camera import Camera, Size
from fafnet_core.checkpoints.checkpoint import (
    CheckpointMetadata,
    load_checkpoint,
    read_metadata,
)
from fafnet_core.checkpoints.location import is_exported
from fafnet_core.checkpoints.shipped import checkpoint_file
from fafnet_core.frame import Classes, RgbdFrame, Segmentation
from fafnet_core.hha import HHAStream, HHAStreamConfig
from fafnet_core.inference.odometry import STANDS_STILL, Odometry, RgbdOdometry
from fafnet_core.inference.steady import TemporalFusion, View
from fafnet_core.input_size import CHECKPOINT, AnyInputSize, check_input_size, fitted_size
from fafnet_core.labels import NYU40, LabelMapping, LabelSet
from fafnet_core.labels.mappings import Classes as NewNames
from fafnet_core.labels.mappings import chosen_mapping
from fafnet_core.models import FAFNet, build_model
from fafnet_core.normalisation import Normalisation
from fafnet_core.runtimes import Fusion, Runtime
from fafnet_core.runtimes.choice import open_runtime
from fafnet_core.runtimes.exported import ExportedRuntime, open_exported
from fafnet_core.runtimes.pytorch import TorchRuntime

UNTRAINED = "untrained:"
"""Prefix of a preset's name that asks for seeded random weights, to try speed and wiring."""

_SEED = 5  # with these weights a room gets a dozen labels, so that pictures show something

Temporal: TypeAlias = Literal["none", "fixed", "camera"]

_EACH_FRAME_BY_ITSELF = HHAStreamConfig(smoothing_s=0)


@dataclass(frozen=True, eq=False)
class NetworkInput:
    """A frame as the network sees it.

    Attributes:
        rgb: (h, w, 3) uint8.
        hha: (h, w, 3) uint8.
        size: (height, width) of the frame, and of its labels.
        seconds: how long it took: `hha`, with resizing; `odometry`, where there is any.
        view: what it takes to average it with the frames before; None: it stands by itself.
    """

    rgb: NDArray[np.uint8]
    hha: NDArray[np.uint8]
    size: Size
    seconds: Mapping[str, float]
    view: View | None = None


class Segmenter:
    """What runs a network, with its label set and the size of its input.

    One thread at a time may use it; or one `encode` and another `label`.

    Args:
        runtime: what runs the network.
        label_set: the classes of its outputs.
        notice: one line that users of the results have to know, or None.
        input_size: (height, width) that frames are brought to, as `fitted_size` says; None: the
            network sees every frame at its own size.
    """

    def __init__(
        self,
        runtime: Runtime,
        label_set: LabelSet,
        *,
        notice: str | None = None,
        input_size: Size | None = None,
    ) -> None:
        self.runtime = runtime
        self.label_set = label_set
        self.notice = notice
        self.input_size = input_size
        self._hha = self._stream(_EACH_FRAME_BY_ITSELF)
        self._odometry: Odometry | None = None
        self._fusion = TemporalFusion()
        self._mapping: LabelMapping | None = None

    @classmethod
    def of_model(
        cls,
        model: FAFNet,
        label_set: LabelSet = NYU40,
        normalisation: Normalisation | None = None,
        *,
        device: str = "auto",
        precision: str = "auto",
        runtime: str = "auto",
        notice: str | None = None,
        input_size: Size | None = None,
    ) -> Segmenter:
        """Make one of a network.

        Args:
            model: the network. It is copied: yours keeps its mode, device and precision.
            label_set: the classes of its outputs.
            normalisation: what its inputs go through.
            device, precision, runtime: as of `open_runtime`.
            notice: as of `Segmenter`.
            input_size: as of `Segmenter`.

        Raises:
            ValueError: no such device, precision or runtime here, another number of classes, or an
                input size that the network does not take.
        """
        if model.config.num_classes != len(label_set):
            raise ValueError(
                f"the network has {model.config.num_classes} classes, label set"
                f" '{label_set.name}' has {len(label_set)}; give the set it was trained for"
            )
        input_size = check_input_size(model.config, input_size, divisor=model.input_divisor)
        chosen = open_runtime(
            model,
            normalisation or Normalisation(),
            runtime=runtime,
            device=device,
            precision=precision,
            size=input_size,
        )
        return cls(chosen, label_set, notice=notice, input_size=input_size)

    def _stream(self, config: HHAStreamConfig | None) -> HHAStream:
        return HHAStream(config, device=None if self.device == "cpu" else self.device)

    @property
    def torch(self) -> TorchRuntime:
        """The runtime, where it is PyTorch: it has the network as a module.

        Raises:
            ValueError: it is another one.
        """
        if not isinstance(self.runtime, TorchRuntime):
            raise ValueError(f"this needs runtime torch; the network runs in {self.runtime.name}")
        return self.runtime

    @property
    def device(self) -> str:
        """Where the network runs: cpu, cuda or cuda:0."""
        return self.runtime.device

    @property
    def precision(self) -> str:
        """The arithmetic in use: float32, bfloat16, float16 or int8."""
        return self.runtime.precision

    @property
    def runs_on(self) -> str:
        """Device, precision and runtime, for people."""
        return f"{self.device} in {self.precision} ({self.runtime.name})"

    @classmethod
    def from_checkpoint(
        cls,
        path_or_name: str | Path,
        device: str = "auto",
        precision: str = "auto",
        runtime: str = "auto",
        input_size: AnyInputSize = CHECKPOINT,
    ) -> Segmenter:
        """Load a checkpoint with all that belongs to it.

        Args:
            path_or_name: a safetensors checkpoint, or a folder with one; a .onnx or .xml file of
                `fafnet export`; "hf://owner/name", a repository of the Hub; "default", the
                checkpoint that ships; or "untrained:<preset>", seeded random weights.
            device, precision, runtime: as of `open_runtime`.
            input_size: "checkpoint", what the checkpoint says; or as of `Segmenter`.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not a checkpoint, no such preset, device or runtime here, or an input size
                that the network does not take.
        """
        name = str(path_or_name)
        if name.startswith(UNTRAINED):
            preset = name.removeprefix(UNTRAINED)
            notice = (
                f"no trained checkpoint: {preset} runs with random weights (seed {_SEED}), so its"
                " labels mean nothing"
            )
            return cls.of_model(
                _untrained(preset),
                device=device,
                precision=precision,
                runtime=runtime,
                notice=notice,
                input_size=None if input_size == CHECKPOINT else input_size,
            )
        path = checkpoint_file(name)  # once: a repository of the Hub is asked each time
        if is_exported(path):
            return cls._of_exported(path, device, precision, runtime, input_size)
        metadata = read_metadata(path)
        return cls.of_model(
            load_checkpoint(path),
            metadata.label_set,
            metadata.normalisation,
            device=device,
            precision=precision,
            runtime=runtime,
            notice=_notice(metadata),
            input_size=metadata.input_size if input_size == CHECKPOINT else input_size,
        )

    @classmethod
    def _of_exported(
        cls, path: Path, device: str, precision: str, runtime: str, input_size: AnyInputSize
    ) -> Segmenter:
        file, chosen = open_exported(path, device=device, precision=precision, runtime=runtime)
        metadata = file.metadata.checkpoint
        if input_size == CHECKPOINT:
            input_size = file.size or metadata.input_size
        input_size = check_input_size(metadata.config, input_size, divisor=file.metadata.divisor)
        if input_size is not None:
            chosen.prepare(input_size)
        return cls(chosen, metadata.label_set, notice=_notice(metadata), input_size=input_size)

    def following(
        self, config: HHAStreamConfig | None = None, temporal: Temporal = "none"
    ) -> Segmenter:
        """Return a segmenter with the same network for the frames of one camera, in their order.

        This one takes each frame by itself; that one follows gravity and the ground in time.

        Args:
            config: how; None: the defaults of `HHAStreamConfig`.
            temporal: whether the scores of a place in the last frames count in this one: "none";
                "fixed", of a camera that stands still; "camera", of one that moves, by its images.

        Raises:
            ValueError: frames are to be averaged, and the network is a file that gives labels.
        """
        other = copy.copy(self)
        other._hha = self._stream(config)
        if temporal != "none":
            if isinstance(self.runtime, ExportedRuntime):
                self.runtime.check_fusion()
            other._odometry = STANDS_STILL if temporal == "fixed" else RgbdOdometry()
            other._fusion = TemporalFusion()
        return other

    def moved_to(self, runtime: Runtime) -> Segmenter:
        """Return a segmenter that goes on with these frames in another runtime.

        Frames go on being averaged with those before; gravity and the ground are found anew.

        Args:
            runtime: runs the same network.
        """
        other = copy.copy(self)
        other.runtime = runtime
        other._hha = other._stream(self._hha.config)
        return other

    def mapped(self, label_map: str | NewNames) -> Segmenter:
        """Return a segmenter with the same network whose labels are of other classes.

        Its `label_set` is theirs. `predict` goes on giving the network's own.

        Args:
            label_map: the file of a mapping; or a label set that ships, to which a mapping ships
                from the network's; or new names by old ones, None for unlabelled.

        Raises:
            FileNotFoundError: no such file, and no such mapping ships.
            ValueError: the mapping does not fit the network's classes, or there is one already.
        """
        if self._mapping is not None:
            raise ValueError(
                f"labels are mapped to '{self.label_set.name}' already; map the network's own"
            )
        other = copy.copy(self)
        other._mapping = chosen_mapping(self.label_set, label_map)
        other.label_set = other._mapping.result_set
        return other

    def segment(
        self,
        rgb: NDArray[np.uint8],
        depth_m: NDArray[np.floating[Any]],
        camera_matrix: ArrayLike,
        *,
        missing: NDArray[np.bool_] | None = None,
        gravity: ArrayLike | None = None,
    ) -> Segmentation:
        """Segment one frame that is given by its parts.

        Args:
            rgb: (H, W, 3) uint8 colour.
            depth_m: (H, W) floating point, metres, registered to the colour image; 0, NaN or
                infinite where there is none.
            camera_matrix: (3, 3), pixel centres at whole numbers.
            missing: (H, W), True where the depth is in-painted.
            gravity: (3,), the downward direction in the camera's frame; estimated where None.

        Raises:
            ValueError: as `RgbdFrame`, `Camera.from_matrix` and `segment_frame`.
        """
        frame = RgbdFrame(
            rgb=rgb,
            depth_m=depth_m,
            camera=Camera.from_matrix(camera_matrix, np.shape(depth_m)),
            missing=None if missing is None else np.asarray(missing),
            gravity=None if gravity is None else np.asarray(gravity, np.float64),
        )
        return self.segment_frame(frame)

    def segment_frame(self, frame: RgbdFrame) -> Segmentation:
        """Segment one frame; errors as `encode` and `label`."""
        return self.label(self.encode(frame))

    def encode(self, frame: RgbdFrame) -> NetworkInput:
        """Return colour and HHA of a frame as the network sees them.

        Raises:
            ValueError: depth that cannot be metres, or gravity of length 0.
        """
        begun = time.perf_counter()
        seen = frame.scaled(fitted_size(frame.size, self.input_size))
        hha = self._hha.encode(
            seen.depth_m,
            seen.camera,
            stamp_s=seen.stamp_ns / 1e9,
            missing=seen.missing,
            gravity=seen.gravity,
        ).hha
        ended = time.perf_counter()
        if self._odometry is None:
            return NetworkInput(seen.rgb, hha, frame.size, {"hha": ended - begun})
        pose = self._odometry.update(seen.rgb, seen.depth_m, seen.camera)
        seconds = {"hha": ended - begun, "odometry": time.perf_counter() - ended}
        view = View(seen.depth_m, seen.camera, pose)
        return NetworkInput(seen.rgb, hha, frame.size, seconds, view)

    def label(self, seen: NetworkInput) -> Segmentation:
        """Return the labels of what `encode` made.

        Raises:
            ValueError: what the network gave is not a number.
        """
        begun = time.perf_counter()
        fuse = None if seen.view is None else partial(self._fusion.fuse, view=seen.view)
        classes = self.predict(seen.rgb, seen.hha, size=seen.size, fuse=fuse)
        mapping = self._mapping
        found = Segmentation(
            classes=classes,
            hha=seen.hha,
            label_set=self.label_set if mapping is None else mapping.from_set,
            seconds={**seen.seconds, "network": time.perf_counter() - begun},
        )
        return found if mapping is None else found.mapped(mapping)

    def predict(
        self,
        rgb: NDArray[np.uint8],
        hha: NDArray[np.uint8],
        *,
        size: Size | None = None,
        fuse: Fusion | None = None,
    ) -> Classes:
        """Return the classes of colour and ready HHA, seen as they are.

        Whoever has the depth brings the frame to `input_size` before HHA is made of it.

        Args:
            rgb: (h, w, 3) uint8.
            hha: (h, w, 3) uint8.
            size: (height, width) of the result, where that is not the images' own.
            fuse: as of `Runtime.predict`.

        Raises:
            ValueError: what the network gave is not a number, or (at the first frame of its size)
                not what PyTorch gives.
        """
        return self.runtime.predict(rgb, hha, size or (rgb.shape[0], rgb.shape[1]), fuse)


def _notice(metadata: CheckpointMetadata) -> str | None:
    """What the author of a checkpoint wants every user to see."""
    said = metadata.notes.get("notice")
    return said if isinstance(said, str) else None


def _untrained(preset: str) -> FAFNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        return build_model(preset)
