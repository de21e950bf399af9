"""`fafnet train`: a configuration in, a trained network out."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fafnet_core.cli.options import add_overrides

if TYPE_CHECKING:
    from fafnet_core.training.loop import TrainingResult

_EXAMPLES = """\
examples:
  fafnet train config/synthetic.yaml
  fafnet train config/nyuv2.yaml
  fafnet train config/nyuv2.yaml --out runs/nyu --set train.seed=3 --set model.preset=fafnet-r34
  fafnet train config/nyuv2.yaml --out runs/nyu --resume
  torchrun --nproc_per_node 2 -m fafnet_core train config/nyuv2.yaml --out runs/nyu

DIR gets best.safetensors (by validation mIoU) and last.safetensors for `fafnet segment` and
`fafnet evaluate`, states/ for --resume, the resolved config.yaml, log.jsonl, tensorboard/ and
pictures/. After SIGTERM or Ctrl-C the running iteration ends, a state is written, and the exit
status is 1; a second signal ends the training at once.
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to `fafnet`."""
    parser = verbs.add_parser(
        "train",
        help="train a network",
        description="Train a network as a configuration file says.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "config", type=Path, metavar="CONFIG", help="YAML file: see docs/training.md"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the run (default: runs/ and CONFIG's name)",
    )
    parser.add_argument("--resume", action="store_true", help="go on from DIR's newest state")
    add_overrides(parser, "train.seed=3")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda")
    parser.add_argument("--json", action="store_true", help="print how it ended as JSON")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Train; 1 if a signal ended it before the last iteration."""
    config_path: Path = arguments.config
    out: Path = arguments.out or Path("runs") / config_path.stem
    if not config_path.is_file():
        arguments.parser.error(f"there is no file {config_path}")
    if out.exists() and not out.is_dir():
        arguments.parser.error(f"--out is a file, {out}; wanted a folder")
    # Imports PyTorch: only once the input is there.
    from fafnet_core.training.config import read_config
    from fafnet_core.training.loop import train

    config = read_config(config_path, arguments.overrides)
    result = train(config, out, resume=arguments.resume, device=arguments.device)
    if result.is_first:
        _report(arguments, result)
    return 0 if result.finished else 1


def _report(arguments: argparse.Namespace, result: TrainingResult) -> None:
    if arguments.json:
        report = dataclasses.asdict(result)
        del report["is_first"]
        print(json.dumps({**report, "out": str(result.out)}))
    elif result.finished:
        best = result.best
        figures = (
            f"; best mIoU {100 * best['mean_iou']:.2f} % on the validation split, in iteration"
            f" {best['iteration']}"
            if best
            else ""
        )
        print(f"trained: {result.iteration} iterations{figures}: {result.out}")
    if not result.finished:
        print(
            f"fafnet: stopped by {result.stopped_by} after iteration {result.iteration}; the state"
            f" is in {result.out}: go on with --resume",
            file=sys.stderr,
        )
