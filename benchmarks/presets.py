"""How long networks take in each runtime, beside those of others in the same run.

python benchmarks/presets.py                                     # the presets, in PyTorch
python benchmarks/presets.py --esanet FOLDER --release FOLDER    # and checkouts of theirs
python benchmarks/presets.py --esanet FOLDER --networks default --runtimes torch openvino
python benchmarks/presets.py --networks fafnet-nano fafnet-lite/no-fam --threads 1
python benchmarks/presets.py --networks 2*resnet18 fafnet-lite fafnet-lite,warp=depth_only
                                                       # the bare backbones; a field changed

The harness and the columns are those of `fafnet benchmark`: a process a row, rows in turn. "of the
first" is against ESANet, or else the first network. Ours go from 8-bit images to labels; those of
others, and bare backbones, are eager PyTorch, channels last, from ready tensors to logits.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import peers
import torch
from measuring import at_least, command_line, markdown
from torch import nn

from fafnet_core.benchmark.contenders import labelling, open_network
from fafnet_core.benchmark.harness import Effort, measure
from fafnet_core.benchmark.machine import this_machine
from fafnet_core.benchmark.rows import Contender, Opened, table
from fafnet_core.checkpoints.shipped import DEFAULT_CHECKPOINT
from fafnet_core.models import PRESETS, FAFNetConfig, ablation, build_model
from fafnet_core.models.config import RESNETS, preset_config
from fafnet_core.models.resnet import ResNet
from fafnet_core.nearest import unknown_name
from fafnet_core.normalisation import Normalisation
from fafnet_core.runtimes.choice import open_runtime
from fafnet_core.runtimes.devices import choose_device, choose_dtype
from fafnet_core.settings import field_types, read_settings, read_values

ESANET = "ESANet R34-NBt1D"
_BARE = "2*"


def main() -> None:
    """Measure and print a table."""
    parser = command_line(__doc__)
    parser.add_argument("--networks", nargs="+", default=list(PRESETS), metavar="NAME")
    parser.add_argument("--runtimes", nargs="+", default=["torch"], metavar="NAME")
    parser.add_argument("--esanet", type=Path, metavar="FOLDER")
    parser.add_argument("--release", type=Path, metavar="FOLDER")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--threads", type=at_least(1), default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=at_least(1), default=15)
    parser.add_argument("--size", type=at_least(1), nargs=2, default=(640, 480), metavar=("W", "H"))
    parser.add_argument("--busy", action="store_true", help="and beside a process that is busy")
    arguments = parser.parse_args()
    width, height = arguments.size
    for folder in (arguments.esanet, arguments.release):
        if folder is not None and not folder.is_dir():
            parser.error(f"there is no folder {folder}: give a checkout of that repository")
    try:
        device = str(choose_device(arguments.device))
        choose_dtype(arguments.precision, torch.device(device))
        for name in arguments.networks:
            check(name)
    except ValueError as error:
        parser.error(str(error))

    ours = Contender(
        "", "torch", arguments.precision, device, arguments.threads, (height, width), open_ours
    )
    group = [
        replace(ours, network=name, runtime=runtime)
        for name in arguments.networks
        for runtime in (["torch"] if name.startswith(_BARE) else arguments.runtimes)
    ]
    if arguments.esanet:
        opened = partial(open_esanet, checkout=arguments.esanet)
        group.insert(0, replace(ours, network=ESANET, open=opened))
    if arguments.release:
        opened = partial(open_release, checkout=arguments.release)
        group.append(replace(ours, network="the authors' code", open=opened))
    rows, left_out = measure([group], Effort(rounds=arguments.rounds, busy=arguments.busy))
    print(f"{this_machine().words}\n")
    if rows:
        head, *cells = table(rows)
        print(markdown(head, cells))
    for one in left_out:
        print(f"left out: {one.contender.network} in {one.contender.runtime}: {one.reason}")


class Backbones(nn.Module):
    """Both streams of an encoder with nothing between them: the least that any fusion takes."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.rgb_stream, self.depth_stream = ResNet(name), ResNet(name)

    def forward(self, rgb: torch.Tensor, hha: torch.Tensor) -> tuple[Any, Any]:
        """The maps of both."""
        return self.rgb_stream(rgb), self.depth_stream(hha)


def check(name: str) -> None:
    """Refuse a name that `open_ours` does not take.

    Raises:
        ValueError: there is no such network, or no such field or value.
    """
    backbone = name.removeprefix(_BARE)
    if backbone == name:
        if name != DEFAULT_CHECKPOINT:
            configuration(name)
    elif backbone not in RESNETS:
        raise ValueError(unknown_name("backbone", backbone, RESNETS))


def configuration(name: str) -> FAFNetConfig:
    """Return that of PRESET or PRESET/ARM, each also with ",KEY=VALUE".

    Raises:
        ValueError: there is no such network, or no such field or value.
    """
    network, *changes = name.split(",")
    preset, _, arm = network.partition("/")
    config = ablation(preset, arm) if arm else preset_config(preset)
    values = read_values(field_types(FAFNetConfig), read_settings(None, changes), "")
    return replace(config, **values)


def open_ours(contender: Contender) -> Opened:
    """Make `default`, a configuration, or the bare backbones "2*resnet18" ready."""
    name = contender.network
    if name == DEFAULT_CHECKPOINT:
        return open_network(contender)
    torch.manual_seed(0)  # processes whose labels are compared have the same weights
    if name.startswith(_BARE):
        return forward(Backbones(name.removeprefix(_BARE)).eval(), contender, channels=3)
    runtime = open_runtime(
        build_model(configuration(name)),
        Normalisation(),
        runtime=contender.runtime,
        device=contender.device,
        precision=contender.precision,
    )
    return labelling(runtime, contender.size)


def open_esanet(contender: Contender, *, checkout: Path) -> Opened:
    """Make ESANet ready, without what its images go through."""
    return forward(peers.esanet(checkout), contender, channels=1)


def open_release(contender: Contender, *, checkout: Path) -> Opened:
    """Make the authors' network ready, without what its images go through."""
    return forward(peers.release(checkout), contender, channels=3)


def forward(network: nn.Module, contender: Contender, *, channels: int) -> Opened:
    """Return the forward pass in eager PyTorch; the depth image has so many channels."""
    device = torch.device(contender.device)
    dtype = choose_dtype(contender.precision, device)
    network.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    rgb, depth = (
        torch.randn(1, count, *contender.size).to(device, dtype, memory_format=torch.channels_last)
        for count in (3, channels)
    )

    @torch.inference_mode()
    def way() -> None:
        network(rgb, depth)
        if rgb.is_cuda:
            torch.cuda.synchronize()

    return Opened(way, contender.runtime, contender.precision)


if __name__ == "__main__":
    main()
