"""What a training is made of: the sections of `config/*.yaml`, typed and checked.

model:          a preset, and any field of `FAFNetConfig`
data:           `name` of a data set, and the fields of its configuration
auxiliary:      another data set whose frames are mixed in, and their `share`; none by default
normalisation:  what both inputs go through
transform:      the augmentation
train:          iterations, batches, arithmetic, optimiser, schedule, what is written when
evaluate:       the validation that chooses the best network
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml

from fafnet_core.augmentation import TransformConfig
from fafnet_core.camera import Size
from fafnet_core.datasets.catalogue import DATA_SETS, DataConfig
from fafnet_core.datasets.mapped import MappedFrames
from fafnet_core.datasets.mixed import MixedFrames
from fafnet_core.evaluation.evaluate import EvaluateConfig
from fafnet_core.labels import LabelSet
from fafnet_core.labels.mappings import mapping_onto
from fafnet_core.models.ablation import ablation
from fafnet_core.models.config import FAFNetConfig, preset_config
from fafnet_core.nearest import unknown_name
from fafnet_core.normalisation import Normalisation
from fafnet_core.samples import RgbdSegmentationDataset
from fafnet_core.settings import (
    FieldError,
    Setting,
    check_fields,
    field_types,
    plain_values,
    read_section,
    read_settings,
    read_values,
)
from fafnet_core.training.loss import LossConfig
from fafnet_core.training.optimiser import OptimiserConfig
from fafnet_core.training.schedule import ScheduleConfig

Precision = Literal["float32", "bfloat16", "float16"]
Levels = Literal["imagenet", "unit", "symmetric"]
Count = Annotated[int, "1 <= x"]
CountFrom0 = Annotated[int, "0 <= x"]


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network, and what its weights start from.

    Attributes:
        preset: the name of a preset (`fafnet info` lists them).
        arm: an arm of the paper's ablation, such as "no-fam", applied to the preset.
        pretrained: ImageNet weights for the backbones: a file, a folder or "hf://owner/name".
        init: a checkpoint of this project to start from, such as "default": of the same network,
            whatever its classes; those of the same name start from their old weights.
        init_share: the share of `init`'s weights in the network that is validated and written,
            0 <= x < 1 (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).
        changes: fields of `FAFNetConfig` that differ from the preset's.
    """

    preset: str = "fafnet-nano"
    arm: str | None = None
    pretrained: str | None = None
    init: str | None = None
    init_share: Annotated[float, "0 <= x < 1"] = 0.0
    changes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.init_share and self.init is None:
            raise FieldError(
                "init_share",
                f"init_share is {self.init_share:g}, a share of the weights of init, and there is"
                " no init",
            )
        if self.pretrained is not None and self.init is not None:
            raise ValueError(
                "pretrained and init both fill the backbones; init holds the whole network, so"
                " leave pretrained out"
            )
        self.network()

    def network(self, num_classes: int | None = None) -> FAFNetConfig:
        """The network's configuration, for this number of classes.

        Raises:
            ValueError: the configuration itself names another number of classes.
        """
        config = preset_config(self.preset)
        if self.arm is not None:
            config = ablation(config, self.arm)
        config = dataclasses.replace(config, **self.changes)
        if num_classes is None:
            return config
        if self.changes.get("num_classes", num_classes) != num_classes:
            raise ValueError(
                f"model.num_classes is {self.changes['num_classes']}, but the data set has"
                f" {num_classes} classes; leave the key out"
            )
        return dataclasses.replace(config, num_classes=num_classes)

    def to_dict(self) -> dict[str, Any]:
        """The section as it would be written."""
        values = plain_values(self)
        changes = values.pop("changes")
        return {**values, **changes}


@dataclass(frozen=True, kw_only=True)
class NormalisationConfig:
    """What the 8-bit images go through; it travels in every checkpoint.

    Attributes:
        rgb: "imagenet", ImageNet's mean and deviation; "unit", only divided by 255; "symmetric",
            -1 to 1, as TensorFlow's networks are trained.
        hha: the same; the authors' release has "unit" here.
    """

    rgb: Levels = "imagenet"
    hha: Levels = "imagenet"

    def __post_init__(self) -> None:
        check_fields(self)

    def build(self) -> Normalisation:
        """The normalisation as networks and checkpoints have it."""
        imagenet = Normalisation()
        numbers = {
            "imagenet": (imagenet.rgb_mean, imagenet.rgb_deviation),
            "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
            "symmetric": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        }
        return Normalisation(*numbers[self.rgb], *numbers[self.hha])


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The training itself.

    Attributes:
        iterations: updates of the weights.
        batch_size: frames of one update, over all processes and micro-batches.
        accumulate: micro-batches that the share of a process is split into.
        seed: of the first weights, of order and augmentation, and of dropout; one word of NumPy's
            SeedSequence.
        precision: arithmetic of forward and backward; weights and their updates are float32.
            float16 needs a GPU, and scales the loss.
        optimiser: kind, momentum, weight decay.
        schedule: the rate over the iterations.
        loss: the loss and its weights.
        clip_norm: largest norm of the gradient; None: no limit.
        sync_batch_norm: batch statistics over all processes, where several train on GPUs.
        freeze_norm: batch norms use their running statistics and leave them; scales and shifts
            still learn. Without it the statistics are those of one micro-batch.
        ema: decay of a running average of the weights, which is then what is validated and
            written; None: without.
        validate_every: iterations between validations; also after the last one. 0: never.
        save_every: iterations between states to resume from; also after the last one.
        log_every: iterations of one line in the log.
        keep: states to keep.
        pictures: frames of the validation split that are drawn at every validation.
        workers: processes that read and augment, for each process that trains.
        threads: processor threads of PyTorch; None: its own choice.
        channels_last: the memory layout in which convolutions are faster.
        compile: compile the network with `torch.compile`.
        deterministic: use operations that give the same result in every run, where PyTorch has
            them (slower on a GPU).
    """

    iterations: Count = 40_000
    batch_size: Count = 8
    accumulate: Count = 1
    seed: Annotated[int, "0 <= x < 4294967296"] = 0
    precision: Precision = "float32"
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    clip_norm: Annotated[float, "0 < x"] | None = None
    sync_batch_norm: bool = True
    freeze_norm: bool = False
    ema: Annotated[float, "0 < x < 1"] | None = None
    validate_every: CountFrom0 = 1000
    save_every: Count = 500
    log_every: Count = 20
    keep: Count = 2
    pictures: CountFrom0 = 4
    workers: CountFrom0 = 2
    threads: Count | None = None
    channels_last: bool = True
    compile: bool = False
    deterministic: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        self.micro_batch(world=1)

    def micro_batch(self, world: int) -> int:
        """Frames of one forward pass of one of `world` processes.

        Raises:
            ValueError: the batch does not divide evenly.
        """
        parts = world * self.accumulate
        if self.batch_size % parts:
            raise FieldError(
                "batch_size",
                f"batch_size is {self.batch_size}, which cannot be split evenly over {world}"
                f" {'processes' if world > 1 else 'process'} with {self.accumulate} micro-batches"
                f" each (accumulate); take a multiple of {parts}",
            )
        return self.batch_size // parts


@dataclass(frozen=True, kw_only=True)
class AuxiliaryData:
    """A second data set to train on; validation and test know nothing of it.

    Attributes:
        data: the data set; its classes are those of the main one, unless `label_map` is given.
        share: of the training frames that come from it, 0 < share < 1.
        label_map: brings its classes to those of the main one: new names by old ones, null for
            unlabelled; or the file of a mapping; or a label set that ships, to which a mapping
            ships. What it leaves as it is goes to the class of the same name, or is unlabelled.
    """

    data: DataConfig
    share: Annotated[float, "0 < x < 1"] = 0.25
    label_map: str | dict[str, str | None] = field(default_factory=dict)

    def open(self, label_set: LabelSet) -> RgbdSegmentationDataset:
        """Return its training split, with the classes of `label_set` where they are mapped.

        Raises:
            ValueError: the data set cannot be read, or `label_map` does not fit.
        """
        dataset = self.data.open("train")
        if not self.label_map:
            return dataset
        try:
            mapping = mapping_onto(dataset.label_set, label_set, self.label_map)
        except (ValueError, FileNotFoundError) as error:
            raise ValueError(f"auxiliary.label_map: {error}") from error
        return MappedFrames(dataset, mapping)


@dataclass(frozen=True, kw_only=True)
class Config:
    """A whole training; the sections of the file, in its order."""

    data: DataConfig
    auxiliary: AuxiliaryData | None = None
    model: ModelConfig = field(default_factory=ModelConfig)
    normalisation: NormalisationConfig = field(default_factory=NormalisationConfig)
    transform: TransformConfig = field(default_factory=TransformConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    @property
    def data_name(self) -> str:
        """The name of the data set in the `data` section."""
        return _name_of(self.data)

    @property
    def input_size(self) -> Size | None:
        """The frames' size in validation and in the checkpoint: `evaluate`'s or `transform`'s."""
        return self.evaluate.input_size or self.transform.input_size

    def open_training_data(self) -> RgbdSegmentationDataset:
        """The training split of `data`, with the frames of `auxiliary` mixed in."""
        dataset = self.data.open("train")
        if self.auxiliary is None:
            return dataset
        return MixedFrames(dataset, self.auxiliary.open(dataset.label_set), self.auxiliary.share)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain values; `read_config` reads them again from a file."""
        values: dict[str, Any] = {
            "model": self.model.to_dict(),
            "data": {"name": self.data_name, **plain_values(self.data)},
        }
        if (more := self.auxiliary) is not None:
            own = {"name": _name_of(more.data), "share": more.share}
            values["auxiliary"] = {**own, **plain_values(more.data)}
            if more.label_map:
                values["auxiliary"]["label_map"] = more.label_map
        return {**values, **{name: plain_values(getattr(self, name)) for name in _SECTIONS}}

    def to_yaml(self) -> str:
        """The text of a file that `read_config` reads as this configuration."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)


_SECTIONS: Mapping[str, type] = {
    "normalisation": NormalisationConfig,
    "transform": TransformConfig,
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
}
"""Those that are read and written as their dataclass says, without more."""


def _name_of(data: DataConfig) -> str:
    names = [name for name, kind in DATA_SETS.items() if kind is type(data)]
    return names[0] if names else type(data).__name__


def read_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a training's configuration.

    Args:
        path: a YAML file.
        overrides: `key.path=value`, as in "train.schedule.kind=poly"; the last one wins.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown key, a wrong value, a missing one; the message names the file, the
            line and the key, and the nearest known one.
    """
    settings = read_settings(path, overrides)
    known = field_types(Config)
    for key, found in settings.keys("").items():
        if key not in known:
            raise found.error(unknown_name("section", key, known))
    auxiliary = settings.section("auxiliary")
    return Config(
        model=_read_model(settings.section("model")),
        data=_read_data(settings.section("data"), "data"),
        auxiliary=_read_auxiliary(auxiliary) if auxiliary.keys("auxiliary") else None,
        **{
            name: read_section(kind, settings.section(name), name)
            for name, kind in _SECTIONS.items()
        },
    )


def _read_model(section: Setting) -> ModelConfig:
    own = {name: kind for name, kind in field_types(ModelConfig).items() if name != "changes"}
    values = read_values({**own, **field_types(FAFNetConfig)}, section, "model")
    chosen = {key: values.pop(key) for key in own if key in values}
    with section.blamed("model"):
        return ModelConfig(**chosen, changes=values)


def _read_auxiliary(section: Setting) -> AuxiliaryData:
    own, data = section.split("share", "label_map")
    values = read_values(field_types(AuxiliaryData), own, "auxiliary")
    return AuxiliaryData(data=_read_data(data, "auxiliary"), **values)


def _read_data(section: Setting, name: str) -> DataConfig:
    chosen, rest = section.split("name")
    (kind,) = read_values({"name": str}, chosen, name).values() or ("",)
    if kind not in DATA_SETS:
        raise chosen.section("name").error(unknown_name("data set", kind, DATA_SETS))
    return read_section(DATA_SETS[kind], rest, name)
