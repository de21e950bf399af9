"""Whether a converted checkpoint gives the logits of the authors' own code.

python benchmarks/release_parity.py --release FOLDER    # a checkout of the authors' repository
python benchmarks/release_parity.py --release FOLDER --write-reference
                                                        # write what the tests compare with

All parameters and running statistics are random. The file is written as their script writes it,
goes through `fafnet convert` and is loaded again. In each of the last rows one part of the
conversion is undone: they show how large the difference of a mistake would be.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peers
import torch
from measuring import PROJECT, command_line, from_tests
from torch import Tensor, nn

from fafnet_core import FAFNet, load_checkpoint
from fafnet_core.checkpoints.release import convert_release
from fafnet_core.cli.main import main as fafnet
from fafnet_core.models.fam import FlowAlignment
from fafnet_core.models.warp import PIXELS

CASES = ((1, 480, 640), (1, 427, 561), (2, 240, 320))
REFERENCE = PROJECT / "test" / "core" / "data" / "release_logits.json"


def main() -> None:
    """Compare and print a table, or write the reference."""
    parser = command_line(__doc__)
    parser.add_argument("--release", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write-reference", action="store_true")
    arguments = parser.parse_args()
    states = from_tests("release_state")
    if arguments.write_reference:
        write_reference(states, arguments.release)
    else:
        compare(states, arguments.release, arguments.seeds)


def their_network(checkout: Path, depths: tuple[int, ...], state: dict[str, Tensor]) -> nn.Module:
    """Return the network that their script trains, or one of another depth, in evaluation mode."""
    network: nn.Module = peers.release(checkout, len(state["head.conv_last.1.bias"]), depths)
    network.load_state_dict(state)
    return network


def write_as_they_do(network: nn.Module, path: Path) -> None:
    """Write a file with everything that their script stores, after a step of training."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    last = list(network.parameters())[-1]
    last.grad = torch.zeros_like(last)
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.9**step)
    content = {
        "cur_itrs": 41000,
        "model_state": network.state_dict(),
        "optimizer_state": optimizer.state_dict(),
        "scheduler_state": scheduler.state_dict(),
        "best_score": np.float64(0.5),
    }
    torch.save(content, path)


@torch.no_grad()
def compare(states: Any, checkout: Path, seeds: int) -> None:
    """Print how far apart the logits are."""
    print(f"{'seed':>4}  {'batch, size':<16} {'difference / largest logit':>26}  same labels")
    for seed in range(seeds):
        state = states.random_state(states.shapes(states.R101, 40), seed)
        network = their_network(checkout, states.R101, state)
        model = converted(network)
        for batch, height, width in CASES:
            images = states.random_images(batch, height, width, seed)
            expected = network(*images)
            row = f"{seed:>4}  {f'{batch} x {width}x{height}':<16}"
            print(row, figures(model(*images), expected), flush=True)
    lengths = flow_lengths(model, images)
    print(f"median flow of each FAM, pixels: {', '.join(f'{px:.1f}' for px in lengths)}")
    print("\nthe last row again, with something undone:")
    for name, undo in UNDONE.items():
        wrong = undo(convert_release(state).model, state)
        print(f"  {name:<36}", figures(wrong(*images), expected), flush=True)


def converted(network: nn.Module) -> FAFNet:
    """Return the network as `fafnet convert` makes it of their file."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "theirs.pth"), Path(folder, "ours.safetensors")
        write_as_they_do(network, source)
        with contextlib.redirect_stdout(io.StringIO()):
            status = fafnet(["convert", str(source), str(out), "--labels", "nyu40"])
        if status:
            raise SystemExit(status)
        return load_checkpoint(out)


def figures(logits: Tensor, expected: Tensor) -> str:
    """Return the two columns of numbers."""
    difference = (logits - expected).abs().max() / expected.abs().max()
    same = (logits.argmax(1) == expected.argmax(1)).float().mean()
    return f"{difference:>26.1e}  {same:>10.4%}"


def flow_lengths(model: FAFNet, images: tuple[Tensor, Tensor]) -> list[float]:
    """Return the median length of each FAM's flow in pixels; near 0 the rows would say little."""
    lengths: list[float] = []

    def note(fam: FlowAlignment, inputs: tuple[Tensor, Tensor], _: Tensor) -> None:
        x_i, x_j = inputs
        flow = fam.flow(x_i, fam.resize(fam.conv_j(x_j), x_i))
        height, width = flow.shape[-2:]
        pixels = flow.new_tensor([fam.rules.sampling.pixels(side) for side in (width, height)])
        lengths.append(float((flow * pixels[:, None, None]).norm(dim=1).median()))

    fams = [module for module in model.modules() if isinstance(module, FlowAlignment)]
    hooks = [fam.register_forward_hook(note) for fam in fams]
    model(*images)
    for hook in hooks:
        hook.remove()
    return lengths


def _no_flow(model: FAFNet, _: dict[str, Tensor]) -> FAFNet:
    for module in model.modules():
        if isinstance(module, FlowAlignment):
            nn.init.zeros_(module.conv_flow.weight)
    return model


def _paper_sampling(model: FAFNet, _: dict[str, Tensor]) -> FAFNet:
    for module in model.modules():
        if isinstance(module, FlowAlignment):
            module.rules = dataclasses.replace(module.rules, sampling=PIXELS)
    return model


def _other_halves(model: FAFNet, _: dict[str, Tensor]) -> FAFNet:
    for module in model.decoder.modules():
        if isinstance(module, FlowAlignment):
            weight = module.conv_flow.weight
            weight.copy_(torch.cat(weight.chunk(2, dim=1)[::-1], dim=1))
    return model


def _no_lateral_bias(model: FAFNet, state: dict[str, Tensor]) -> FAFNet:
    for level in range(3):
        norm = model.get_submodule(f"decoder.laterals.{level}.1")
        assert isinstance(norm.running_mean, Tensor)
        norm.running_mean += state[f"head.fpn_in.{level}.0.bias"]
    return model


def _first_flow(model: FAFNet, state: dict[str, Tensor]) -> FAFNet:
    for level in range(4):
        align = model.get_submodule(f"encoder.fuse{level + 1}.align_depth")
        assert isinstance(align, FlowAlignment)
        align.conv_flow.weight.copy_(state[f"backbone.sagates.{level}.flow_make.weight"])
    return model


def _other_mlps(model: FAFNet, _: dict[str, Tensor]) -> FAFNet:
    for level in range(4):
        acfm: Any = model.get_submodule(f"encoder.fuse{level + 1}.acfm")
        acfm.mlp_rgb, acfm.mlp_depth = acfm.mlp_depth, acfm.mlp_rgb
    return model


UNDONE: dict[str, Callable[[FAFNet, dict[str, Tensor]], FAFNet]] = {
    "every flow zero": _no_flow,
    "sampling of the paper": _paper_sampling,
    "the decoder's flows see fine, coarse": _other_halves,
    "lateral biases left out": _no_lateral_bias,
    "flow_make in place of flow_make2": _first_flow,
    "fsp1 and fsp2 exchanged": _other_mlps,
}


@torch.no_grad()
def write_reference(states: Any, checkout: Path) -> None:
    """Write logits of their network for the tests: a smaller network, an image of odd sizes."""
    seed, size, count = 7, (65, 97), 64
    state = states.random_state(states.shapes(states.R50, 37), seed)
    logits = their_network(checkout, states.R50, state)(*states.random_images(1, *size, seed))[0]
    generator = np.random.default_rng(seed)
    places = [[int(generator.integers(side)) for side in logits.shape] for _ in range(count)]
    reference = {
        "seed": seed,
        "size": size,
        "largest": float(logits.abs().max()),
        "places": places,
        "logits": [float(logits[tuple(place)]) for place in places],
    }
    REFERENCE.write_text(json.dumps(reference) + "\n", encoding="utf-8")
    print(f"written: {REFERENCE}")


if __name__ == "__main__":
    main()
