"""The `data:` section of a configuration: the data sets by name, and what can be set of each.

`name` chooses a data set, the other keys are the fields of its dataclass. Nothing is read, and no
library of the extra "data" is imported, before `open`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, get_args

from fafnet_core.datasets.checks import Check, HhaOrder, HhaSource
from fafnet_core.datasets.full_check import check_every_frame
from fafnet_core.datasets.label_images import FirstLabel
from fafnet_core.datasets.layouts import (
    LayoutName,
    LayoutOptions,
    nyuv2_layouts,
    open_layout,
    sunrgbd_layouts,
)
from fafnet_core.datasets.nyuv2 import OfficialCrop
from fafnet_core.datasets.samples import RgbdSegmentationDataset
from fafnet_core.datasets.splits import Split
from fafnet_core.nearest import unknown_name
from fafnet_core.rooms.dataset import SyntheticData


class DataConfig(Protocol):
    """What can be set of a data set; a frozen dataclass."""

    def open(self, split: Split) -> RgbdSegmentationDataset:
        """Return a split of the data set, having checked it."""
        ...


@dataclass(frozen=True, kw_only=True)
class FolderData:
    """What can be set of a data set in a folder.

    Attributes:
        root: the folder, relative to the working directory; `~` is the home folder.
        layout: how its files lie: "original" (the download), "prepared" (by `fafnet prepare`),
            "sa-gate", "dformer", "esanet", "fafnet", or "auto", which finds out.
        validation: fraction of the official training split that becomes the split "val", 0 up to,
            not with, 1; whole scenes where they are known.
        hha_order: which channel of ready HHA is disparity: "rgb" red, "bgr" blue, "check" makes
            sure of red.
        first_label: value of the first class in label images, 1 (0 = unlabelled) or 0 (255 =
            unlabelled); None: as the layout has it.
        hha: "ready" takes the HHA of a folder that has some; "depth" has it made of the folder's
            metric depth, for training, validation and test alike.
        check: frames that are read when a split is opened: "some", seven of them, or "all", which
            finds every label that is no class and every damaged image before training begins.

    Raises:
        ValueError: a field has a value that is not allowed; the message says what is.
    """

    root: str
    layout: LayoutName = "auto"
    validation: float = 0.1
    hha_order: HhaOrder = "check"
    first_label: FirstLabel | None = None
    hha: HhaSource = "ready"
    check: Check = "some"

    def __post_init__(self) -> None:
        if not isinstance(self.root, str) or not self.root:
            raise ValueError(f"root is {self.root!r}; wanted the data set's folder")
        choices = {"layout": LayoutName, "hha_order": HhaOrder, "hha": HhaSource, "check": Check}
        for name, allowed in choices.items():
            if (value := getattr(self, name)) not in get_args(allowed):
                raise ValueError(unknown_name(name, str(value), get_args(allowed)))
        fraction: Any = self.validation
        if isinstance(fraction, bool) or not isinstance(fraction, (int, float)):
            raise ValueError(f"validation is {fraction!r}; wanted a fraction such as 0.1")
        if not 0 <= fraction < 1:
            raise ValueError(f"validation is {fraction}; wanted 0 up to, not with, 1")
        if isinstance(self.first_label, bool) or self.first_label not in (None, 0, 1):
            raise ValueError(f"first_label is {self.first_label!r}; wanted 0, 1 or null")

    @property
    def folder(self) -> Path:
        """The folder, with `~` replaced."""
        return Path(self.root).expanduser()

    @property
    def _options(self) -> LayoutOptions:
        return LayoutOptions(
            validation=self.validation,
            hha_order=self.hha_order,
            first_label=self.first_label,
            hha=self.hha,
        )

    def _checked(self, dataset: RgbdSegmentationDataset) -> RgbdSegmentationDataset:
        if self.check == "all":
            check_every_frame(dataset)
        return dataset


@dataclass(frozen=True, kw_only=True)
class NYUv2Data(FolderData):
    """NYU-Depth V2, 40 classes.

    Attributes:
        crop: read the official crop, 561x427, and not the whole frames of 640x480.
    """

    crop: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.crop, bool):
            raise ValueError(f"crop is {self.crop!r}; wanted true or false")

    def open(self, split: Split) -> RgbdSegmentationDataset:
        """Return a split; see `fafnet_core.datasets.layouts.open_layout`."""
        dataset = open_layout(
            self.folder, split, self._options, nyuv2_layouts(), layout=self.layout
        )
        return self._checked(OfficialCrop(dataset) if self.crop else dataset)


@dataclass(frozen=True, kw_only=True)
class SUNRGBDData(FolderData):
    """SUN RGB-D, 37 classes."""

    def open(self, split: Split) -> RgbdSegmentationDataset:
        """Return a split; see `fafnet_core.datasets.layouts.open_layout`."""
        dataset = open_layout(
            self.folder, split, self._options, sunrgbd_layouts(), layout=self.layout
        )
        return self._checked(dataset)


DATA_SETS: Mapping[str, type[DataConfig]] = MappingProxyType(
    {"nyuv2": NYUv2Data, "sunrgbd": SUNRGBDData, "synthetic": SyntheticData}
)
"""The data sets by the name that a configuration calls them."""
