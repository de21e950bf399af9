"""How long a frame takes in `Segmenter`, stage by stage, beside the plain way of doing the same.

python benchmarks/segmenter.py                                   # fafnet-nano on this machine
python benchmarks/segmenter.py fafnet-lite --precision bfloat16
python benchmarks/segmenter.py --threads 1                       # as the node on two cores
python benchmarks/segmenter.py --give-back                       # without keep_memory

The plain way is the network's `forward`, softmax and argmax at full size. Medians, in
milliseconds, all from one run, the ways taking turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict

import torch

from fafnet_core.inference import UNTRAINED, Segmenter
from fafnet_core.models import PRESETS
from fafnet_core.rooms import Tour, pinhole, render
from fafnet_core.runtimes.devices import keep_memory, use_threads


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("preset", nargs="?", default="fafnet-nano", choices=list(PRESETS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=0, help="0: as PyTorch decides")
    parser.add_argument(
        "--give-back", action="store_true", help="as glibc handles memory by itself"
    )
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 480), metavar=("W", "H"))
    arguments = parser.parse_args()
    if arguments.threads:
        use_threads(arguments.threads)
    segmenter = Segmenter.from_checkpoint(
        UNTRAINED + arguments.preset, device=arguments.device, precision=arguments.precision
    )
    if not arguments.give_back:
        keep_memory()
    camera = pinhole(*arguments.size)
    tour = Tour.of(1)
    seen = render(tour.room.scene, camera, tour.pose(0.2))
    times: defaultdict[str, list[float]] = defaultdict(list)
    for frame in range(arguments.frames + 3):
        begun = time.perf_counter()
        result = segmenter.segment(seen.rgb, seen.depth_m, camera.matrix)
        whole = time.perf_counter() - begun
        begun = time.perf_counter()
        plain(segmenter, result.hha, seen.rgb)
        rows = {
            **result.seconds,
            "whole frame": whole,
            "plain network": time.perf_counter() - begun,
        }
        if frame >= 3:  # the first ones warm up
            for stage, seconds in rows.items():
                times[stage].append(1e3 * seconds)
    width, height = arguments.size
    print(
        f"{arguments.preset}, {width}x{height}, {segmenter.device} {segmenter.precision},"
        f" {torch.get_num_threads()} threads, median of {arguments.frames} (ms):"
    )
    for stage, values in times.items():
        print(f"  {stage:14} {statistics.median(values):7.1f}")


@torch.inference_mode()
def plain(segmenter: Segmenter, hha: object, rgb: object) -> None:
    """Forward, softmax, argmax, at full size."""
    dtype = getattr(torch, segmenter.precision)
    inputs = (
        torch.as_tensor(image).to(segmenter.device).permute(2, 0, 1)[None].to(dtype) / 255
        for image in (rgb, hha)
    )
    logits = segmenter.model(*inputs)
    probability, labels = logits.float().softmax(1).max(1)
    labels.to(torch.uint8).cpu(), probability.cpu()


if __name__ == "__main__":
    main()
