"""The whole network: wiring, sizes, switches, gradients, precision, layout, parameter counts."""

from __future__ import annotations

import dataclasses
import pickle
import warnings
from typing import Any

import pytest
import torch
from tiny_networks import TINY, images, randomise_flows
from tolerances import assert_same_maps
from torch import Tensor, nn

from fafnet_core.models import PRESETS, FAFNet, build_model
from fafnet_core.models.acfm import AttentionCrossFusion
from fafnet_core.models.encoder import TwoStreamEncoder
from fafnet_core.models.fam import FlowAlignment
from fafnet_core.models.rgbd_fuse import RGBDFuse


def build(seed: int = 0, **changes: Any) -> FAFNet:
    torch.manual_seed(seed)
    return build_model(dataclasses.replace(TINY, **changes)).eval()


def settle_batch_norms(model: nn.Module, rgb: Tensor, hha: Tensor) -> None:
    """Gives every batch norm the statistics of these images, as training would."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            module.train()
    with torch.no_grad():
        model(rgb, hha)
    model.eval()


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("size", [(427, 561), (96, 128), (33, 65), (33, 33)])
@torch.no_grad()
def test_shapes(batch: int, size: tuple[int, int]) -> None:
    model = build()
    rgb, hha = images(batch, *size)
    assert model(rgb, hha).shape == (batch, 5, *size)
    quarter = [-(-side // 4) for side in size]
    assert model.coarse_logits(rgb, hha).shape == (batch, 5, *quarter)


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@torch.no_grad()
def test_the_smallest_input(output_stride: int) -> None:
    model = randomise_flows(build(output_stride=output_stride))
    least = output_stride + 1
    assert model(*images(1, least, least)).isfinite().all()
    with pytest.raises(ValueError, match=f"{least} x {least}"):
        model(*images(1, least - 1, 100))


def test_wrong_inputs_are_named() -> None:
    model = build()
    rgb, hha = images(1, 64, 64)
    for wrong in (hha[..., :-1], hha[:, :1], hha[0]):
        with pytest.raises(ValueError, match="rgb"):
            model(rgb, wrong)


@torch.no_grad()
def test_the_wiring_is_that_of_figure_2() -> None:
    model = randomise_flows(build())
    rgb, hha = images(2, 64, 96)
    encoder = model.encoder
    assert isinstance(encoder, TwoStreamEncoder)
    color, depth = encoder.rgb_stream.stem(rgb), encoder.depth_stream.stem(hha)
    feat_fused = []
    for index in (1, 2, 3, 4):
        fuse = encoder.get_submodule(f"fuse{index}")
        assert isinstance(fuse, RGBDFuse)
        color = encoder.get_submodule(f"rgb_stream.layer{index}")(color)
        depth = encoder.get_submodule(f"depth_stream.layer{index}")(depth)
        rgb_fused, depth_fused = fuse.acfm(color, depth)
        rgb_warped = fuse.align_rgb(depth_fused, rgb_fused)
        depth_warped = fuse.align_depth(rgb_fused, depth_fused)
        feat_fused.append(rgb_warped + depth_warped)
        color, depth = color + rgb_warped, depth + depth_warped
    expected = model.decoder(feat_fused)
    torch.testing.assert_close(model.coarse_logits(rgb, hha), expected)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mlp_reduction": None},
        {"acfm": False},
        {"warp": "depth_only"},
        {"fusion_alignment": "none"},
        {"decoder_alignment": "none"},
        {"backbone": "resnet50", "output_stride": 16},
        {"flow_reduction": 4, "join": "sum"},
        {"join": "separable"},
        {"variant": "release", "output_stride": 16, "warp": None},
        {"fusion": "sum", "decoder": "deeplabv3plus"},
        {"modality": "rgb"},
        {"modality": "hha"},
    ],
    ids=str,
)
def test_a_gradient_reaches_every_parameter(changes: dict[str, Any]) -> None:
    model = randomise_flows(build(**changes)).train()
    rgb, hha = images(3, 64, 96)
    model(rgb, hha).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_under_zero_flow_only_the_flows_convolutions_get_no_gradient() -> None:
    model = build(fusion_alignment="zero_flow", decoder_alignment="zero_flow").train()
    model(*images(2, 64, 64)).square().mean().backward()
    without = {name for name, p in model.named_parameters() if p.grad is None}
    expected = {n for n, _ in model.named_parameters() if ".conv_flow." in n or ".conv_i." in n}
    assert without == expected


def test_the_streams_share_nothing() -> None:
    model = build()
    storages = [p.data_ptr() for p in (*model.parameters(), *model.buffers())]
    assert len(set(storages)) == len(storages)


def test_the_same_seed_builds_the_same_weights() -> None:
    first, again, other = build(0).state_dict(), build(0).state_dict(), build(1).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(
        first["encoder.fuse1.align_rgb.conv_i.weight"],
        other["encoder.fuse1.align_rgb.conv_i.weight"],
    )


@torch.no_grad()
def test_untrained_flow_and_zero_flow_agree() -> None:
    flow = build()
    zero = build(fusion_alignment="zero_flow", decoder_alignment="zero_flow")
    assert {k: v.shape for k, v in flow.state_dict().items()} == {
        k: v.shape for k, v in zero.state_dict().items()
    }
    inputs = images(1, 65, 97)
    untrained = zero(*inputs)
    assert_same_maps(flow(*inputs), untrained)
    moved, still = (randomise_flows(model)(*inputs) for model in (flow, zero))
    assert torch.equal(still, untrained)
    assert (moved - still).abs().max() > 0.1 * still.abs().max()


@torch.no_grad()
def test_without_alignment_is_zero_flow_with_1x1_convolutions_that_do_nothing() -> None:
    zero = build(fusion_alignment="zero_flow", decoder_alignment="zero_flow")
    none = build(fusion_alignment="none", decoder_alignment="none")
    missing, unexpected = none.load_state_dict(zero.state_dict(), strict=False)
    assert not missing
    assert all("align" in key for key in unexpected)
    for module in zero.modules():
        if isinstance(module, FlowAlignment):
            assert isinstance(module.conv_j, nn.Conv2d)
            identity = torch.eye(module.conv_j.in_channels)[:, :, None, None]
            module.conv_j.weight.copy_(identity)
    rgb, hha = images(2, 64, 96)
    for model in (zero, none):
        settle_batch_norms(model, rgb, hha)
    torch.testing.assert_close(none(rgb, hha), zero(rgb, hha), rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_other_precisions_and_layouts_give_the_same_labels() -> None:
    # Six seeds, measured: bfloat16 is off by 5 to 9 hundredths of the largest logit at the worst
    # pixel and keeps 95 to 97 labels in a hundred. Untrained, half of the pixels have two classes
    # closer to each other than that; where they are not, the label has to stay.
    model = randomise_flows(build(), std=0.01)
    rgb, hha = images(8, 96, 128)
    settle_batch_norms(model, rgb, hha)
    expected = model(rgb, hha)
    scale = expected.abs().max()
    best, second = expected.topk(2, dim=1).values.unbind(dim=1)
    clear = best - second > 0.1 * scale
    assert clear.float().mean() > 0.3

    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    nhwc = [x.contiguous(memory_format=torch.channels_last) for x in (rgb, hha)]
    channels_last = model(*nhwc)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        autocast = model(*nhwc)
    bfloat16 = model.bfloat16()(*(x.bfloat16() for x in nhwc))
    for name, logits, tolerance, same_labels in (
        ("channels last", channels_last, 1e-4, 0.9999),
        ("bfloat16 autocast", autocast, 0.12, 0.93),
        ("bfloat16", bfloat16, 0.12, 0.93),
    ):
        error = (logits.float() - expected).abs().max() / scale
        assert error < tolerance, f"{name}: {error:.2g} of the largest logit"
        same = (logits.argmax(1) == expected.argmax(1)).float()
        assert same.mean() > same_labels, f"{name}: {same.mean():.4f} of the labels"
        assert same[clear].mean() > 0.999, f"{name}: {same[clear].mean():.4f} of the clear labels"


@torch.no_grad()
def test_channels_last_is_kept_throughout() -> None:
    model = build()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    lost: list[str] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        maps = [x for x in (output if isinstance(output, tuple) else (output,)) if x.dim() == 4]
        if not all(x.is_contiguous(memory_format=torch.channels_last) for x in maps):
            lost.append(type(module).__name__)

    for module in model.modules():
        module.register_forward_hook(note)
    model(*(x.contiguous(memory_format=torch.channels_last) for x in images(2, 96, 128)))
    assert not lost


@pytest.mark.parametrize("preset", list(PRESETS))
def test_every_preset_can_be_pickled(preset: str) -> None:
    # As data loaders' and launchers' processes do it.
    with torch.device("meta"):
        model = build_model(preset)
    assert pickle.loads(pickle.dumps(model)).config == model.config


@torch.no_grad()
@pytest.mark.parametrize("changes", [{}, {"join": "sum", "flow_reduction": 2}])
def test_the_papers_maps_stay_as_they_were_in_inference_too(changes: dict[str, Any]) -> None:
    model = randomise_flows(build(**changes))
    seen: list[tuple[Tensor, Tensor]] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        maps = (*inputs, *(output if isinstance(output, tuple) else (output,)))
        seen.extend((x, x.clone()) for x in maps)

    for module in model.modules():
        if isinstance(module, (AttentionCrossFusion, FlowAlignment)):
            module.register_forward_hook(keep)
    model(*images(1, 64, 96))
    assert len(seen) == 4 * 4 + 11 * 3
    assert all(torch.equal(kept, copied) for kept, copied in seen)


def test_a_batch_of_one_cannot_be_trained_and_says_why() -> None:
    model = build().train()
    with pytest.raises(ValueError, match="two or more"):
        model(*images(1, 64, 64))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    assert model(*images(1, 64, 64)).isfinite().all()


@torch.no_grad()
def test_it_can_be_traced_for_any_size() -> None:
    model = randomise_flows(build())
    with warnings.catch_warnings():
        # A TracerWarning says that something about this one size became a constant.
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)
        # That PyTorch would rather have another function, on Python 3.14 above all.
        warnings.simplefilter("ignore", FutureWarning)
        traced = torch.jit.trace(model, images(1, 64, 96))  # type: ignore[no-untyped-call]
    for size in ((64, 96), (97, 65)):
        inputs = images(2, *size)
        torch.testing.assert_close(traced(*inputs), model(*inputs))


def count(name: str, **changes: Any) -> int:
    with torch.device("meta"):
        model = build_model(dataclasses.replace(PRESETS[name].config, **changes))
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("fafnet-nano", 1_788_960),
        ("fafnet-mobile", 3_961_888),
        ("fafnet-lite", 23_364_144),
        ("fafnet-r34", 49_761_952),
        ("fafnet-r50", 79_580_296),
        ("fafnet-r101", 117_564_552),
        ("fafnet-release", 92_388_232),
    ],
)
def test_preset_parameter_counts(name: str, parameters: int) -> None:
    assert count(name) == parameters


def test_what_the_alignment_costs_in_parameters() -> None:
    # Two 1x1 convolutions C -> C in each of two FAMs, and two 3x3 convolutions 2C -> 2.
    widths = (256, 512, 1024, 2048)
    added = count("fafnet-r101") - count("fafnet-r101", fusion_alignment="none")
    assert added == sum(4 * c * c + 2 * (2 * c * 2 * 9) for c in widths)
    assert round(added / 1e6, 1) == 22.6


def test_build_model() -> None:
    with torch.device("meta"):
        model = build_model("fafnet-nano", num_classes=37)
    assert model.config == dataclasses.replace(PRESETS["fafnet-nano"].config, num_classes=37)
    with torch.device("meta"):
        assert build_model(model.config).config is model.config
    with pytest.raises(ValueError, match=r"'fafnet-nanno'.*'fafnet-nano'"):
        build_model("fafnet-nanno")
    with pytest.raises(ValueError, match="num_classes"):
        build_model("fafnet-nano", num_classes=300)
