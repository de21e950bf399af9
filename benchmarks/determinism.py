"""Measures what the labels of a frame depend on, beside the frame: processes, threads, kernels.

python benchmarks/determinism.py --out output/trust/determinism.md
python benchmarks/determinism.py --frames shared/data/kinect-v1-sequence --count 4

Each row is a process of its own, with the checkpoint that ships; its labels are compared with those
of the first, of PyTorch with one thread. The exit status is 1 where the same again gave other
labels.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from measuring import PROJECT, at_least, command_line, markdown
from numpy.typing import NDArray
from tqdm import tqdm

from fafnet_core.files import written_beside

_REAL = PROJECT.parent / "shared" / "data" / "kinect-v1-sequence"


@dataclass(frozen=True)
class Setting:
    """What a process labels with.

    Attributes:
        title: of the row.
        runtime: of `Segmenter.from_checkpoint`.
        precision: of it.
        threads: of the process.
        environment: more variables of the process.
        again: of the same title before: the same labels are promised.
    """

    title: str
    runtime: str = "torch"
    precision: str = "float32"
    threads: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    again: str | None = None


_FIRST = "PyTorch, 1 thread"
SETTINGS = [
    Setting(_FIRST),
    Setting("PyTorch, 1 thread, again", again=_FIRST),
    Setting("PyTorch, 2 threads", threads=2),
    Setting("PyTorch, 2 threads, again", threads=2, again="PyTorch, 2 threads"),
    Setting(
        "PyTorch, no vector instructions in its own kernels",
        environment={"ATEN_CPU_CAPABILITY": "default"},
    ),
    Setting("PyTorch, AVX2 in its own kernels", environment={"ATEN_CPU_CAPABILITY": "avx2"}),
    Setting("PyTorch, AVX2 in oneDNN", environment={"ONEDNN_MAX_CPU_ISA": "AVX2"}),
    Setting("PyTorch, SSE 4.1 in oneDNN", environment={"ONEDNN_MAX_CPU_ISA": "SSE41"}),
    Setting("PyTorch, bfloat16", precision="bfloat16"),
    Setting("OpenVINO, 1 thread", runtime="openvino"),
    Setting("OpenVINO, 1 thread, again", runtime="openvino", again="OpenVINO, 1 thread"),
    Setting("ONNX Runtime, 1 thread", runtime="onnxruntime"),
    Setting("ONNX Runtime, again", runtime="onnxruntime", again="ONNX Runtime, 1 thread"),
]

Labels = dict[str, NDArray[np.uint8]]
"""By the name of the frame."""


def labels_of(setting: Setting, frames: Path | None, count: int) -> Labels | str:
    """Label the frames in a process of its own; return what it said where it cannot."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "labels.npz"
        given = [] if frames is None else ["--frames", str(frames)]
        command = [sys.executable, __file__, "--label", str(out), "--count", str(count), *given]
        command += ["--as", setting.runtime, setting.precision, str(setting.threads)]
        threads = {"OMP_NUM_THREADS": str(setting.threads)}
        done = subprocess.run(
            command,
            env={**os.environ, **threads, **setting.environment},
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            return done.stderr.strip().splitlines()[-1]
        with np.load(out) as found:
            return dict(found)


def compare(found: Labels, wanted: Labels) -> tuple[float, float]:
    """Return the share of pixels with another label, of all frames and of the worst one."""
    shares = [float((found[name] != wanted[name]).mean()) for name in wanted]
    return float(np.mean(shares)), max(shares)


def measure(frames: Path | None, count: int) -> tuple[str, bool]:
    """Return the table, and whether every process that labelled again gave the same labels."""
    found: dict[str, Labels] = {}
    rows, same = [], True
    for setting in tqdm(SETTINGS, unit="process", disable=None):
        labels = labels_of(setting, frames, count)
        if isinstance(labels, str):
            rows.append([setting.title, "", f"not here: {labels}", ""])
            continue
        found[setting.title] = labels
        wanted = setting.again or _FIRST
        if wanted not in found:
            rows.append([setting.title, "", f"nothing to compare with: {wanted}", ""])
            continue
        mean, worst = compare(labels, found[wanted])
        same &= setting.again is None or worst == 0
        rows.append([setting.title, wanted, f"{100 * mean:.4f} %", f"{100 * worst:.4f} %"])
    head = ["labels by", "against", "pixels with another label", "in the worst frame"]
    names = next(iter(found.values()), {})
    table = markdown(head, rows)
    return f"# Determinism\n\n{len(names)} frames: {', '.join(names)}.\n\n{table}\n", same


def _label(out: Path, runtime: str, precision: str, frames: Path | None, count: int) -> None:
    """In a process of its own: label the frames."""
    import torch

    from fafnet_core.inference import Segmenter

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    segmenter = Segmenter.from_checkpoint("default", "cpu", precision, runtime)
    labels: dict[str, Any] = {}
    for name, rgb, depth_m, matrix in _frames(frames, count):
        labels[name] = segmenter.segment(rgb, depth_m, matrix).labels
    np.savez(out, **labels)


def _frames(
    folder: Path | None, count: int
) -> list[tuple[str, NDArray[np.uint8], NDArray[np.float32], NDArray[np.float64]]]:
    """Return name, colour, depth and camera matrix of rooms, and of a recording where given."""
    from fafnet_core.datasets.frames import read_camera_file, read_depth, read_rgb
    from fafnet_core.rooms.dataset import SyntheticData

    rooms = SyntheticData(seed=5, frames=count).open("test")
    frames = []
    for index in range(count):
        seen = rooms.read(index)
        assert seen.depth_m is not None
        assert seen.camera is not None
        depth_m = np.asarray(seen.depth_m, np.float32)
        frames.append((seen.name, seen.rgb, depth_m, seen.camera.matrix))
    if folder is not None:
        camera = read_camera_file(folder / "camera.yaml")
        paths = sorted((folder / "color").iterdir())
        for path in paths[:: max(len(paths) // count, 1)][:count]:
            depth = next((folder / "depth").glob(f"{path.stem}.*"))
            name = f"{folder.name}/{path.stem}"
            frames.append((name, read_rgb(path), read_depth(depth), camera.camera_matrix))
    return frames


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = command_line(__doc__)
    real = _REAL if _REAL.is_dir() else None
    parser.add_argument("--count", type=at_least(1), default=3, help="frames of each kind")
    parser.add_argument(
        "--frames", type=Path, default=real, help="color/, depth/ and camera.yaml of real frames"
    )
    parser.add_argument("--out", type=Path, help="the report (default: print it)")
    parser.add_argument("--label", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--as", nargs=3, dest="setting", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where the same process, run again, gave other labels."""
    parsed = _parse(arguments)
    if parsed.label is not None:
        runtime, precision, _ = parsed.setting
        _label(parsed.label, runtime, precision, parsed.frames, parsed.count)
        return 0
    text, same = measure(parsed.frames, parsed.count)
    if parsed.out is None:
        print(text, end="")
    else:
        with written_beside(parsed.out) as beside:
            beside.write_text(text, encoding="utf-8")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
