"""FAFNet, the two-stream network of section 3.1 and fig. 2, put together from its parts."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fafnet_core.models.acfm import AttentionCrossFusion
from fafnet_core.models.backbone import Backbone
from fafnet_core.models.baseline import AtrousPyramidPooling, DeepLabDecoder, ElementWiseSum
from fafnet_core.models.config import (
    MOBILENETS,
    TIMM,
    Alignment,
    FAFNetConfig,
    preset_config,
)
from fafnet_core.models.context import PyramidPooling
from fafnet_core.models.controls import IdentityFusion, PassThrough, ZeroFlowAlignment
from fafnet_core.models.decoder import AlignedDecoder, ConcatenatedLevels, SummedLevels
from fafnet_core.models.encoder import OneStreamEncoder, TwoStreamEncoder
from fafnet_core.models.fam import FlowAlignment, FlowRules
from fafnet_core.models.mobilenet import MobileNet
from fafnet_core.models.resize import Resize, same_size, upsample_like
from fafnet_core.models.resnet import ResNet
from fafnet_core.models.rgbd_fuse import RGBDFuse, no_feedback
from fafnet_core.models.timm_backbone import TimmBackbone
from fafnet_core.models.variants import VARIANTS

# The work of the decoder is at these; the meaning is in the coarse ones.
_SEPARABLE_LEVELS = 2


class FAFNet(nn.Module):
    """RGB-D semantic segmentation: a colour and an HHA image in, scores of every class out.

    In the paper's variant the streams share no parameter. Every parameter has its part in the
    result, except, under "zero_flow", the convolutions that would make the flow.

    Args:
        config: what to build.

    Attributes:
        config: what was built.
        input_divisor: what height and width of the images have to be divisible by: 1, except for
            some networks of timm.
    """

    def __init__(self, config: FAFNetConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder, channels = _encoder(config)
        self.decoder = _decoder(config, channels)
        backbones = (module for module in self.modules() if isinstance(module, Backbone))
        self.input_divisor = max(backbone.divisor for backbone in backbones)

    def forward(self, rgb: Tensor, hha: Tensor) -> Tensor:
        """Scores of every class at every pixel.

        Args:
            rgb: colour images, (B, 3, H, W), already normalised. H and W may be any, odd ones too,
                from `config.smallest_input` (some networks of timm want multiples of 32).
            hha: HHA images of the same size, (B, 3, H, W), already normalised.

        Returns:
            Logits, (B, num_classes, H, W).

        Raises:
            ValueError: the shapes are not those; or one image in training mode.
        """
        # align_corners=True, as all of the decoder.
        return F.interpolate(
            self.coarse_logits(rgb, hha),
            size=rgb.shape[-2:],
            mode="bilinear",
            align_corners=True,
        )

    def coarse_logits(self, rgb: Tensor, hha: Tensor) -> Tensor:
        """As `forward`, before the last upsampling: (B, num_classes, ceil(H / 4), ceil(W / 4)).

        Some networks of timm round down instead.
        """
        # A trace records tensors only: this check would be a constant in it, and a warning.
        if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            self._check_inputs(rgb, hha)
        logits: Tensor = self.decoder(self.encoder(rgb, hha))
        return logits

    def _check_inputs(self, rgb: Tensor, hha: Tensor) -> None:
        if rgb.dim() != 4 or rgb.shape[1] != 3 or rgb.shape != hha.shape:
            raise ValueError(
                "FAFNet takes rgb and hha of one shape, (batch, 3, height, width); got "
                f"rgb {tuple(rgb.shape)} and hha {tuple(hha.shape)}"
            )
        least = self.config.smallest_input
        if min(rgb.shape[-2:]) < least:
            raise ValueError(
                f"FAFNet at output stride {self.config.output_stride} takes images of at least "
                f"{least} x {least} pixels; got {rgb.shape[-2]} x {rgb.shape[-1]} (height x "
                "width): enlarge or pad the images, or build with a smaller output_stride"
            )
        if any(side % self.input_divisor for side in rgb.shape[-2:]):
            raise ValueError(
                f"the backbone {self.config.backbone} takes images whose sides are divisible by"
                f" {self.input_divisor}; got {rgb.shape[-2]} x {rgb.shape[-1]} (height x width):"
                " resize or crop them"
            )


def build_model(model: str | FAFNetConfig, *, num_classes: int | None = None) -> FAFNet:
    """An untrained FAFNet; under one seed of torch, always the same one.

    Args:
        model: the name of a preset (see `PRESETS`), or a configuration.
        num_classes: replaces the number of classes of either.

    Raises:
        ValueError: no preset has that name (the message names the nearest, or all), or
            `num_classes` is not allowed.
    """
    if isinstance(model, str):
        model = preset_config(model)
    if num_classes is not None:
        model = dataclasses.replace(model, num_classes=num_classes)
    return FAFNet(model)


def build_empty(config: FAFNetConfig) -> FAFNet:
    """A network whose tensors have shapes and no contents (PyTorch's meta device), to be filled.

    It takes no memory and no random numbers, whatever its size.
    """
    with torch.device("meta"), _WithoutInitialisation():
        return FAFNet(config)


class _WithoutInitialisation(TorchFunctionMode):
    """Leaves out the filling with random numbers; on the meta device it imports half of PyTorch."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in (Tensor.normal_, Tensor.uniform_):
            return args[0]
        return func(*args, **(kwargs or {}))


def _encoder(config: FAFNetConfig) -> tuple[nn.Module, tuple[int, int, int, int]]:
    """The encoder and the channels of its four maps."""
    stream = _backbone(config)
    channels = stream.channels
    if config.modality != "rgbd":
        return OneStreamEncoder(stream, config.modality), channels
    depth_stream = _backbone(config)
    if VARIANTS[config.variant].shared_shortcuts:
        assert isinstance(stream, ResNet)  # the configuration has seen to it
        assert isinstance(depth_stream, ResNet)
        depth_stream.share_shortcuts(stream)
    fuse = [_fuse(config, width, last=level == 3) for level, width in enumerate(channels)]
    return TwoStreamEncoder(stream, depth_stream, fuse), channels


def _backbone(config: FAFNetConfig) -> Backbone:
    if config.backbone.startswith(TIMM):
        return TimmBackbone(config.backbone.removeprefix(TIMM), output_stride=config.output_stride)
    if config.backbone in MOBILENETS:
        return MobileNet(
            config.backbone,
            width_multiplier=config.width_multiplier,
            output_stride=config.output_stride,
        )
    return ResNet(
        config.backbone,
        width_multiplier=config.width_multiplier,
        output_stride=config.output_stride,
        released_dilation=VARIANTS[config.variant].released_dilation,
    )


def _fuse(config: FAFNetConfig, channels: int, *, last: bool) -> nn.Module:
    if config.fusion == "sum":
        return ElementWiseSum()
    rules = VARIANTS[config.variant]
    acfm: nn.Module = IdentityFusion()
    if config.acfm:
        acfm = AttentionCrossFusion(channels, config.mlp_reduction, rules.cross_fuse)
    flow = _flow_rules(config, rules.fusion_flow)
    align_rgb: Alignment = "none" if config.warp == "depth_only" else config.fusion_alignment
    return RGBDFuse(
        acfm=acfm,
        align_rgb=_align(align_rgb, channels, same_size, flow),
        align_depth=_align(config.fusion_alignment, channels, same_size, flow),
        # What the fourth block would feed back, nothing takes.
        feedback=no_feedback if last else rules.feedback,
    )


def _align(alignment: Alignment, channels: int, resize: Resize, rules: FlowRules) -> nn.Module:
    if alignment == "none":
        return PassThrough(resize)
    module = FlowAlignment if alignment == "flow" else ZeroFlowAlignment
    return module(channels, resize, rules)


def _decoder(config: FAFNetConfig, channels: tuple[int, int, int, int]) -> nn.Module:
    width, classes = config.decoder_channels, config.num_classes
    if config.decoder == "deeplabv3plus":
        pooling = AtrousPyramidPooling(channels[-1], width, config.output_stride, config.dropout)
        return DeepLabDecoder(channels[0], width, classes, pooling)
    rules = _flow_rules(config, VARIANTS[config.variant].decoder_flow)
    return AlignedDecoder(
        in_channels=channels[:-1],
        channels=width,
        context=PyramidPooling(channels[-1], width, config.pooling_sizes, config.dropout),
        align=[
            _align(config.decoder_alignment, width, upsample_like, rules) for _ in channels[:-1]
        ],
        join=_join(config, len(channels)),
    )


def _join(config: FAFNetConfig, levels: int) -> nn.Module:
    width, classes = config.decoder_channels, config.num_classes
    if config.join == "concatenate":
        return ConcatenatedLevels(levels, width, classes)
    separable = _SEPARABLE_LEVELS if config.join == "separable" else 0
    return SummedLevels(levels, width, classes, separable)


def _flow_rules(config: FAFNetConfig, of_variant: FlowRules) -> FlowRules:
    if config.flow_reduction is None:
        return of_variant
    return FlowRules(reduction=config.flow_reduction, warps_projection=False)
