"""What 5, 10 and 20 labelled frames of a new place bring: kitchens that a network never saw.

python benchmarks/adaptation.py --nyuv2 data/nyuv2 --scenes scenes.txt --out output/kitchens
python benchmarks/adaptation.py --nyuv2 data/nyuv2 --scenes scenes.txt --out output/kitchens \\
    --base runs/without-kitchens/last.safetensors

The first command writes the list of training frames without kitchens and says how a base network
is trained on them. The second one fine-tunes that network on few frames of the training kitchens,
as `fafnet train config/finetune.yaml` does: on those that `fafnet pick` would pick, and on as many
that are drawn at random; and scores it on the kitchens of the test split, and on the rest of it,
which shows what was forgotten. --scenes has the type of scene of each frame, one a line, as
`0139 kitchen`.

Every run is kept in results.json as soon as it is scored; what is there is not repeated, a run that
was stopped is resumed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from adaptation_data import Scenes, divide, read_scenes, write_folder
from adaptation_report import Run, write_report
from measuring import PROJECT, at_least, command_line
from tqdm import tqdm

from fafnet_core.checkpoints.checkpoint import load_checkpoint, read_metadata
from fafnet_core.datasets.catalogue import OwnData
from fafnet_core.datasets.folder import FolderLayout
from fafnet_core.evaluation.evaluate import EvaluateConfig, evaluate
from fafnet_core.files import written_beside
from fafnet_core.frame import RgbdFrame
from fafnet_core.inference import Segmenter
from fafnet_core.picking.job import pick_frames
from fafnet_core.samples import RgbdSegmentationDataset, Split
from fafnet_core.training.config import Config, read_config
from fafnet_core.training.loop import train

WITHOUT, POOL = "without", "pool"
RECIPE = PROJECT / "config" / "finetune.yaml"
_LAYOUT = {"label": "labels_40", "train": "train.txt", "test": "test.txt", "by_split": True}


def _parser() -> argparse.ArgumentParser:
    parser = command_line(__doc__)
    parser.add_argument("--nyuv2", type=Path, required=True, help="its folder, in ESANet's layout")
    parser.add_argument("--scenes", type=Path, required=True, help="the type of each frame's scene")
    parser.add_argument("--out", type=Path, required=True, help="folder of frames, runs and report")
    parser.add_argument(
        "--types",
        nargs="+",
        default=["kitchen", "office_kitchen"],
        metavar="TYPE",
        help="of the scenes that the base network never saw (%(default)s)",
    )
    parser.add_argument("--base", type=Path, help="checkpoint that was trained without them")
    parser.add_argument("--frames", type=at_least(1), nargs="+", default=[5, 10, 20])
    parser.add_argument("--all", action="store_true", help="also on all frames, as a bound")
    parser.add_argument("--seeds", type=at_least(1), default=3, help="of each (%(default)s)")
    parser.add_argument("--iterations", type=at_least(1), default=400, help="(%(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda")
    parser.add_argument("--report", action="store_true", help="train nothing: report what is there")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="KEY.PATH=VALUE",
        help="change one setting of config/finetune.yaml",
    )
    return parser


def open_frames(folder: Path, split: Split) -> RgbdSegmentationDataset:
    """Open a split of a folder of frames as a data set of one's own."""
    layout = FolderLayout(first_label=1, **_LAYOUT)  # type: ignore[arg-type]
    return OwnData(root=str(folder), labels="nyu40", layout=layout, validation=0).open(split)


class _Frames:
    """The frames of a data set, without their labels, as `pick_frames` reads them."""

    def __init__(self, dataset: RgbdSegmentationDataset) -> None:
        self._dataset = dataset
        self.names = dataset.names

    def read(self, names: Collection[str]) -> Iterator[tuple[str, RgbdFrame | str]]:
        for sample in self._dataset:
            if sample.name in names:
                assert sample.depth_m is not None
                assert sample.camera is not None
                frame = RgbdFrame(rgb=sample.rgb, depth_m=sample.depth_m, camera=sample.camera)
                yield sample.name, frame


def picked(base: Path, pool: RgbdSegmentationDataset, device: str) -> list[str]:
    """Return the names of the frames of the pool in the order in which they would be picked."""
    segmenter = Segmenter.from_checkpoint(base, device=device, runtime="torch")
    found = pick_frames(
        _Frames(pool),
        segmenter,
        len(pool),
        lambda frames, total: tqdm(frames, "scoring", total, unit="frame", disable=None),
    )
    return [score.name for score in found.scores]


def drawn(pool: RgbdSegmentationDataset, seed: int) -> list[str]:
    """Return the names of all frames of the pool in a random order, that of the seed."""
    order = np.random.default_rng([seed, len(pool)]).permutation(len(pool))
    return [pool.names[index] for index in order]


def configuration(
    folder: Path, base: Path, seed: int, iterations: int, overrides: Sequence[str]
) -> Config:
    """Return the recipe of fine-tuning, for a folder of frames."""
    ours = [
        f"model.init={base}",
        f"data.root={folder}",
        "data.labels=nyu40",
        "data.first_label=1",
        "data.validation=0",
        *(f"data.layout.{key}={json.dumps(value)}" for key, value in _LAYOUT.items()),
        "train.validate_every=0",
        f"train.iterations={iterations}",
        f"train.seed={seed}",
    ]
    return read_config(RECIPE, [*ours, *overrides])


class Adaptation:
    """All runs of one folder; what is finished is read from its results.json."""

    def __init__(self, options: argparse.Namespace, scenes: Scenes) -> None:
        self._options, self._scenes = options, scenes
        self._out: Path = options.out
        self._results = self._out / "results.json"
        self._settings = {
            "base": hashlib.sha256(options.base.read_bytes()).hexdigest(),
            "iterations": options.iterations,
            "overrides": options.overrides,
            "types": options.types,
        }
        self.runs = self._read()
        pool = self._out / POOL
        write_folder(pool, options.nyuv2, scenes.train, scenes.test)
        self._pool = open_frames(pool, "train")
        self._tests = {
            "new": open_frames(pool, "test"),
            "rest": open_frames(self._out / WITHOUT, "test"),
        }

    def _read(self) -> list[Run]:
        if not self._results.is_file():
            return []
        values = json.loads(self._results.read_text(encoding="utf-8"))
        if differ := [
            key for key, value in self._settings.items() if values["settings"][key] != value
        ]:
            raise ValueError(
                f"the runs in {self._results} were made with another {', '.join(differ)}: go on"
                " with that, or take another --out"
            )
        return [Run(**run) for run in values["runs"]]

    def _keep(self, run: Run) -> None:
        self.runs.append(run)
        values = {"settings": self._settings, "runs": [asdict(each) for each in self.runs]}
        with written_beside(self._results) as beside:
            beside.write_text(json.dumps(values, indent=1), encoding="utf-8")

    def _has(self, way: str, frames: int, seed: int) -> bool:
        return any((run.way, run.frames, run.seed) == (way, frames, seed) for run in self.runs)

    def run_all(self) -> None:
        """Score the base network, then every fine-tuned one, seed by seed."""
        options = self._options
        if not self._has("base", 0, 0):
            self._keep(Run("base", 0, 0, [], 0.0, self._scores(options.base)))
        order = self._picked()
        sizes = [count for count in sorted(set(options.frames)) if count <= len(order)]
        for seed in range(options.seeds):
            ways = {"picked": order, "random": drawn(self._pool, seed)}
            for count in sizes:
                for way, names in ways.items():
                    self._run(way, names[:count], seed)
            if options.all:
                self._run("all", list(self._pool.names), seed)

    def _picked(self) -> list[str]:
        path = self._out / "picked.txt"
        if not path.is_file() or not self.runs[1:]:
            names = picked(self._options.base, self._pool, self._options.device)
            with written_beside(path) as beside:
                beside.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        return path.read_text(encoding="utf-8").split()

    def _run(self, way: str, names: list[str], seed: int) -> None:
        options = self._options
        if self._has(way, len(names), seed):
            return
        name = f"{way}-{len(names)}-{seed}"
        print(f"adaptation: {name}", file=sys.stderr)
        frames, out = self._out / "frames" / name, self._out / "runs" / name
        write_folder(frames, options.nyuv2, names, self._scenes.test)
        config = configuration(frames, options.base, seed, options.iterations, options.overrides)
        begun = time.perf_counter()
        resume = any((out / "states").glob("*"))
        result = train(config, out, resume=resume, device=options.device)
        if not result.finished:
            raise InterruptedError(
                f"{out}: stopped by {result.stopped_by} after {result.iteration} iterations; the"
                " same command goes on with it"
            )
        seconds = time.perf_counter() - begun
        scores = self._scores(out / "last.safetensors")
        self._keep(Run(way, len(names), seed, names, seconds, scores))
        write_report(self.runs, self._out)

    def _scores(self, checkpoint: Path) -> dict[str, dict[str, float]]:
        model, metadata = load_checkpoint(checkpoint), read_metadata(checkpoint)
        config = EvaluateConfig(split="test", input_size=metadata.input_size)
        found: dict[str, dict[str, float]] = {}
        for name, frames in self._tests.items():
            scores = evaluate(
                model,
                frames,
                normalisation=metadata.normalisation,
                config=config,
                device=_device(self._options.device),
            ).scores
            found[name] = {
                "mean_iou": scores.mean_iou,
                "pixel_accuracy": scores.pixel_accuracy,
            }
        return found


def _device(name: str) -> Any:
    from fafnet_core.runtimes.devices import choose_device

    return choose_device(name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the list for the base network; with that network, run what is missing and report."""
    options = _parser().parse_args(arguments)
    try:
        scenes = divide(options.nyuv2, read_scenes(options.scenes), options.types)
        folder = options.out / WITHOUT
        write_folder(folder, options.nyuv2, scenes.other_train, scenes.other_test)
        if options.base is None:
            print(
                f"{len(scenes.other_train)} frames to train the base network on, without"
                f" {len(scenes.train)} of {', '.join(options.types)}:\n"
                f"  fafnet train config/nyuv2-mobile.yaml --set data.root={folder}"
            )
            return 0
        adaptation = Adaptation(options, scenes)
        if not options.report:
            adaptation.run_all()
        print(write_report(adaptation.runs, options.out))
    except (OSError, ValueError) as error:  # a stop among them
        print(f"adaptation: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
