"""What flow alignment is worth, measured: table 1 of the paper on rooms with true parallax.

python benchmarks/ablation.py --out output/ablation            # three arms, eight seeds, paired
python benchmarks/ablation.py --out output/ablation --report   # table and plot of what is there

Depth comes from a camera of its own and is registered with an error that is drawn anew for every
training frame, 0 to 8 pixels at an image width of 640. Each network is then tested on the same
unseen rooms with an error of exactly 0, 2, 4, 8 and, beyond what it was trained with, 16 pixels.

Arms are paired: with one seed, every parameter of one name starts from one value, and every
iteration sees the same augmented frames. `zero-flow` has all parameters of `all-fams` and every
flow zero: what `all-fams` has over it comes from moving features, not from more parameters.

What is done is kept: a run that is there is not repeated, one that was stopped is resumed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from ablation_report import FlowFit, Result, Values, write_report
from tqdm import tqdm

from fafnet_core.data import Normalisation
from fafnet_core.data.synthetic.dataset import SyntheticData, SyntheticRooms
from fafnet_core.data.synthetic.sensor import SensorConfig
from fafnet_core.data.transforms import EvalTransform, TransformConfig
from fafnet_core.files import written_beside
from fafnet_core.inference import record_alignments
from fafnet_core.models import FAFNet, build_model
from fafnet_core.models.ablation import ABLATION, ablation
from fafnet_core.models.config import preset_config
from fafnet_core.models.weights import load_checkpoint, save_checkpoint
from fafnet_core.training.config import Config, ModelConfig, TrainConfig
from fafnet_core.training.evaluation import EvaluateConfig, evaluate
from fafnet_core.training.loop import Trainer
from fafnet_core.training.optimiser import OptimiserConfig
from fafnet_core.training.schedule import ScheduleConfig

PRIMARY = ("no-fam", "zero-flow", "all-fams")
TRAINED_PX = (0.0, 8.0)
TESTED_PX = (0.0, 2.0, 4.0, 8.0, 16.0)
_BOUNDARY_PX = 5.0
_COMMON = ("preset", "iterations", "batch", "rate", "frames", "tests", "data_seed")
"""Settings that all runs in one folder share."""


def data(seed: int, frames: int, error_px: tuple[float, float], cache: Path) -> SyntheticData:
    """Rooms at 320x240, whose frames, HHA included, are then reduced to 160x120."""
    return SyntheticData(
        seed=seed,
        frames=frames,
        held_out=frames,
        reduce=2,
        sensor=SensorConfig(calibration_error_px=error_px),
        cache=str(cache),
    )


def configuration(
    arm: str, seed: int, start: Path, options: argparse.Namespace, out: Path
) -> Config:
    """The training of one arm with one seed; only the network differs between arms."""
    return Config(
        model=ModelConfig(preset=options.preset, arm=arm, init=str(start)),
        data=data(options.data_seed, options.frames, TRAINED_PX, out / "frames"),
        transform=TransformConfig(scale=(0.75, 1.5), crop=(96, 128), flip=0.5),
        train=TrainConfig(
            iterations=options.iterations,
            batch_size=options.batch,
            seed=seed,
            optimiser=OptimiserConfig(kind="adamw", weight_decay=0.01, norm_weight_decay=0.0),
            schedule=ScheduleConfig(kind="cosine", rate=options.rate, warmup=0.05),
            validate_every=0,
            save_every=max(options.iterations // 4, 1),
            workers=0,
            threads=1,
        ),
    )


def write_start(path: Path, preset: str, arm: str, seed: int) -> None:
    """Write the first weights of an arm: those of the whole network wherever it has the name."""
    classes = 40
    torch.manual_seed(seed)
    whole = build_model(replace(preset_config(preset), num_classes=classes)).state_dict()
    torch.manual_seed(seed)
    model = build_model(replace(ablation(preset, arm), num_classes=classes))
    own = model.state_dict()
    shared = {
        name: tensor
        for name, tensor in whole.items()
        if name in own and own[name].shape == tensor.shape
    }
    model.load_state_dict({**own, **shared})
    save_checkpoint(path, model)


def run(arm: str, seed: int, options: argparse.Namespace) -> Result:
    """Train and test one arm with one seed, or read what was found before."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    out = Path(options.out)
    folder = out / f"{arm}-{seed}"
    found = folder / "result.json"
    if found.is_file():
        return Result(**json.loads(found.read_text(encoding="utf-8")))
    start = folder / "start.safetensors"
    write_start(start, options.preset, arm, seed)
    config = configuration(arm, seed, start, options, out)
    resume = any(folder.glob("state*"))
    begun = time.perf_counter()
    outcome = Trainer(config, folder, resume=resume, progress=False).run()
    if not outcome.finished:
        raise InterruptedError(
            f"{folder}: stopped by {outcome.stopped_by} after {outcome.iteration} iterations; the"
            " same command goes on with it"
        )
    seconds = time.perf_counter() - begun
    model = load_checkpoint(folder / "last.safetensors")
    scores = {f"{px:g}": _scores(model, config, _tests(options, px)) for px in TESTED_PX}
    flow = _flow_fit(model, config.normalisation.build(), options) if _has_flow(model) else None
    parameters = sum(parameter.numel() for parameter in model.parameters())
    result = Result(arm, seed, parameters, seconds, scores, flow)
    with written_beside(found) as beside:
        beside.write_text(json.dumps(asdict(result), indent=1), encoding="utf-8")
    return result


def _tests(options: argparse.Namespace, error_px: float) -> SyntheticRooms:
    cache = Path(options.out) / "frames"
    return data(options.data_seed, options.tests, (error_px, error_px), cache).open("test")


def _scores(model: FAFNet, config: Config, rooms: SyntheticRooms) -> dict[str, float]:
    found = evaluate(
        model,
        rooms,
        normalisation=config.normalisation.build(),
        config=EvaluateConfig(split="test", boundary_px=_BOUNDARY_PX, workers=0),
        progress=False,
    )
    assert found.boundary is not None
    return {
        "mean_iou": found.scores.mean_iou,
        "boundary_iou": found.boundary.mean_iou,
        "pixel_accuracy": found.scores.pixel_accuracy,
    }


def _has_flow(model: FAFNet) -> bool:
    return model.config.fusion == "rgbd_fuse" and model.config.fusion_alignment == "flow"


def _flow_fit(
    model: FAFNet, normalisation: Normalisation, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Compare the mean flow of each FAM that moves depth to colour with the true displacement.

    Returns:
        The fields of `FlowFit` for each FAM.
    """
    true: list[Values] = []
    learned: dict[str, list[Values]] = {}
    to_tensors = EvalTransform(normalisation)
    for error_px in TESTED_PX[:-1]:
        rooms = _tests(options, error_px)
        for index in range(len(rooms)):
            sample = rooms.read(index)
            assert sample.camera_matrix is not None
            rotation, _ = rooms.calibration_error(index)
            true.append(mean_displacement(rotation, sample.camera_matrix, sample.size))
            tensors = to_tensors(sample)
            with torch.inference_mode(), record_alignments(model) as recorded:
                model(tensors.rgb[None], tensors.hha[None])
            for name, alignment in recorded.items():
                if name.endswith("align_depth"):
                    learned.setdefault(name, []).append(alignment.flow.mean(axis=(1, 2)))
    return {
        name: asdict(FlowFit.of(np.array(true), np.array(flows, np.float64)))
        for name, flows in learned.items()
    }


def mean_displacement(rotation: Values, camera_matrix: Values, size: tuple[int, int]) -> Values:
    """Return by how many pixels a rotation moves an image (H, W) on average, (2,): x and y.

    In its middle the image moves least; at these angles of view the mean is a tenth larger.
    """
    rows, columns = np.indices(size)
    pixels = np.stack([columns.ravel(), rows.ravel(), np.ones(rows.size)])
    moved = camera_matrix @ rotation @ np.linalg.inv(camera_matrix) @ pixels
    mean: Values = (moved[:2] / moved[2] - pixels[:2]).mean(axis=1)
    return mean


def make_frames(options: argparse.Namespace) -> None:
    """Render all frames beforehand, in all processes; those that are there are only read."""
    jobs = [(options, "train", TRAINED_PX, index) for index in range(options.frames)]
    for px in TESTED_PX:
        jobs += [(options, "test", (px, px), index) for index in range(options.tests)]
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.jobs) as pool:
        made = pool.imap_unordered(_make_frame, jobs, chunksize=8)
        for _ in tqdm(made, total=len(jobs), desc="rooms", disable=None):
            pass


def _make_frame(job: tuple[argparse.Namespace, Any, tuple[float, float], int]) -> None:
    options, split, error_px, index = job
    cv2.setNumThreads(1)
    frames = options.frames if split == "train" else options.tests
    cache = Path(options.out) / "frames"
    data(options.data_seed, frames, error_px, cache).open(split).read(index)


def run_all(options: argparse.Namespace) -> list[Result]:
    """Run every arm with every seed, seed by seed, so that pairs are complete early."""
    make_frames(options)
    results: list[Result] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=context) as pool:
        pending = [
            pool.submit(run, arm, seed, options)
            for seed in range(options.seeds)
            for arm in options.arms
        ]
        finished = tqdm(as_completed(pending), total=len(pending), desc="runs", disable=None)
        try:
            results += [done.result() for done in finished]
        except BaseException:
            # What runs is finished or saved; what has not begun is left for the next time.
            pool.shutdown(cancel_futures=True)
            raise
    return results


def check_settings(options: argparse.Namespace) -> None:
    """Note what the runs of a folder have in common, or refuse to mix others with them.

    Raises:
        ValueError: the folder's runs were made with other settings.
    """
    path = Path(options.out) / "settings.json"
    now = {name: getattr(options, name) for name in _COMMON}
    then = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else now
    differ = [f"--{name.replace('_', '-')} {then.get(name)}" for name in _COMMON
              if then.get(name) != now[name]]  # fmt: skip
    if differ:
        raise ValueError(
            f"the runs in {options.out} were made with {' '.join(differ)}: go on with that, or take"
            " another --out"
        )
    with written_beside(path) as beside:
        beside.write_text(json.dumps(now, indent=1), encoding="utf-8")


def found_results(out: Path) -> list[Result]:
    """Read all results that a folder holds."""
    files = sorted(out.glob("*/result.json"))
    return [Result(**json.loads(path.read_text(encoding="utf-8"))) for path in files]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, then write the table and the plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of runs and report")
    parser.add_argument("--arms", nargs="+", default=PRIMARY, choices=list(ABLATION))
    parser.add_argument("--seeds", type=int, default=8, help="paired runs of each arm")
    parser.add_argument("--preset", default="fafnet-nano")
    parser.add_argument("--iterations", type=int, default=700)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--frames", type=int, default=1500, help="training frames")
    parser.add_argument("--tests", type=int, default=150, help="test frames at each error")
    parser.add_argument("--data-seed", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report", action="store_true", help="train nothing: report what is there")
    options = parser.parse_args(arguments)
    counts = ("seeds", "iterations", "batch", "frames", "tests", "jobs")
    for name in counts:
        if getattr(options, name) < 1:
            parser.error(f"--{name} is {getattr(options, name)}; wanted at least 1")
    if not options.report:
        try:
            check_settings(options)
        except ValueError as error:
            parser.error(str(error))
    try:
        results = found_results(options.out) if options.report else run_all(options)
    except InterruptedError as error:
        print(f"ablation: {error}", file=sys.stderr)
        return 1
    if not results:
        print(f"ablation: no results in {options.out}; run without --report", file=sys.stderr)
        return 1
    print(write_report(results, options.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
