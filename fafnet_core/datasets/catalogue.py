"""The `data:` section of a configuration: the data sets by name, and the settings of each.

`name` chooses a data set, the other keys are the fields of its dataclass. Before `open`, nothing is
read and no library of the extra "data" is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol

from fafnet_core.datasets.checks import check_every_frame, name_some
from fafnet_core.datasets.folder import FolderLayout
from fafnet_core.datasets.mapped import MappedFrames
from fafnet_core.datasets.nyuv2 import NYUV2, OfficialCrop
from fafnet_core.datasets.prepared import PREPARED
from fafnet_core.datasets.specification import DataSetSpecification, ReadingOptions
from fafnet_core.datasets.sunrgbd import SUN_RGBD
from fafnet_core.labels import load_label_set
from fafnet_core.labels.mappings import chosen_mapping
from fafnet_core.rooms.dataset import SyntheticData
from fafnet_core.samples import RgbdSegmentationDataset, Split
from fafnet_core.settings import FieldError

LayoutName = Literal["auto", "original", "prepared", "sa-gate", "dformer", "esanet", "fafnet"]


class DataConfig(Protocol):
    """The settings of a data set; a frozen dataclass."""

    def open(self, split: Split) -> RgbdSegmentationDataset:
        """Return a split of the data set, once it is checked."""
        ...


@dataclass(frozen=True, kw_only=True)
class _FolderSettings(ReadingOptions):
    """The settings of any data set in a folder, besides `ReadingOptions`.

    Attributes:
        root: the folder, relative to the working directory; `~` is the home folder.
        label_map: merges and drops classes: new names by old ones, null for unlabelled; or the file
            of a mapping; or a label set that ships, to which a mapping ships (docs/own-classes.md).
    """

    root: str
    label_map: str | dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.root:
            raise FieldError("root", "root is empty; wanted the data set's folder")

    @property
    def folder(self) -> Path:
        """The folder, with `~` replaced."""
        return Path(self.root).expanduser()

    def _checked(self, dataset: RgbdSegmentationDataset) -> RgbdSegmentationDataset:
        if self.check == "all":
            absent = check_every_frame(dataset)
            if absent:
                notice = f"no pixel of {len(dataset)} frames is {name_some(absent)}"
                dataset.notices = (*dataset.notices, notice)
        if not self.label_map:
            return dataset
        try:
            mapping = chosen_mapping(dataset.label_set, self.label_map)
        except (ValueError, FileNotFoundError) as error:
            raise ValueError(f"label_map: {error}") from error
        return MappedFrames(dataset, mapping)


@dataclass(frozen=True, kw_only=True)
class _PublishedData(_FolderSettings):
    """The settings of a published data set.

    Attributes:
        layout: of its files: "original" (the download), "prepared" (by `fafnet prepare`),
            "sa-gate", "dformer", "esanet", "fafnet"; or "auto", the first that fits.
    """

    layout: LayoutName = "auto"


@dataclass(frozen=True, kw_only=True)
class NYUv2Data(_PublishedData):
    """NYU-Depth V2, 40 classes.

    Attributes:
        crop: read the official crop, 561x427, instead of the whole frames of 640x480.
    """

    crop: bool = False

    def open(self, split: Split) -> RgbdSegmentationDataset:
        """Return a split; see `DataSetSpecification.open`."""
        dataset = NYUV2.open(self.folder, split, self, layout=self.layout)
        return self._checked(OfficialCrop(dataset) if self.crop else dataset)


@dataclass(frozen=True, kw_only=True)
class SUNRGBDData(_PublishedData):
    """SUN RGB-D, 37 classes."""

    def open(self, split: Split) -> RgbdSegmentationDataset:
        """Return a split; see `DataSetSpecification.open`."""
        return self._checked(SUN_RGBD.open(self.folder, split, self, layout=self.layout))


@dataclass(frozen=True, kw_only=True)
class OwnData(_FolderSettings):
    """A data set of your own: a folder that `fafnet prepare` wrote, or one of image files.

    Attributes:
        labels: its classes: a label set that ships ("nyu40"), or the file of one
            (docs/own-classes.md).
        layout: where its images and lists are, and which camera took them.
    """

    labels: str = "nyu40"
    layout: FolderLayout = field(default_factory=FolderLayout)

    def open(self, split: Split) -> RgbdSegmentationDataset:
        """Return a split; see `DataSetSpecification.open`."""
        specification = DataSetSpecification(
            name=self.root, label_set=load_label_set(self.labels), layouts=(PREPARED, self.layout)
        )
        return self._checked(specification.open(self.folder, split, self))


DATA_SETS: Mapping[str, type[DataConfig]] = MappingProxyType(
    {"nyuv2": NYUv2Data, "sunrgbd": SUNRGBDData, "synthetic": SyntheticData, "folder": OwnData}
)
"""The data sets by the name that a configuration calls them."""
