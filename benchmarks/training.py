"""How fast an update of the weights is, beside the loop of the paper's authors.

python benchmarks/training.py                                          # a preset of ours
python benchmarks/training.py --preset fafnet-release --release FOLDER # beside the authors' code

Both get the same batches of random images, already in memory, and run in turn: medians, and the
ratio round by round. The authors' update is that of their script: its optimiser and loss, without
mixed precision, which it has on a GPU only. Augmentation is measured on a 640x480 frame by itself.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import peers
import torch

from fafnet_core.augmentation import Batch, TrainTransform, TransformConfig
from fafnet_core.models import build_model
from fafnet_core.normalisation import Normalisation
from fafnet_core.samples import RgbdSample
from fafnet_core.training.config import TrainConfig
from fafnet_core.training.distributed import Processes
from fafnet_core.training.loss import LossConfig
from fafnet_core.training.optimiser import OptimiserConfig, build_optimiser, set_learning_rate
from fafnet_core.training.step import Step

Iteration = Callable[[int], float]
_RATE, _DECAY = 0.001, 5e-4


def ours(options: argparse.Namespace, batch: Batch, device: torch.device) -> Iteration:
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
    step = Step(model, optimiser, config, Processes(device))

    def update(iteration: int) -> float:
        loss = step.gradients(batch, iteration).loss
        step.apply()
        return loss

    return update


def theirs(options: argparse.Namespace, batch: Batch, device: torch.device) -> Iteration:
    """Return the update of the authors' script."""
    torch.manual_seed(0)
    model = peers.release(options.release).train().to(device)
    criterion = peers.release_loss(options.release)
    groups = [{"params": params, "lr": _RATE} for params in model.get_params()]
    optimizer = torch.optim.SGD(groups, lr=_RATE, momentum=0.9, weight_decay=_DECAY)
    rgb, hha, label = (tensor.to(device) for tensor in batch)

    def update(iteration: int) -> float:
        del iteration
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


def timed(iteration: Iteration, index: int, device: torch.device) -> float:
    """Return the seconds of one update."""
    begun = time.perf_counter()
    iteration(index)  # returns the loss: it has been waited for
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begun


def augmentation(rounds: int) -> float:
    """Return the median seconds of augmenting one 640x480 frame with ready HHA."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    label = rng.integers(0, 40, (480, 640), dtype=np.uint8)
    sample = RgbdSample(image, label, hha=image.copy())
    transform = TrainTransform(TransformConfig(), Normalisation())
    seconds = []
    for _ in range(rounds):
        begun = time.perf_counter()
        transform(sample, rng)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="fafnet-nano")
    parser.add_argument("--release", type=Path, metavar="FOLDER", help="the authors' repository")
    parser.add_argument("--size", type=int, default=464, help="side of the crops")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    batch = random_batch(options.size, options.batch)
    loops = {f"ours ({options.preset}, {options.precision})": ours(options, batch, device)}
    if options.release:
        loops["the authors' (float32)"] = theirs(options, batch, device)
    for loop in loops.values():
        timed(loop, 0, device)  # the first builds what later ones reuse
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for index in range(1, options.rounds + 1):
        for name, loop in loops.items():
            seconds[name].append(timed(loop, index, device))
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{where}, {torch.get_num_threads()} threads, batch {options.batch} of {options.size}²")
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"{name:44} {median:8.3f} s an update {options.batch / median:8.2f} frames/s")
    if len(seconds) == 2:
        own, other = seconds.values()
        ratios = [a / b for a, b in zip(own, other, strict=True)]
        print(f"ours takes {statistics.median(ratios):.2f} of the authors' time")
    print(f"augmentation of a 640x480 frame: {1e3 * augmentation(50):.1f} ms, one process")


if __name__ == "__main__":
    main()
