"""The data set `synthetic`: labelled frames, each from a room of its own.

Frame i of a split depends on (seed, split, i) alone: every process, run and machine has the same
frames, and no seed or split shares a room with another.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.files import written_beside
from fafnet_core.labels import NYU40, LabelSet
from fafnet_core.nearest import unknown_name
from fafnet_core.registration import register_depth
from fafnet_core.resampling import sampled
from fafnet_core.rooms.camera import Pose, pinhole
from fafnet_core.rooms.render import Scene, look, render, render_depth
from fafnet_core.rooms.room import make_room
from fafnet_core.rooms.sensor import SensorConfig, calibration_error, expose, measure_depth
from fafnet_core.rooms.views import choose_view
from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset, Split
from fafnet_core.settings import check_fields

_SPLITS: tuple[Split, ...] = get_args(Split)
_VERSION = 2
"""Raised when the same seed gives other frames, HHA included: caches of other versions are not
read. `test/core/synthetic_reference.py` fails if it was forgotten."""
_FOV_DEG = (55.0, 68.0)

_Count = Annotated[int, "1 <= x"]
_Side = Annotated[int, "32 <= x"]


@dataclass(frozen=True, kw_only=True)
class SyntheticData:
    """The `data:` section of the data set `synthetic`.

    Attributes:
        seed: which rooms.
        frames: frames of the split that is opened.
        held_out: most frames of val and of test.
        width: of the images, in pixels.
        height: of the images, in pixels.
        reduce: frames, with the HHA made of them, are reduced by this whole factor.
        lies: share of the surfaces whose texture says nothing about what they are.
        sensor: the faults of the cameras.
        cache: folder in which frames are kept once they are made; None: they are made each time.

    Raises:
        ValueError: a value is not allowed.
    """

    seed: Annotated[int, "0 <= x"] = 0
    frames: _Count = 1000
    held_out: _Count = 500
    width: _Side = 320
    height: _Side = 240
    reduce: _Count = 1
    lies: Annotated[float, "0 <= x <= 1"] = 0.5
    sensor: SensorConfig = field(default_factory=SensorConfig)
    cache: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.width % self.reduce or self.height % self.reduce:
            raise ValueError(
                f"{self.width}x{self.height} cannot be reduced by {self.reduce}: both sides have to"
                " be multiples of it"
            )

    def open(self, split: Split) -> SyntheticRooms:
        """Return the frames of a split."""
        return SyntheticRooms(self, split)


@dataclass(frozen=True)
class RigFrame:
    """What the two cameras saw, before depth is registered to colour.

    Attributes:
        rgb: (H, W, 3) uint8.
        label: (H, W) uint8, of the colour image.
        depth_m: (H, W) float32, of the depth camera.
        true_depth_m: (H, W) float32, of the colour image, without faults.
        camera: of both cameras.
    """

    rgb: NDArray[np.uint8]
    label: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    true_depth_m: NDArray[np.float32]
    camera: Camera

    def registered(self, config: SensorConfig, error: NDArray[np.float64]) -> NDArray[np.float32]:
        """Register the depth with a calibration that is off by the rotation `error` (3, 3)."""
        matrix = self.camera.matrix
        offset = error @ np.array([config.baseline_m, 0, 0])
        size = (self.camera.height, self.camera.width)
        return register_depth(self.depth_m, matrix, matrix, error, offset, size)


def photograph(
    scene: Scene,
    camera: Camera,
    pose: Pose,
    config: SensorConfig,
    rng: np.random.Generator,
) -> RigFrame:
    """Take one frame with both cameras; the depth camera stands beside `pose`, to its right."""
    seen = render(scene, camera, pose)
    if config.baseline_m:
        depth, glass = render_depth(scene.solids, camera, pose.moved(right=config.baseline_m))
    else:
        depth, glass = seen.depth_m, seen.glass
    measured = measure_depth(depth, glass, config, camera.fx, rng)
    return RigFrame(expose(seen.rgb, config, rng), seen.labels, measured, seen.depth_m, camera)


class SyntheticRooms(RgbdSegmentationDataset):
    """Frames of synthetic rooms.

    Args:
        config: which frames.
        split: "train", "val" or "test".

    Attributes:
        scenes: the frames' names, as each frame shows another room.
    """

    label_set: LabelSet = NYU40

    def __init__(self, config: SyntheticData, split: Split) -> None:
        if split not in _SPLITS:
            raise ValueError(unknown_name("split", split, _SPLITS))
        self.config, self.split = config, split
        count = config.frames if split == "train" else min(config.frames, config.held_out)
        self.names = [f"{split}-{config.seed}-{index:05d}" for index in range(count)]
        self.scenes = self.names
        self.sensors = ["synthetic"] * count

    def read(self, index: int) -> RgbdSample:
        """Make a frame, or read it from the cache."""
        path = self._cached(index)
        if path is not None and path.is_file():
            return _read(path, self.names[index])
        sample = self._make(index)
        if path is not None:
            _write(path, sample)
        return sample

    def frame(self, index: int) -> RigFrame:
        """Return what both cameras saw, before registration."""
        scene, camera, pose = self._view(index)
        sensor_rng = np.random.default_rng(self._seeds(index)[1])
        return photograph(scene, camera, pose, self.config.sensor, sensor_rng)

    def _view(self, index: int) -> tuple[Scene, Camera, Pose]:
        """Return the room, the camera and its pose."""
        rng = np.random.default_rng(self._seeds(index)[0])
        camera = self._camera(rng)
        room = make_room(rng, lies=self.config.lies)
        return room.scene, camera, choose_view(room, rng)

    def calibration_error(self, index: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the error of a frame's registration, before it is reduced.

        Its direction does not depend on its size. See `sensor.calibration_error`.
        """
        room_seed, _, error_seed = self._seeds(index)
        # The camera is drawn first: the room need not be made.
        camera = self._camera(np.random.default_rng(room_seed))
        return calibration_error(self.config.sensor, camera, np.random.default_rng(error_seed))

    def _seeds(self, index: int) -> list[np.random.SeedSequence]:
        """Return independent seeds of the room, the sensor's noise and the calibration."""
        key = [self.config.seed, _SPLITS.index(self.split), index]
        return np.random.SeedSequence(key).spawn(3)

    def _camera(self, rng: np.random.Generator) -> Camera:
        return pinhole(self.config.width, self.config.height, float(rng.uniform(*_FOV_DEG)))

    def _make(self, index: int) -> RgbdSample:
        frame = self.frame(index)
        error, _ = self.calibration_error(index)
        sample = RgbdSample(
            frame.rgb,
            frame.label,
            depth_m=frame.registered(self.config.sensor, error),
            camera=frame.camera,
            sensor="synthetic",
            name=self.names[index],
        )
        if self.config.reduce == 1:
            return sample.with_hha()
        scene, camera, pose = self._view(index)
        # Classes have no mean: labels are cast again, at the middles of the new pixels.
        size = camera.height // self.config.reduce, camera.width // self.config.reduce
        labels, _ = look(scene.solids, camera.scaled(size), pose)
        return reduced(sample.with_hha(), labels)

    def _cached(self, index: int) -> Path | None:
        if self.config.cache is None:
            return None
        what = asdict(replace(self.config, cache=None, frames=1, held_out=1)) | {"v": _VERSION}
        digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]
        folder = Path(self.config.cache).expanduser() / f"{self.split}-{digest}"
        return folder / f"{index:05d}.npy"


def _write(path: Path, sample: RgbdSample) -> None:
    """Write a sample as three arrays in one file."""
    assert sample.hha is not None
    assert sample.depth_m is not None
    assert sample.camera is not None
    planes = np.dstack([sample.rgb, sample.hha, sample.label])
    with written_beside(path) as beside, beside.open("wb") as file:
        for array in (planes, sample.depth_m, sample.camera.matrix):
            np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)  # type: ignore[no-untyped-call]


def _read(path: Path, name: str) -> RgbdSample:
    """Read what `_write` wrote."""
    try:
        with path.open("rb") as file:
            planes, depth_m, camera_matrix = (
                np.lib.format.read_array(file, allow_pickle=False)  # type: ignore[no-untyped-call]
                for _ in range(3)
            )
    except (ValueError, EOFError) as error:
        raise ValueError(
            f"{path} is damaged ({error}): delete it, and the frame is made again"
        ) from error
    return RgbdSample(
        np.ascontiguousarray(planes[..., :3]),
        np.ascontiguousarray(planes[..., 6]),
        depth_m=depth_m,
        camera=Camera.from_matrix(camera_matrix, depth_m.shape),
        hha=np.ascontiguousarray(planes[..., 3:6]),
        sensor="synthetic",
        name=name,
    )


def reduced(sample: RgbdSample, labels: NDArray[np.uint8]) -> RgbdSample:
    """Return a sample at the size of its new `labels` (H, W), smaller by a whole factor.

    Colour and HHA are averaged, HHA over the pixels that have some. Depth is that of one pixel near
    the middle: for an even factor half a pixel, before reduction, to the right of it and below it.
    """
    height, width = labels.shape
    assert sample.hha is not None
    there = np.asarray(sample.hha.any(axis=2), np.float32)
    share = cv2.resize(there, (width, height), interpolation=cv2.INTER_AREA)
    mean = cv2.resize(sample.hha.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    hha = np.rint(mean / np.maximum(share, 1e-6)[..., None]) * (share >= 0.5)[..., None]
    return replace(
        sample,
        rgb=cv2.resize(sample.rgb, (width, height), interpolation=cv2.INTER_AREA),  # type: ignore[arg-type]
        label=labels,
        depth_m=None if sample.depth_m is None else sampled(sample.depth_m, (height, width)),
        camera=sample.camera and sample.camera.scaled((height, width)),
        hha=hha.astype(np.uint8),
    )
