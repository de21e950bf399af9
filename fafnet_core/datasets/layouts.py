"""Which layout a folder has: each known one is tried, and the error says what each one lacked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from fafnet_core.datasets.checks import HhaOrder, HhaSource
from fafnet_core.datasets.label_images import FirstLabel
from fafnet_core.datasets.prepared_layouts import FolderLayout, folder_layouts
from fafnet_core.datasets.samples import RgbdSegmentationDataset
from fafnet_core.datasets.splits import Split
from fafnet_core.labels import NYU40, SUN37, LabelSet
from fafnet_core.nearest import unknown_name

LayoutName = Literal["auto", "original", "prepared", "sa-gate", "dformer", "esanet", "fafnet"]


@dataclass(frozen=True, kw_only=True)
class LayoutOptions:
    """How to read a folder, whatever its layout.

    Attributes:
        validation: fraction of the official training split that becomes "val".
        hha_order: which channel of ready HHA is disparity: "rgb" red, "bgr" blue, "check" makes
            sure of red. Only for folders made for other projects.
        first_label: value of the first class in label images, 1 (0 = unlabelled) or 0 (255 =
            unlabelled); None: as the layout has it. Only for folders made for other projects.
        hha: "ready" takes the HHA that such a folder has, if any; "depth" has it made of depth.
    """

    validation: float = 0.1
    hha_order: HhaOrder = "check"
    first_label: FirstLabel | None = None
    hha: HhaSource = "ready"


@dataclass(frozen=True)
class Layout:
    """One layout of a data set.

    Attributes:
        name: what a configuration calls it.
        description: what people call it.
        missing: what of it a folder lacks; nothing: the folder has this layout.
        open: opens a split of a folder that has it.
    """

    name: str
    description: str
    missing: Callable[[Path], list[str]]
    open: Callable[[Path, Split, LayoutOptions], RgbdSegmentationDataset]


def open_layout(
    root: Path,
    split: Split,
    options: LayoutOptions,
    layouts: Sequence[Layout],
    *,
    layout: str = "auto",
) -> RgbdSegmentationDataset:
    """Open a split of a folder in the first layout that fits, or in the one that is named.

    Raises:
        FileNotFoundError: no such folder, or no layout fits; the message says what each lacks.
        ValueError: no such layout, or what `Layout.open` raises.
    """
    by_name = {candidate.name: candidate for candidate in layouts}
    if layout != "auto" and layout not in by_name:
        raise ValueError(unknown_name("layout", layout, ["auto", *by_name]))
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}")
    tried = layouts if layout == "auto" else [by_name[layout]]
    lacking = []
    for candidate in tried:
        absent = candidate.missing(root)
        if not absent:
            dataset = candidate.open(root, split, options)
            dataset.layout = candidate.name
            return dataset
        lacking.append(f"'{candidate.name}' ({candidate.description}) lacks {', '.join(absent)}")
    raise FileNotFoundError(
        f"{root} is in no layout that is known; tried {len(tried)}: {'; '.join(lacking)}"
    )


def nyuv2_layouts() -> list[Layout]:
    """Return the layouts of NYU-Depth V2."""
    from fafnet_core.datasets.nyuv2 import missing_files

    return [
        _prepared(NYU40),
        Layout("original", "nyu_depth_v2_labeled.mat", missing_files, _open_nyuv2),
        *map(partial(_of_folder, NYU40), folder_layouts(NYU40)),
    ]


def sunrgbd_layouts() -> list[Layout]:
    """Return the layouts of SUN RGB-D."""
    from fafnet_core.datasets.sunrgbd import missing_files

    return [
        _prepared(SUN37),
        Layout("original", "SUNRGBD/ and its toolbox", missing_files, _open_sunrgbd),
        *map(partial(_of_folder, SUN37), folder_layouts(SUN37)),
    ]


def _open_nyuv2(root: Path, split: Split, options: LayoutOptions) -> RgbdSegmentationDataset:
    from fafnet_core.datasets.nyuv2 import NYUv2

    _check_nothing_to_set(options, "the original download")
    return NYUv2(root, split, validation=options.validation)


def _open_sunrgbd(root: Path, split: Split, options: LayoutOptions) -> RgbdSegmentationDataset:
    from fafnet_core.datasets.sunrgbd import SUNRGBD

    _check_nothing_to_set(options, "the original download")
    return SUNRGBD(root, split, validation=options.validation)


def _prepared(label_set: LabelSet) -> Layout:
    def missing(root: Path) -> list[str]:
        from fafnet_core.datasets.prepare.journal import is_prepared

        return [] if is_prepared(root) else ["manifest.json"]

    def open_prepared(root: Path, split: Split, options: LayoutOptions) -> RgbdSegmentationDataset:
        from fafnet_core.datasets.prepared import PreparedFolder

        _check_nothing_to_set(options, "a folder that fafnet prepare wrote")
        dataset = PreparedFolder(root, split, validation=options.validation)
        if dataset.label_set != label_set:
            raise ValueError(
                f"{root} holds label set '{dataset.label_set.name}', wanted '{label_set.name}';"
                " choose the data set that it was prepared from"
            )
        return dataset

    return Layout("prepared", "written by fafnet prepare", missing, open_prepared)


def _of_folder(label_set: LabelSet, layout: FolderLayout) -> Layout:
    def open_folder(root: Path, split: Split, options: LayoutOptions) -> RgbdSegmentationDataset:
        return layout.open(
            root,
            split,
            label_set=label_set,
            validation=options.validation,
            hha_order=options.hha_order,
            first_label=options.first_label,
            hha=options.hha,
        )

    return Layout(layout.name, f"made for {layout.made_for}", layout.missing, open_folder)


def _check_nothing_to_set(options: LayoutOptions, what: str) -> None:
    if replace(options, validation=0) != LayoutOptions(validation=0):
        raise ValueError(
            f"hha, hha_order and first_label are for folders made for other projects, not for"
            f" {what}, which is known: leave them out"
        )
