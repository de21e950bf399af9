"""What a FAFNet is made of: one typed, checked configuration, and the presets the package ships.

The defaults are the network of the paper (section 4.2: two ResNet-101s, 40 classes of NYUv2). The
switches of its ablation (section 4.3, table 1) are `fusion_alignment`, `decoder_alignment` and
`acfm`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal

from fafnet_core.nearest import unknown_name
from fafnet_core.settings import FieldError, check_fields, field_types, plain_values

Variant = Literal["paper", "release"]
Modality = Literal["rgbd", "rgb", "hha"]
Fusion = Literal["rgbd_fuse", "sum"]
Decoder = Literal["aligned", "deeplabv3plus"]
Join = Literal["concatenate", "sum", "separable"]
OutputStride = Literal[8, 16, 32]
Alignment = Literal["flow", "zero_flow", "none"]
Warp = Literal["both", "depth_only"]

RESNETS = tuple(f"resnet{depth}{stem}" for stem in ("", "_v1c") for depth in (18, 34, 50, 101, 152))
MOBILENETS = ("mobilenet_v2", "mobilenet_multi_avg")
OWN_BACKBONES = RESNETS + MOBILENETS
TIMM = "timm/"
"""What the name of a backbone from timm begins with."""

# A configuration may come from a stranger's file: what no machine could build is refused.
_Count = Annotated[int, "1 <= x <= 4096"]
_MOST_GRIDS = 16

_VARIANT: Any = None
"""Default of a field whose value is the variant's own."""

_OF_VARIANT: Mapping[Variant, Mapping[str, str]] = MappingProxyType(
    {
        "paper": {"backbone": "resnet101", "warp": "both"},
        "release": {"backbone": "resnet101_v1c", "warp": "depth_only"},
    }
)
# The release is the authors' network and no other; its ablation is the paper's.
_RELEASE: Mapping[str, Any] = MappingProxyType(
    {
        "output_stride": 16,
        "warp": "depth_only",
        "fusion": "rgbd_fuse",
        "decoder": "aligned",
        "modality": "rgbd",
        "acfm": True,
        "flow_reduction": None,
        "join": "concatenate",
    }
)


@dataclass(frozen=True, kw_only=True)
class FAFNetConfig:
    """Everything that decides the shape of a FAFNet; equal configurations build equal networks.

    Attributes:
        variant: "paper" follows the paper's equations, "release" computes what its authors' code
            computes (docs/models.md has the differences).
        num_classes: labels the network tells apart, 1 to 255 (the id 255 means unlabelled).
        modality: "rgbd", both streams; "rgb" or "hha", one of them with the same decoder.
        backbone: the network of each stream: resnet18, 34, 50, 101 or 152, each also as _v1c (deep
            stem), mobilenet_v2, mobilenet_multi_avg, or "timm/<name>" where timm is installed. By
            default resnet101, in the release resnet101_v1c.
        width_multiplier: scales every stage of a ResNet or a MobileNet, 1/16 to 4.
        output_stride: input pixels for one pixel of the deepest map; below 32, strides of the
            last stages become dilations.
        fusion: "rgbd_fuse", the paper's block; "sum", the baseline's element-wise sum, which feeds
            nothing back.
        acfm: cross-fuse the modalities (eq. 4-9); without, X_fused is X_feat.
        mlp_reduction: the MLP of eq. 5 is 2C -> C / mlp_reduction -> C; None: one layer 2C -> C.
        fusion_alignment: the FAMs inside each RGBDFuse block. "flow" aligns; "zero_flow" has the
            same parameters and a flow of zero; "none" lets the maps pass.
        warp: which maps of RGBDFuse are aligned: "both", as in fig. 3, or "depth_only", which the
            release does.
        decoder: "aligned", as in fig. 2, or the baseline's "deeplabv3plus".
        decoder_alignment: the FAMs of the aligned decoder; "none" upsamples bilinearly.
        flow_reduction: None, the FAMs of the paper: their 1x1 convolutions keep the width C, and
            what is warped is X''_j. A number: they go to C / flow_reduction, the flow alone sees
            them, and X_j itself is warped.
        join: how the decoder's levels come together: "concatenate", then one convolution, as the
            release does; "sum", of one convolution a level, which is cheaper; "separable", the same
            with depthwise separable convolutions at the two finest levels, where the work is.
        decoder_channels: width of the context and of every decoder level.
        pooling_sizes: side lengths of the pyramid pooling's grids (aligned decoder).
        dropout: probability of dropping a channel of the context, 0 <= p < 1.

    In `dataclasses.replace(config, variant=...)` give `backbone=None, warp=None` too, or they stay
    those of the other variant.

    Raises:
        ValueError: a field has a value that is not allowed; the message says what is.
    """

    variant: Variant = "paper"
    num_classes: Annotated[int, "1 <= x <= 255"] = 40
    modality: Modality = "rgbd"
    backbone: str = _VARIANT
    width_multiplier: Annotated[float, "0.0625 <= x <= 4"] = 1.0
    output_stride: OutputStride = 16
    fusion: Fusion = "rgbd_fuse"
    acfm: bool = True
    mlp_reduction: _Count | None = 16
    fusion_alignment: Alignment = "flow"
    warp: Warp = _VARIANT
    decoder: Decoder = "aligned"
    decoder_alignment: Alignment = "flow"
    flow_reduction: _Count | None = None
    join: Join = "concatenate"
    decoder_channels: _Count = 256
    pooling_sizes: tuple[Annotated[int, "1 <= x <= 64"], ...] = (1, 2, 3, 6)
    dropout: Annotated[float, "0 <= x < 1"] = 0.1

    def __post_init__(self) -> None:
        check_fields(self)
        for name, value in _OF_VARIANT[self.variant].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        self._check(
            "backbone",
            self.backbone in OWN_BACKBONES or (self._is_timm and self.backbone != TIMM),
            f"one of {', '.join(OWN_BACKBONES)}, or {TIMM}<name of a timm network>",
        )
        sizes = len(self.pooling_sizes)
        self._check("pooling_sizes", 0 < sizes <= _MOST_GRIDS, f"a list of 1 to {_MOST_GRIDS}")
        self._check(
            "width_multiplier",
            not self._is_timm or self.width_multiplier == 1,
            "1: a timm network has widths of its own",
        )
        if self.variant == "release":
            for name, value in _RELEASE.items():
                wanted = f"{value!r} in variant release (null: the variant's own)"
                self._check(name, getattr(self, name) == value, wanted)
            self._check("backbone", self.backbone in RESNETS, "a ResNet in variant release")

    def _check(self, name: str, right: bool, wanted: str) -> None:
        if not right:
            raise FieldError(name, f"{name} is {getattr(self, name)!r:.100}; wanted {wanted}")

    @property
    def _is_timm(self) -> bool:
        return self.backbone.startswith(TIMM)

    @property
    def smallest_input(self) -> int:
        """Least height and width, in pixels, of an image that the network accepts.

        The deepest map then has two pixels a side, and eq. 11, which divides by W - 1 and H - 1, is
        defined on every map. Our own backbones round up: one pixel more than the output stride is
        enough; networks of timm may round down.
        """
        return 2 * self.output_stride if self._is_timm else self.output_stride + 1

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain values that JSON and YAML can hold; see `from_dict`."""
        values: dict[str, Any] = plain_values(self)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FAFNetConfig:
        """The configuration that `to_dict` wrote; keys left out have their default.

        Raises:
            ValueError: a key is unknown (the message names the nearest, or all), or a value is
                not allowed.
        """
        if not isinstance(values, Mapping):
            raise ValueError(
                f"a FAFNet configuration is keys with values; got {type(values).__name__}"
            )
        known = field_types(cls)
        for key in values:
            if key not in known:
                raise ValueError(unknown_name("FAFNet configuration key", str(key), known))
        return cls(**values)


@dataclass(frozen=True)
class NetworkPreset:
    """A configuration, and what it is for in one line."""

    description: str
    config: FAFNetConfig


PRESETS: Mapping[str, NetworkPreset] = MappingProxyType(
    {
        "fafnet-nano": NetworkPreset(
            "two quarter-width ResNet-18s: for a CPU or a small board",
            FAFNetConfig(
                backbone="resnet18",
                width_multiplier=0.25,
                output_stride=32,
                mlp_reduction=4,
                join="sum",
                decoder_channels=64,
            ),
        ),
        "fafnet-mobile": NetworkPreset(
            "two MobileNets Multi-AVG with narrow flows: real rooms on a CPU",
            FAFNetConfig(
                backbone="mobilenet_multi_avg",
                output_stride=32,
                flow_reduction=4,
                join="separable",
                warp="depth_only",
                decoder_channels=96,
            ),
        ),
        "fafnet-lite": NetworkPreset(
            "two ResNet-18s with narrow flows and a narrow decoder: for an embedded GPU",
            FAFNetConfig(
                backbone="resnet18",
                output_stride=32,
                flow_reduction=4,
                join="sum",
                decoder_channels=80,
            ),
        ),
        "fafnet-r34": NetworkPreset(
            "two ResNet-34s at output stride 16: for a desktop GPU",
            FAFNetConfig(backbone="resnet34"),
        ),
        "fafnet-r50": NetworkPreset(
            "two ResNet-50s at output stride 16: between r34 and the paper's network",
            FAFNetConfig(backbone="resnet50"),
        ),
        "fafnet-r101": NetworkPreset(
            "two ResNet-101s at output stride 16: the paper's network",
            FAFNetConfig(backbone="resnet101"),
        ),
        "fafnet-release": NetworkPreset(
            "the network that the paper's authors released, for their checkpoints",
            FAFNetConfig(variant="release"),
        ),
    }
)


def preset_config(name: str) -> FAFNetConfig:
    """The configuration of a preset.

    Raises:
        ValueError: no preset has that name; the message names the nearest, or all.
    """
    if name not in PRESETS:
        raise ValueError(unknown_name("preset", name, PRESETS))
    return PRESETS[name].config
