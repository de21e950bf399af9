"""What a data set states about itself: its classes, splits, layouts and cameras.

NYU-Depth V2 (`nyuv2.NYUV2`) and SUN RGB-D (`sunrgbd.SUN_RGBD`) state theirs. So can a data set of
your own (`folder`), in Python or as the `data:` section of a configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

from fafnet_core.camera import Camera
from fafnet_core.datasets.splits import check_fraction
from fafnet_core.labels import LabelSet
from fafnet_core.nearest import unknown_name
from fafnet_core.samples import RgbdSegmentationDataset, Split

FirstLabel = Literal[0, 1]
"""Value of the first class in label images: 1 (0 = unlabelled) or 0 (255 = unlabelled)."""

HhaOrder = Literal["check", "rgb", "bgr"]
"""Which channel of a ready HHA image is disparity: "rgb" red, "bgr" blue; "check" makes sure of
red."""

HhaSource = Literal["ready", "depth"]
"""Where a folder's HHA comes from: it is "ready" there, or made of "depth"."""


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """How to read a data set, whatever its layout.

    Attributes:
        validation: fraction of the official training split that becomes the split "val",
            0 <= validation < 1; whole scenes where they are known.
        hha_order: which channel of ready HHA is disparity: "rgb" red, "bgr" blue, "check" makes
            sure of red.
        first_label: value of the first class in label images, 1 (0 = unlabelled) or 0 (255 =
            unlabelled); None: as the layout has it.
        hha: "ready" takes the HHA of a folder that has some; "depth" has it made of the folder's
            metric depth, for training, validation and test alike.

    Raises:
        ValueError: a field has a value that is not allowed; the message says what is.
    """

    validation: float = 0.1
    hha_order: HhaOrder = "check"
    first_label: FirstLabel | None = None
    hha: HhaSource = "ready"

    def __post_init__(self) -> None:
        check_choices(self, {"hha_order": HhaOrder, "hha": HhaSource})
        check_fraction(self.validation)
        if isinstance(self.first_label, bool) or self.first_label not in (None, 0, 1):
            raise ValueError(f"first_label is {self.first_label!r}; wanted 0, 1 or null")


def check_choices(settings: object, choices: Mapping[str, object]) -> None:
    """Refuse fields whose value is none of their `Literal` (ValueError)."""
    for name, allowed in choices.items():
        if (value := getattr(settings, name)) not in get_args(allowed):
            raise ValueError(unknown_name(name, str(value), get_args(allowed)))


class Layout(Protocol):
    """One way in which the files of a data set lie in a folder."""

    @property
    def name(self) -> str:
        """What a configuration calls it."""
        ...

    @property
    def description(self) -> str:
        """What people call it."""
        ...

    def missing(self, root: Path) -> list[str]:
        """Return what of it a folder lacks; nothing: the folder has this layout."""
        ...

    def open(
        self,
        root: Path,
        split: Split,
        specification: DataSetSpecification,
        options: ReadingOptions,
    ) -> RgbdSegmentationDataset:
        """Open a split of a folder that has it."""
        ...


@dataclass(frozen=True)
class FixedLayout:
    """A layout that leaves nothing to say: its labels, its HHA and its cameras are known.

    Attributes:
        name: see `Layout`, and `description`, `missing`.
        read: opens a split of a folder; the third argument is `ReadingOptions.validation`.
    """

    name: str
    description: str
    missing: Callable[[Path], list[str]]
    read: Callable[[Path, Split, float], RgbdSegmentationDataset]

    def open(
        self,
        root: Path,
        split: Split,
        specification: DataSetSpecification,
        options: ReadingOptions,
    ) -> RgbdSegmentationDataset:
        """Open a split (ValueError: an option is set that only other layouts have)."""
        if (options.hha_order, options.first_label, options.hha) != ("check", None, "ready"):
            raise ValueError(
                "hha, hha_order and first_label are for folders made for other projects, not for"
                f" this one ({self.description}), which is known: leave them out"
            )
        return self.read(root, split, options.validation)


@dataclass(frozen=True, kw_only=True, eq=False)
class DataSetSpecification:
    """What a data set states.

    Attributes:
        name: what people call it.
        label_set: its classes.
        layouts: how its files may lie, in the order in which they are tried.
        frames: numbers of official training and test frames; None: any.
        sensor: what recorded it, where all of it is of one; else "".
        cameras: of images of their size whose folder states no camera.
    """

    name: str
    label_set: LabelSet
    layouts: tuple[Layout, ...]
    frames: tuple[int, int] | None = None
    sensor: str = ""
    cameras: tuple[Camera, ...] = ()

    def open(
        self, root: Path, split: Split, options: ReadingOptions, *, layout: str = "auto"
    ) -> RgbdSegmentationDataset:
        """Open a split of a folder in the first layout that fits, or in the one that is named.

        Raises:
            FileNotFoundError: no such folder, or no layout fits; the message says what each lacks.
            ValueError: no such layout, other classes, or what `Layout.open` raises.
        """
        names = [candidate.name for candidate in self.layouts]
        if layout not in ("auto", *names):
            raise ValueError(unknown_name("layout", layout, ["auto", *names]))
        if not root.is_dir():
            raise FileNotFoundError(f"there is no folder {root}")
        tried = [candidate for candidate in self.layouts if layout in ("auto", candidate.name)]
        lacking = []
        for candidate in tried:
            absent = candidate.missing(root)
            if not absent:
                return self._opened(candidate, root, split, options)
            lacking.append(
                f"'{candidate.name}' ({candidate.description}) lacks {', '.join(absent)}"
            )
        raise FileNotFoundError(
            f"{root} is in no layout that is known; tried {len(tried)}: {'; '.join(lacking)}"
        )

    def _opened(
        self, layout: Layout, root: Path, split: Split, options: ReadingOptions
    ) -> RgbdSegmentationDataset:
        dataset = layout.open(root, split, self, options)
        if dataset.label_set != self.label_set:
            raise ValueError(
                f"{root} holds label set '{dataset.label_set.name}', wanted"
                f" '{self.label_set.name}'; choose the data set that it was prepared from"
            )
        dataset.layout = layout.name
        return dataset
