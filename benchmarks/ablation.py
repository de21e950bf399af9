"""What flow alignment is worth: table 1 of the paper, in paired runs.

python benchmarks/ablation.py --out output/ablation            # three arms, eight seeds, paired
python benchmarks/ablation.py --out output/ablation --report   # table and plot of finished runs
python benchmarks/ablation.py --out output/nyu --data nyuv2 --root data/nyuv2 \\
    --preset fafnet-mobile --pretrained multiavg-ade20k.safetensors --iterations 800 --seeds 2

In synthetic rooms depth comes from a camera of its own, with true parallax, and is registered with
an error that is drawn anew for every training frame, 0 to 8 pixels at an image width of 640. Each
network is then tested on the same unseen rooms with an error of exactly 0, 2, 4, 8 and, beyond
training, 16 pixels. NYU-Depth V2 has one test: its official one.

Arms are paired: with one seed, every parameter of one name starts from one value, and every
iteration sees the same augmented frames. `zero-flow` has all parameters of `all-fams` and every
flow zero: what `all-fams` has over it comes from moving features, not from more parameters.

Runs are kept: one that is finished is not repeated, one that was stopped is resumed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import torch
from ablation_options import DATA, data_of, read_options, read_settings
from ablation_report import write_report
from ablation_table import Result
from tqdm import tqdm

from fafnet_core.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from fafnet_core.checkpoints.pretrained import load_backbone
from fafnet_core.evaluation.evaluate import evaluate
from fafnet_core.files import written_beside
from fafnet_core.models import FAFNet, build_model
from fafnet_core.models.ablation import ablation
from fafnet_core.models.config import preset_config
from fafnet_core.samples import RgbdSegmentationDataset
from fafnet_core.training.config import Config, ModelConfig
from fafnet_core.training.data import TrainingData
from fafnet_core.training.distributed import Processes
from fafnet_core.training.loop import Trainer
from fafnet_core.training.schedule import ScheduleConfig

PRIMARY = ("no-fam", "zero-flow", "all-fams")
_CLASSES = 40


def configuration(arm: str, seed: int, start: Path, options: argparse.Namespace) -> Config:
    """The training of one arm with one seed; only the network differs between arms."""
    recipe = data_of(options).recipe()
    return replace(
        recipe,
        model=ModelConfig(preset=options.preset, arm=arm, init=str(start)),
        train=replace(
            recipe.train,
            iterations=options.iterations,
            batch_size=options.batch,
            seed=seed,
            schedule=ScheduleConfig(kind="cosine", rate=options.rate, warmup=0.05),
            validate_every=0,
            save_every=max(options.iterations // 4, 1),
            workers=0,
            threads=1,
        ),
    )


def write_start(config: Config, pretrained: str | None = None) -> None:
    """Write the first weights of an arm: those of the whole network wherever it has the name.

    Args:
        config: of the training; its `model.init` is the file.
        pretrained: weights of the backbones; the seed gives all others.
    """
    arm = config.model
    assert arm.arm is not None
    assert arm.init is not None
    images = TrainingData(config, Processes(torch.device("cpu"))).some_images
    networks = []
    for network_config in (preset_config(arm.preset), ablation(arm.preset, arm.arm)):
        torch.manual_seed(config.train.seed)
        network = build_model(replace(network_config, num_classes=_CLASSES))
        if pretrained is not None:
            # In both: the only stream of an arm has no name that the whole network has.
            load_backbone(network, pretrained, images)
        networks.append(network)
    whole, model = networks
    own = model.state_dict()
    shared = {
        name: tensor
        for name, tensor in whole.state_dict().items()
        if name in own and own[name].shape == tensor.shape
    }
    model.load_state_dict({**own, **shared})
    save_checkpoint(arm.init, model, normalisation=config.normalisation.build())


def run(arm: str, seed: int, options: argparse.Namespace) -> Result:
    """Train and test one arm with one seed, or read what was found before."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    folder = Path(options.out) / f"{arm}-{seed}"
    found = folder / "result.json"
    if found.is_file():
        return Result(**json.loads(found.read_text(encoding="utf-8")))
    config = configuration(arm, seed, folder / "start.safetensors", options)
    write_start(config, options.pretrained)
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
    data = data_of(options)
    scores = {name: _scores(model, config, frames) for name, frames in data.tests().items()}
    flow = data.flow_fit(model, config.normalisation.build())
    parameters = sum(parameter.numel() for parameter in model.parameters())
    result = Result(arm, seed, parameters, seconds, scores, flow)
    with written_beside(found) as beside:
        beside.write_text(json.dumps(asdict(result), indent=1), encoding="utf-8")
    return result


def _scores(model: FAFNet, config: Config, frames: RgbdSegmentationDataset) -> dict[str, float]:
    normalisation = config.normalisation.build()
    found = evaluate(
        model, frames, normalisation=normalisation, config=config.evaluate, progress=False
    )
    assert found.boundary is not None
    return {
        "mean_iou": found.scores.mean_iou,
        "boundary_iou": found.boundary.mean_iou,
        "pixel_accuracy": found.scores.pixel_accuracy,
    }


def run_all(options: argparse.Namespace) -> list[Result]:
    """Run every arm with every seed, seed by seed, so that pairs are complete early."""
    data_of(options).make(options.jobs)
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
            # Runs that have begun are finished or saved; the others wait for the next time.
            pool.shutdown(cancel_futures=True)
            raise
    return results


def found_results(out: Path) -> list[Result]:
    """Read all results that a folder holds."""
    files = sorted(out.glob("*/result.json"))
    return [Result(**json.loads(path.read_text(encoding="utf-8"))) for path in files]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, then write the table and the plot."""
    options = read_options(__doc__ or "", PRIMARY, arguments)
    try:
        results = found_results(options.out) if options.report else run_all(options)
    except (OSError, ValueError) as error:  # a stop among them
        print(f"ablation: {error}", file=sys.stderr)
        return 1
    if not results:
        print(f"ablation: no results in {options.out}; run without --report", file=sys.stderr)
        return 1
    settings = read_settings(options.out)
    print(write_report(results, options.out, DATA[settings["data"]].protocol(settings)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
