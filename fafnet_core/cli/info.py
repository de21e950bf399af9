"""`fafnet info`: what a network is made of and what it costs; several of them in a table."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fafnet_core.checkpoints.location import EXPORTED, is_exported
from fafnet_core.cli.options import add_overrides
from fafnet_core.cli.tables import columns
from fafnet_core.input_size import size_text
from fafnet_core.settings import field_types, read_section, read_settings, read_values

if TYPE_CHECKING:
    from fafnet_core.checkpoints.checkpoint import CheckpointMetadata
    from fafnet_core.models import FAFNetConfig
    from fafnet_core.models.summary import ModelSummary

_EXAMPLES = """\
examples:
  fafnet info                                  the presets
  fafnet info fafnet-nano                      a line for each stage
  fafnet info fafnet-lite fafnet-r34 --compare a table of these; of all presets without a name
  fafnet info fafnet-lite --ablation           a table of its rows of the paper's table 1
  fafnet info fafnet-lite/zero-flow            one of those rows
  fafnet info nyu.safetensors --size 240x320
  fafnet info hf://owner/name                  a checkpoint on the Hugging Face Hub
  fafnet info fafnet-r50 --set output_stride=8 --set decoder_channels=128 --json

Multiply-adds are those of convolutions and linear layers. Peak memory is the largest total size of
the tensors at one time of a float32 inference, without weights and workspaces. 1 MB is 1,000,000
bytes.
"""

_CHECKPOINT = ".safetensors"
_YAML = (".yaml", ".yml")
_SIZE = (480, 640)
_LARGEST = 16384
_PREFIX = "fafnet-"
_WIDTH = 100


@dataclass(frozen=True)
class _Model:
    """A network to report on.

    Attributes:
        name: as in the tables.
        description: one line.
        config: what it is made of.
        metadata: what its checkpoint says, if it is one.
        precision: of an exported file.
    """

    name: str
    description: str
    config: FAFNetConfig
    metadata: CheckpointMetadata | None = None
    precision: str | None = None


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to `fafnet`."""
    parser = verbs.add_parser(
        "info",
        help="show what a network is made of and what it costs",
        description="Parameters, multiply-adds and memory of networks; nothing is computed.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model",
        nargs="*",
        help="a preset ('fafnet-' may be left out), PRESET/ARM of the ablation, a .yaml file with "
        "a configuration, a checkpoint (a file, a folder or hf://owner/name), or a .onnx or .xml "
        "file of fafnet export or quantize (none: list presets and arms)",
    )
    parser.add_argument("--compare", action="store_true", help="print a table of the networks")
    parser.add_argument("--ablation", action="store_true", help="compare all arms of each network")
    parser.add_argument(
        "--size",
        type=_size,
        metavar="HEIGHTxWIDTH",
        help="of the images, in pixels (default: 480x640)",
    )
    parser.add_argument(
        "--classes", type=int, metavar="N", help="as --set num_classes=N (default: the network's)"
    )
    add_overrides(parser, "decoder_channels=128")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the report."""
    if not arguments.model and not arguments.compare:
        return _list(arguments)
    from fafnet_core.models.summary import summarise  # imports PyTorch

    models = _models(arguments)
    size: tuple[int, int] = arguments.size or _SIZE
    least = max(model.config.smallest_input for model in models)
    if min(size) < least:
        arguments.parser.error(f"--size is too small: wanted at least {least}x{least}")
    summaries = [summarise(model.config, size) for model in models]
    if arguments.json:
        reports = [_report(*pair) for pair in zip(models, summaries, strict=True)]
        print(_json({"models": reports}))
    elif arguments.compare or arguments.ablation:
        print(_comparison(models, summaries))
        if arguments.ablation:
            print(f"\n{_arms()}")
    else:
        texts = [_text(*pair) for pair in zip(models, summaries, strict=True)]
        print("\n\n".join(texts))
    return 0


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    if match is None or max(map(int, match.groups())) > _LARGEST:
        raise argparse.ArgumentTypeError(
            f"'{text:.20}' is not a size; wanted HEIGHTxWIDTH, as 480x640, at most {_LARGEST} each"
        )
    return int(match[1]), int(match[2])


def _list(arguments: argparse.Namespace) -> int:
    """Print the presets and the arms of the ablation."""
    from fafnet_core.models import ABLATION, PRESETS

    asked = (arguments.size, arguments.classes)
    if arguments.ablation or arguments.overrides or any(value is not None for value in asked):
        arguments.parser.error(f"which network? wanted one or more of {', '.join(PRESETS)}")
    presets = {name: preset.description for name, preset in PRESETS.items()}
    if arguments.json:
        arms = {name: arm.description for name, arm in ABLATION.items()}
        print(json.dumps({"presets": presets, "ablation": arms}))
        return 0
    print("presets:")
    print(columns([[f"  {name}", what] for name, what in presets.items()], "<<"))
    print(f"\narms of the ablation, as in PRESET/ARM:\n{_arms()}\n")
    print("fafnet info PRESET shows one, fafnet info --compare all, fafnet info --help more")
    return 0


def _arms() -> str:
    from fafnet_core.models import ABLATION

    return columns([[f"  {name}", arm.description] for name, arm in ABLATION.items()], "<<")


def _models(arguments: argparse.Namespace) -> list[_Model]:
    """Return the networks to report on; exit status 2 if a name or a setting is wrong."""
    from fafnet_core.models import ABLATION, PRESETS, ablation

    models = []
    for name in arguments.model or PRESETS:
        model = _find(name, arguments)
        try:
            model = _changed(model, arguments)
            if not arguments.ablation:
                models.append(model)
                continue
            models += [
                _Model(
                    f"{model.name}/{arm}", ABLATION[arm].description, ablation(model.config, arm)
                )
                for arm in ABLATION
            ]
        except ValueError as error:
            arguments.parser.error(f"{name}: {error}")
    return models


def _find(name: str, arguments: argparse.Namespace) -> _Model:
    """Return the network of that name, file or repository, before `--set`."""
    from fafnet_core.checkpoints.location import named_repository

    parser: argparse.ArgumentParser = arguments.parser
    try:
        repository = named_repository(name)
    except ValueError as error:
        parser.error(str(error))
    if repository is not None:
        return _read_checkpoint(name)
    path = Path(name)
    if path.suffix.lower() in (_CHECKPOINT, *_YAML, *EXPORTED):
        if not path.exists():
            parser.error(f"there is no {name}")
        if is_exported(path):
            return _read_exported(path)
        is_checkpoint = path.is_dir() or path.suffix.lower() == _CHECKPOINT
        return _read_checkpoint(path) if is_checkpoint else _read_configuration(path)
    try:
        return _look_up(*name.split("/", 1))
    except ValueError as error:
        # A preset comes before a file or a folder of its name.
        if not name or not path.exists():
            parser.error(str(error))
    return _read_checkpoint(path)


def _read_checkpoint(source: str | Path) -> _Model:
    from fafnet_core.checkpoints.checkpoint import read_metadata

    metadata = read_metadata(source)
    return _Model(str(source), "a checkpoint", metadata.config, metadata)


def _read_exported(path: Path) -> _Model:
    from fafnet_core.runtimes.exported import read_exported

    file = read_exported(path, precision="float32")
    takes = "any size" if file.size is None else size_text(file.size)
    gives = "coarse logits" if file.metadata.outputs == "logits" else "labels and confidence"
    said = file.metadata
    description = f"a file in {said.precision} for {file.name}, images of {takes} -> {gives}"
    return _Model(str(path), description, said.checkpoint.config, said.checkpoint, said.precision)


def _read_configuration(path: Path) -> _Model:
    from fafnet_core.models import FAFNetConfig

    return _Model(str(path), "a configuration", read_section(FAFNetConfig, read_settings(path), ""))


def _look_up(preset: str, arm: str | None = None) -> _Model:
    """Return a preset, or an arm of its ablation (ValueError: no such name)."""
    from fafnet_core.models import ABLATION, PRESETS, ablation
    from fafnet_core.models.config import preset_config

    if f"{_PREFIX}{preset}" in PRESETS:
        preset = f"{_PREFIX}{preset}"
    config = preset_config(preset)
    if arm is None:
        return _Model(preset, PRESETS[preset].description, config)
    config = ablation(preset, arm)
    return _Model(f"{preset}/{arm}", ABLATION[arm].description, config)


def _changed(model: _Model, arguments: argparse.Namespace) -> _Model:
    """Return the network with `--set` and `--classes` (ValueError: not allowed)."""
    from fafnet_core.models import FAFNetConfig

    changes = read_values(field_types(FAFNetConfig), read_settings(None, arguments.overrides), "")
    if arguments.classes is not None:
        changes["num_classes"] = arguments.classes
    if not changes:
        return model
    if model.metadata is not None and "num_classes" in changes:
        raise ValueError("the classes of a checkpoint are those of its label set; leave them out")
    config = dataclasses.replace(model.config, **changes)
    description = f"{model.description}; changed: {_assignments(changes)}"
    return dataclasses.replace(model, description=description, config=config)


def _json(values: Any) -> str:
    """As JSON; NaN and infinities, which old notes may hold and JSON lacks, become null."""
    return json.dumps(json.loads(json.dumps(values), parse_constant=lambda _: None))


def _report(model: _Model, summary: ModelSummary) -> dict[str, Any]:
    report = {"name": model.name, "description": model.description, **summary.to_dict()}
    if model.metadata is not None:
        report["label_set"] = model.metadata.label_set.to_dict()
        report["normalisation"] = model.metadata.normalisation.to_dict()
        report["input_size"] = model.metadata.input_size
        report["notes"] = model.metadata.notes
    if model.precision is not None:
        report["precision"] = model.precision
    return report


def _text(model: _Model, summary: ModelSummary) -> str:
    """One network: its settings, a line for each stage, and the sums."""
    rows = [["stage", "output", "parameters", "multiply-adds (M)"]]
    rows += [
        [
            stage.name,
            " x ".join(map(str, stage.shape[1:])),
            f"{stage.parameters:,}",
            f"{stage.multiply_adds / 1e6:,.1f}",
        ]
        for stage in summary.stages
    ]
    rows.append(["all", "", f"{summary.parameters:,}", f"{summary.multiply_adds / 1e6:,.1f}"])
    height, width = summary.size
    return "\n".join(
        (
            f"{model.name}: {model.description}",
            *_wrap(_assignments(model.config.to_dict())),
            *_checkpoint_lines(model.metadata),
            "",
            columns(rows, "<>>>"),
            "",
            f"weights {summary.weight_bytes / 1e6:,.1f} MB, peak of the tensors"
            f" {summary.peak_bytes / 1e6:,.1f} MB (float32, one image of {height} x {width})",
        )
    )


def _assignments(values: dict[str, Any]) -> str:
    """As `--set` takes them."""
    return " ".join(f"{key}={_plain(value)}" for key, value in values.items())


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _checkpoint_lines(metadata: CheckpointMetadata | None) -> Iterator[str]:
    if metadata is None:
        return
    labels = metadata.label_set
    yield from _wrap(f"label set {labels.name}, {len(labels)} classes: {', '.join(labels.names)}")
    for name, values in metadata.normalisation.to_dict().items():
        yield f"{name}: {' '.join(f'{value:g}' for value in values)}"
    if metadata.input_size is None:
        yield "input size: the image's own"
    else:
        yield f"input size: {size_text(metadata.input_size)} (width x height)"
    for name, note in metadata.notes.items():
        yield from _wrap(f"{name}: {_plain(note)}")


def _comparison(models: Sequence[_Model], summaries: Sequence[ModelSummary]) -> str:
    rows = [
        ["network", "parameters", "multiply-adds", "weights", "peak"],
        ["", "M", "G", "MB", "MB"],
    ]
    rows += [
        [
            model.name,
            f"{summary.parameters / 1e6:,.2f}",
            f"{summary.multiply_adds / 1e9:,.2f}",
            f"{summary.weight_bytes / 1e6:,.1f}",
            f"{summary.peak_bytes / 1e6:,.1f}",
        ]
        for model, summary in zip(models, summaries, strict=True)
    ]
    height, width = summaries[0].size
    return f"{columns(rows, '<>>>>')}\n\nfloat32, one image of {height} x {width}"


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
