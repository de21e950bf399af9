"""What a data set states about itself: its classes, splits, layouts and cameras.

NYU-Depth V2 (`nyuv2.NYUV2`), SUN RGB-D (`sunrgbd.SUN_RGBD`), and a data set of your own, in Python
or as the `data:` section of a configuration (`catalogue.OwnData`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Protocol

from fafnet_core.camera import Camera
from fafnet_core.labels import LabelSet
from fafnet_core.nearest import unknown_name
from fafnet_core.samples import RgbdSegmentationDataset, Split
from fafnet_core.settings import check_fields

FirstLabel = Literal[0, 1]
"""Value of the first class in label images: 1 (0 = unlabelled) or 0 (255 = unlabelled)."""

HhaSource = Literal["ready", "depth"]
"""Where a folder's HHA comes from: it is "ready" there, or made of "depth"."""


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """How to read a data set, whatever its layout.

    Attributes:
        validation: fraction of the official training split that becomes the split "val"; whole
            scenes where they are known.
        hha_order: which channel of ready HHA is disparity: "rgb" red, "bgr" blue; "check" reads
            red, and refuses images whose disparity is probably in blue.
        first_label: see `FirstLabel`; None: as the layout has it.
        hha: "ready" takes the HHA of a folder that has some; "depth" has it made of the folder's
            metric depth, for training, validation and test alike.
        check: frames that are read when a split is opened: "some", seven of them, or "all", which
            finds every wrong label and every damaged image before training begins.

    Raises:
        FieldError: a field has a value that is not allowed; the message says what is.
    """

    validation: Annotated[float, "0 <= x < 1"] = 0.1
    hha_order: Literal["check", "rgb", "bgr"] = "check"
    first_label: FirstLabel | None = None
    hha: HhaSource = "ready"
    check: Literal["some", "all"] = "some"

    def __post_init__(self) -> None:
        check_fields(self)


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
        """Return the files and folders of the layout that `root` lacks."""
        ...

    def open(
        self,
        root: Path,
        split: Split,
        specification: DataSetSpecification,
        options: ReadingOptions,
    ) -> RgbdSegmentationDataset:
        """Open a split of a folder that has this layout."""
        ...


@dataclass(frozen=True)
class FixedLayout:
    """A layout without options: its labels, its HHA and its cameras are known.

    Attributes:
        name: see `Layout`, also for `description` and `missing`.
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
        """Open a split (ValueError: an option of other layouts is set)."""
        if (options.hha_order, options.first_label, options.hha) != ("check", None, "ready"):
            raise ValueError(
                "hha, hha_order and first_label are for folders made for other projects, not for"
                f" this one ({self.description}): leave them out"
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
        sensor: what recorded it; "" if there were several.
        cameras: for images of their size in folders without a camera file.
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
            ValueError: no such layout, other classes, or as `Layout.open`.
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
            f"{root} has no known layout; tried {len(tried)}: {'; '.join(lacking)}"
        )

    def _opened(
        self, layout: Layout, root: Path, split: Split, options: ReadingOptions
    ) -> RgbdSegmentationDataset:
        dataset = layout.open(root, split, self, options)
        if dataset.label_set != self.label_set:
            raise ValueError(
                f"{root} has the label set '{dataset.label_set.name}'; wanted"
                f" '{self.label_set.name}': choose the data set that it was prepared from"
            )
        dataset.layout = layout.name
        return dataset
