"""How long the networks take, beside those of others.

python benchmarks/presets.py                                     # ours
python benchmarks/presets.py --esanet FOLDER --release FOLDER    # and checkouts of theirs
python benchmarks/presets.py --networks fafnet-nano fafnet-lite/no-fam --threads 1
python benchmarks/presets.py --networks 2*resnet18 fafnet-lite fafnet-lite,warp=depth_only
                                                       # the bare backbones; a field changed

One image through the whole network to logits of its size, eager, channels last, in inference mode,
the networks in turn. Medians, and how many times as long as ESANet (or the first network): the
median of the ratios of all rounds. --cpu-time takes the processor time of the process, which other
programs on the machine disturb less; use one thread then.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import peers
import torch
from measuring import at_least, command_line, in_turn, markdown
from torch import nn

from fafnet_core.models import PRESETS, FAFNetConfig, ablation, build_model
from fafnet_core.models.config import RESNETS, preset_config
from fafnet_core.models.resnet import ResNet
from fafnet_core.nearest import unknown_name
from fafnet_core.runtimes.devices import choose_device, choose_dtype, use_threads
from fafnet_core.settings import field_types, read_settings, read_values

ESANET = "ESANet R34-NBt1D"


def main() -> None:
    """Measure and print a table."""
    parser = command_line(__doc__)
    parser.add_argument("--networks", nargs="+", default=list(PRESETS), metavar="NAME")
    parser.add_argument("--esanet", type=Path, metavar="FOLDER")
    parser.add_argument("--release", type=Path, metavar="FOLDER")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--threads", type=at_least(0), default=0, help="0: as PyTorch decides")
    parser.add_argument("--frames", type=at_least(1), default=15)
    parser.add_argument("--size", type=at_least(1), nargs=2, default=(640, 480), metavar=("W", "H"))
    parser.add_argument("--cpu-time", action="store_true")
    arguments = parser.parse_args()
    width, height = arguments.size
    try:
        device = choose_device(arguments.device)
        dtype = choose_dtype(arguments.precision, device)
        ours = {name: build(name).eval() for name in arguments.networks}
    except ValueError as error:
        parser.error(str(error))
    if arguments.threads:
        use_threads(arguments.threads)

    networks: dict[str, tuple[nn.Module, int]] = {}
    if arguments.esanet:
        networks[ESANET] = peers.esanet(arguments.esanet), 1
    networks |= {name: (network, 3) for name, network in ours.items()}
    if arguments.release:
        networks["the authors' code"] = peers.release(arguments.release), 3

    def images(channels: int) -> torch.Tensor:
        values = torch.randn(1, channels, height, width)
        return values.to(device, dtype, memory_format=torch.channels_last)

    rgb = images(3)
    ways = {}
    for name, (network, channels) in networks.items():
        network.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        ways[name] = partial(forward, network, rgb, images(channels))
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    times = in_turn(ways, arguments.frames, clock)
    first = next(iter(networks))
    print(
        f"{width}x{height}, {device} {arguments.precision}, {torch.get_num_threads()} threads,"
        f" {'processor' if arguments.cpu_time else 'wall clock'} time,"
        f" median of {arguments.frames}\n"
    )
    rows = []
    for name, (network, _) in networks.items():
        parameters = sum(p.numel() for p in network.parameters())
        millions = f"{parameters / 1e6:.2f} M"
        rows.append((name, millions, f"{times.ms(name):.0f}", f"{times.ratio(name, first):.2f}"))
    print(markdown(("network", "parameters", "ms", f"times {first}"), rows))


class Backbones(nn.Module):
    """Both streams of an encoder with nothing between them: the least that any fusion takes."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.rgb_stream, self.depth_stream = ResNet(name), ResNet(name)

    def forward(self, rgb: torch.Tensor, hha: torch.Tensor) -> tuple[Any, Any]:
        """The maps of both."""
        return self.rgb_stream(rgb), self.depth_stream(hha)


def build(name: str) -> nn.Module:
    """Return the network PRESET or PRESET/ARM, each also with ",KEY=VALUE", or "2*resnet18".

    Raises:
        ValueError: there is no such network, or no such field or value.
    """
    if name.startswith("2*"):
        backbone = name.removeprefix("2*")
        if backbone not in RESNETS:
            raise ValueError(unknown_name("backbone", backbone, RESNETS))
        return Backbones(backbone)
    network, *changes = name.split(",")
    preset, _, arm = network.partition("/")
    config = ablation(preset, arm) if arm else preset_config(preset)
    values = read_values(field_types(FAFNetConfig), read_settings(None, changes), "")
    return build_model(replace(config, **values))


@torch.inference_mode()
def forward(network: nn.Module, rgb: torch.Tensor, depth: torch.Tensor) -> None:
    """Compute the logits, and wait for them."""
    network(rgb, depth)
    if rgb.is_cuda:
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
