"""FAFNet, the two-stream network of section 3.1 and fig. 2, put together from its parts."""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fafnet_core.models.acfm import AttentionCrossFusion, IdentityFusion
from fafnet_core.models.config import PRESETS, Alignment, FAFNetConfig
from fafnet_core.models.context import PyramidPooling
from fafnet_core.models.decoder import AlignedDecoder
from fafnet_core.models.fam import (
    FlowAlignment,
    PassThrough,
    Resize,
    ZeroFlowAlignment,
    same_size,
    upsample_like,
)
from fafnet_core.models.resnet import ResNet
from fafnet_core.models.rgbd_fuse import RGBDFuse, add_feedback, no_feedback
from fafnet_core.nearest import unknown_name


class FAFNet(nn.Module):
    """RGB-D semantic segmentation: a colour and an HHA image in, scores of every class out.

    The two streams share no parameter. Every parameter has its part in the result, except, under
    "zero_flow", the convolutions that would make the flow.

    Args:
        config: what to build; kept as `config`.
    """

    def __init__(self, config: FAFNetConfig) -> None:
        super().__init__()
        self.config = config
        self.rgb_stream = _stream(config)
        self.depth_stream = _stream(config)
        channels = self.rgb_stream.channels
        # What the fourth block would feed back, nothing takes.
        feedbacks = (add_feedback, add_feedback, add_feedback, no_feedback)
        self.fuse1, self.fuse2, self.fuse3, self.fuse4 = (
            RGBDFuse(
                acfm=_acfm(config, width),
                align_rgb=_align_rgb(config, width),
                align_depth=_align(config.fusion_alignment, width, same_size),
                feedback=feedback,
            )
            for width, feedback in zip(channels, feedbacks, strict=True)
        )
        width = config.decoder_channels
        self.decoder = AlignedDecoder(
            in_channels=channels[:-1],
            channels=width,
            num_classes=config.num_classes,
            context=PyramidPooling(channels[-1], width, config.pooling_sizes, config.dropout),
            align=[_align(config.decoder_alignment, width, upsample_like) for _ in channels[:-1]],
        )

    def forward(self, rgb: Tensor, hha: Tensor) -> Tensor:
        """Scores of every class at every pixel.

        Args:
            rgb: colour images, (B, 3, H, W), already normalised. H and W may be any, odd ones too,
                from `config.smallest_input`.
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
        """As `forward`, before the last upsampling: (B, num_classes, ceil(H / 4), ceil(W / 4))."""
        # A trace records tensors only: this check would be a constant in it, and a warning.
        if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            self._check_inputs(rgb, hha)
        color, depth = self.rgb_stream, self.depth_stream
        rgb, hha = color.stem(rgb), depth.stem(hha)
        fused1, rgb, hha = self.fuse1(color.layer1(rgb), depth.layer1(hha))
        fused2, rgb, hha = self.fuse2(color.layer2(rgb), depth.layer2(hha))
        fused3, rgb, hha = self.fuse3(color.layer3(rgb), depth.layer3(hha))
        fused4, _, _ = self.fuse4(color.layer4(rgb), depth.layer4(hha))
        logits: Tensor = self.decoder((fused1, fused2, fused3, fused4))
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
        if model not in PRESETS:
            raise ValueError(unknown_name("preset", model, PRESETS))
        model = PRESETS[model].config
    if num_classes is not None:
        model = dataclasses.replace(model, num_classes=num_classes)
    return FAFNet(model)


def _stream(config: FAFNetConfig) -> ResNet:
    return ResNet(
        config.backbone,
        width_multiplier=config.width_multiplier,
        output_stride=config.output_stride,
    )


def _acfm(config: FAFNetConfig, channels: int) -> nn.Module:
    if not config.acfm:
        return IdentityFusion()
    return AttentionCrossFusion(channels, config.mlp_reduction)


def _align_rgb(config: FAFNetConfig, channels: int) -> nn.Module:
    alignment: Alignment = "none" if config.warp == "depth_only" else config.fusion_alignment
    return _align(alignment, channels, same_size)


def _align(alignment: Alignment, channels: int, resize: Resize) -> nn.Module:
    if alignment == "none":
        return PassThrough(resize)
    module = FlowAlignment if alignment == "flow" else ZeroFlowAlignment
    return module(channels, resize)
