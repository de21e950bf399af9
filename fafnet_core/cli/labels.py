"""`fafnet labels`: label sets and mappings between them, as tables, JSON and pictures."""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path
from typing import Any

from fafnet_core.cli import labels_import
from fafnet_core.cli.tables import columns
from fafnet_core.labels.files import load_label_set, read_label_set, shipped_label_sets, source_of
from fafnet_core.labels.label_set import LabelSet
from fafnet_core.labels.mappings import (
    LabelMapping,
    chosen_mapping,
    load_mapping,
    mapping_by_name,
    shipped_mappings,
)

_EXAMPLES = """\
examples:
  fafnet labels list
  fafnet labels show nyu40 --out nyu40.png
  fafnet labels show kitchen.yaml
  fafnet labels map nyu40 nyu13                a mapping that ships
  fafnet labels map default kitchen.yaml       by name: what fine-tuning starts from old weights
  fafnet labels import annotations.zip --into picked    what CVAT exported
  fafnet labels map kitchen.yaml merge.yaml    as data.label_map: merge.yaml merges and drops

docs/own-classes.md says what such files hold.
"""

_WIDTH = 100
_DEFAULT = "default"
_CHECKPOINT = ".safetensors"


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to `fafnet`."""
    parser = verbs.add_parser(
        "labels",
        help="list and show label sets and mappings, and take over annotations",
        description="Label sets that ship and your own, and mappings between them.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="what", metavar="<what>", required=True)
    listing = actions.add_parser("list", help="the label sets and mappings that ship")
    listing.set_defaults(run=_list, parser=listing)
    show = actions.add_parser("show", help="ids, names and colours of one label set")
    show.add_argument("label_set", metavar="SET", help="a name, a file, or a checkpoint")
    show.add_argument("--out", type=Path, metavar="PNG", help="write a picture of its colours")
    show.set_defaults(run=_show, parser=show)
    mapping = actions.add_parser("map", help="which class becomes which")
    mapping.add_argument("from_set", metavar="FROM", help="a name, a file, or a checkpoint")
    mapping.add_argument(
        "to_set",
        metavar="TO",
        help="the same; or the file of a mapping. Without a mapping that ships: by name",
    )
    mapping.set_defaults(run=_map, parser=mapping)
    labels_import.add_parser(actions)
    for action in (listing, show, mapping):
        action.add_argument("--json", action="store_true", help="print as JSON")


def _list(arguments: argparse.Namespace) -> int:
    """Print what ships."""
    sets = {name: load_label_set(name) for name in shipped_label_sets()}
    mappings = [load_mapping(*pair) for pair in shipped_mappings()]
    if arguments.json:
        report = {
            "label_sets": [
                {"name": name, "classes": len(found), "source": source_of(name)}
                for name, found in sets.items()
            ],
            "mappings": [
                {"from_set": m.from_set.name, "to_set": m.to_set.name, "source": m.source}
                for m in mappings
            ],
        }
        print(json.dumps(report))
        return 0
    for name, found in sets.items():
        print(f"{name}: {len(found)} classes")
        print(_indented(source_of(name)))
    for m in mappings:
        print(f"{m.from_set.name} to {m.to_set.name}")
        print(_indented(m.source))
    return 0


def _show(arguments: argparse.Namespace) -> int:
    """Print one label set, and write its picture."""
    label_set, source = _label_set(arguments.label_set)
    if arguments.out is not None:
        from fafnet_core.files import write_png
        from fafnet_core.inference.pictures import class_key

        write_png(arguments.out, class_key(label_set))
    if arguments.json:
        print(json.dumps({**label_set.to_dict(), "source": source}))
        return 0
    print(f"{label_set.name}: {len(label_set)} classes")
    if source:
        print(_indented(source))
    rows = [["id", "name", "red", "green", "blue"]]
    rows += [
        [str(index), name, *map(str, colour)]
        for index, (name, colour) in enumerate(zip(label_set.names, label_set.palette, strict=True))
    ]
    rows.append([str(label_set.ignore_index), "(unlabelled)", "0", "0", "0"])
    print(columns(rows, "><>"))
    for group, members in label_set.groups.items():
        print(f"group {group}: {', '.join(members)}")
    return 0


def _map(arguments: argparse.Namespace) -> int:
    """Print a mapping: one that ships, one from a file, or by name."""
    mapping = _mapping(arguments.from_set, arguments.to_set)
    before, after = mapping.from_set, mapping.to_set
    reached = set(mapping.classes.values())
    new = [name for name in after.names if name not in reached]
    if arguments.json:
        report: dict[str, Any] = {
            "from_set": before.name,
            "to_set": after.name,
            "source": mapping.source,
            "classes": {name: mapping.classes[name] for name in before.names},
            "only_in_to_set": new,
        }
        print(json.dumps(report))
        return 0
    print(f"{before.name} ({len(before)} classes) to {after.name} ({len(after)})")
    print(_indented(mapping.source))
    rows = [["id", before.name, "id", after.name]]
    for index, name in enumerate(before.names):
        target = mapping.classes[name]
        there = ["-", "(unlabelled)"]
        rows.append([
            str(index), name,
            *(there if target is None else [str(after.names.index(target)), target]),
        ])  # fmt: skip
    print(columns(rows, "><><"))
    if new:
        print(f"only in {after.name}: {', '.join(new)}")
    return 0


def _mapping(before: str, after: str) -> LabelMapping:
    """The mapping between two names, files or checkpoints."""
    if (before, after) in shipped_mappings():
        return load_mapping(before, after)
    from_set, _ = _label_set(before)
    if _is_mapping(after):
        return chosen_mapping(from_set, after)
    to_set, _ = _label_set(after)
    return mapping_by_name(from_set, to_set)


def _is_mapping(source: str) -> bool:
    """Whether a file holds a mapping, and no label set."""
    from fafnet_core.settings import read_settings

    path = Path(source).expanduser()
    is_text = path.is_file() and path.suffix.lower() != _CHECKPOINT
    return is_text and "classes" in read_settings(path).keys("")


def _label_set(source: str) -> tuple[LabelSet, str]:
    """A label set by name, from its file, or of a checkpoint; and who defined it."""
    if source in shipped_label_sets():
        return load_label_set(source), source_of(source)
    if source == _DEFAULT or source.startswith("hf:") or source.endswith(_CHECKPOINT):
        from fafnet_core.checkpoints.checkpoint import read_metadata  # imports PyTorch

        return read_metadata(source).label_set, f"The classes of the checkpoint {source}."
    path = Path(source).expanduser()
    if not path.is_file():
        return load_label_set(source), ""  # its error
    return read_label_set(path)


def _indented(text: str) -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False,
        break_long_words=False,
    )  # fmt: skip
