"""What `fafnet export`, `quantize` and `check` share: a network, and frames to try it on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fafnet_core.camera import Size
from fafnet_core.datasets.frame_folder import FrameFolder
from fafnet_core.frame import RgbdFrame

if TYPE_CHECKING:
    from fafnet_core.checkpoints.checkpoint import CheckpointMetadata
    from fafnet_core.inference import Segmenter


def load_network(name: str) -> tuple[Segmenter, CheckpointMetadata]:
    """Load a checkpoint in PyTorch, float32, on the CPU; its notice goes to standard error."""
    from fafnet_core.checkpoints.checkpoint import CheckpointMetadata, read_metadata
    from fafnet_core.inference import UNTRAINED, Segmenter

    segmenter = Segmenter.from_checkpoint(name, "cpu", "float32", "torch")
    if segmenter.notice:
        print(f"fafnet: {segmenter.notice}", file=sys.stderr)
    if name.startswith(UNTRAINED):
        notes = {"notice": segmenter.notice}
        config = segmenter.torch.model.config
        return segmenter, CheckpointMetadata(config, segmenter.label_set, notes=notes)
    return segmenter, read_metadata(name)


def frames_by_name(
    folders: Sequence[Path], rooms: int, size: Size
) -> dict[str, Callable[[], RgbdFrame]]:
    """Return how to read or render each frame.

    Args:
        folders: of frames; none: synthetic rooms.
        rooms: how many.
        size: (height, width) of the rooms' camera.
    """
    if not folders:
        return {f"room {seed}": partial(_room, seed, size) for seed in range(rooms)}
    found: dict[str, Callable[[], RgbdFrame]] = {}
    for folder in folders:
        frames = FrameFolder(folder)
        for note in frames.notes:
            print(f"fafnet: {note}", file=sys.stderr)
        for index, name in enumerate(frames.names):
            key = name if len(folders) == 1 else str(folder / name)
            found[key] = partial(frames.__getitem__, index)
    return found


def _room(seed: int, size: Size) -> RgbdFrame:
    from fafnet_core.rooms import Tour, pinhole, render

    tour = Tour.of(seed)
    camera = pinhole(size[1], size[0])
    view = render(tour.room.scene, camera, tour.pose(0.2))
    return RgbdFrame(rgb=view.rgb, depth_m=view.depth_m, camera=camera)
