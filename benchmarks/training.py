"""How fast an update of the weights is, beside the loop of the paper's authors.

python benchmarks/training.py                                          # a preset of ours
python benchmarks/training.py --preset fafnet-release --release FOLDER # beside the authors' code

Both get the same batch of random images, already in memory, and run in turn: medians, and the ratio
round by round. The authors' update is that of their script: its optimiser and loss, without mixed
precision, which it has on a GPU only. Augmentation is measured separately, on a 640x480 frame.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import peers
import torch
from measuring import at_least, command_line

from fafnet_core.augmentation import Batch, TrainTransform, TransformConfig
from fafnet_core.benchmark.timing import in_turn, median_ms
from fafnet_core.models import build_model
from fafnet_core.normalisation import Normalisation
from fafnet_core.samples import RgbdSample
from fafnet_core.training.config import TrainConfig
from fafnet_core.training.distributed import Processes
from fafnet_core.training.loss import LossConfig
from fafnet_core.training.optimiser import OptimiserConfig, build_optimiser, set_learning_rate
from fafnet_core.training.step import Step

Update = Callable[[], float]
_RATE, _DECAY = 0.001, 5e-4


def ours(options: argparse.Namespace, batch: Batch, device: torch.device) -> Update:
    """Return our update, with the settings of the release."""
    config = TrainConfig(
        batch_size=options.batch,
        precision=options.precision,
        optimiser=OptimiserConfig(kind="sgd", momentum=0.9, weight_decay=_DECAY),
        loss=LossConfig(average_over="all"),
    )
    torch.manual_seed(0)
    model = build_model(options.preset).train().to(device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = build_optimiser(model, config.optimiser)
    set_learning_rate(optimiser, _RATE)
    step, iterations = Step(model, optimiser, config, Processes(device)), itertools.count()

    def update() -> float:
        loss = step.gradients(batch, next(iterations)).loss
        step.apply()
        return loss

    return update


def theirs(options: argparse.Namespace, batch: Batch, device: torch.device) -> Update:
    """Return the update of the authors' script."""
    torch.manual_seed(0)
    model = peers.release(options.release).train().to(device)
    criterion = peers.release_loss(options.release)
    groups = [{"params": params, "lr": _RATE} for params in model.get_params()]
    optimizer = torch.optim.SGD(groups, lr=_RATE, momentum=0.9, weight_decay=_DECAY)
    rgb, hha, label = (tensor.to(device) for tensor in batch)

    def update() -> float:
        optimizer.zero_grad()
        loss = criterion(model(rgb, hha), label)
        loss.backward()
        optimizer.step()
        return float(loss.detach().cpu().numpy())

    return update


def random_batch(size: int, count: int) -> Batch:
    """Return a batch of noise with labels, some of them ignored."""
    generator = torch.Generator().manual_seed(0)
    rgb, hha = (torch.randn(count, 3, size, size, generator=generator) for _ in range(2))
    label = torch.randint(0, 40, (count, size, size), generator=generator)
    label[:, :20] = 255
    return Batch(rgb, hha, label)


def finished(update: Update, device: torch.device) -> None:
    """Run an update, and wait until the weights are changed: the loss is there sooner."""
    update()
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def augmentation_ms() -> float:
    """Return the median time of augmenting one 640x480 frame with ready HHA."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    label = rng.integers(0, 40, (480, 640), dtype=np.uint8)
    sample = RgbdSample(image, label, hha=image.copy())
    transform = TrainTransform(TransformConfig(), Normalisation())
    return median_ms(partial(transform, sample, rng), 50, time.perf_counter)


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__)
    parser.add_argument("--preset", default="fafnet-nano")
    parser.add_argument("--release", type=Path, metavar="FOLDER", help="the authors' repository")
    parser.add_argument("--size", type=at_least(1), default=464, help="side of the crops")
    parser.add_argument("--batch", type=at_least(1), default=8)
    parser.add_argument("--rounds", type=at_least(1), default=5)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    batch = random_batch(options.size, options.batch)
    loops = {f"ours ({options.preset}, {options.precision})": ours(options, batch, device)}
    if options.release:
        loops["the authors' (float32)"] = theirs(options, batch, device)
    ways = {name: partial(finished, update, device) for name, update in loops.items()}
    times = in_turn(ways, options.rounds, time.perf_counter, warming=1)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{where}, {torch.get_num_threads()} threads, batch {options.batch} of {options.size}²")
    for name in loops:
        seconds = times.ms(name) / 1e3
        print(f"{name:44} {seconds:8.3f} s an update {options.batch / seconds:8.2f} frames/s")
    if options.release:
        print(f"ours takes {times.ratio(*loops):.2f} of the authors' time")
    print(f"augmentation of a 640x480 frame: {augmentation_ms():.1f} ms, one process")


if __name__ == "__main__":
    main()
