"""Runs at several scales: what is run, and what is averaged."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_network import small_network
from torch import Tensor

from fafnet_core.evaluation.multi_scale import MultiScale
from fafnet_core.models import FAFNet
from fafnet_core.settings import FieldError

RGB, HHA = torch.rand(2, 2, 3, 46, 70, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network() -> FAFNet:
    return small_network(5, batches=0)


class Recorder:
    """Returns what it is shown, and remembers how large it was."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []

    def __call__(self, rgb: Tensor, hha: Tensor) -> Tensor:
        assert rgb.shape == hha.shape
        self.sizes.append((rgb.shape[-2], rgb.shape[-1]))
        return torch.cat((rgb, hha), dim=1)


@torch.inference_mode()
def test_one_scale_of_1_without_flip_is_the_network_itself(network: FAFNet) -> None:
    assert torch.equal(MultiScale()(network, RGB, HHA), network(RGB, HHA))


@torch.inference_mode()
def test_the_mean_is_that_of_every_scale_and_turn(network: FAFNet) -> None:
    size = RGB.shape[-2:]

    def once(scale: float, turn: bool) -> Tensor:
        images = [image.flip(-1) if turn else image for image in (RGB, HHA)]
        if scale != 1:
            scaled = (round(46 * scale), round(70 * scale))
            images = [
                F.interpolate(image, scaled, mode="bilinear", align_corners=False)
                for image in images
            ]
        logits = F.interpolate(network(*images), size, mode="bilinear", align_corners=False)
        return logits.flip(-1) if turn else logits

    runs = [once(scale, turn) for scale in (1, 0.75, 1.5) for turn in (False, True)]
    logits = MultiScale((1, 0.75, 1.5), flip=True)(network, RGB, HHA)
    torch.testing.assert_close(logits, torch.stack(runs).mean(0))
    softmax = MultiScale((1, 0.75, 1.5), flip=True, average="softmax")(network, RGB, HHA)
    torch.testing.assert_close(softmax, torch.stack([run.softmax(1) for run in runs]).mean(0))
    torch.testing.assert_close(softmax.sum(1), torch.ones(2, 46, 70))
    assert not torch.allclose(logits.softmax(1), softmax)


def test_sizes_are_rounded_to_whole_pixels_and_the_result_has_the_images_size() -> None:
    model = Recorder()
    run = MultiScale((1, 0.5, 0.75, 1.5, 1.75), flip=True)
    result = run(model, RGB, HHA)
    wanted = [(46, 70), (23, 35), (34, 52), (69, 105), (80, 122)]
    assert model.sizes == [size for size in wanted for _ in range(2)]
    assert result.shape == (2, 6, 46, 70)
    assert run(model, RGB, HHA, (92, 140)).shape == (2, 6, 92, 140)


def test_resizing_moves_nothing() -> None:
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 32, 64).contiguous()
    for scale in (0.5, 1.5, 2):
        back = MultiScale((scale,))(Recorder(), ramp, ramp)
        # Away from the border, where a wrong convention would shift it by half a pixel, 1/126.
        inside = slice(4, -4)
        torch.testing.assert_close(back[:, :3, :, inside], ramp[..., inside], atol=1e-5, rtol=0)


def test_what_the_network_returned_is_left_alone() -> None:
    kept = torch.rand(2, 4, 46, 70)
    before = kept.clone()
    result = MultiScale((1.0,), flip=True)(lambda rgb, hha: kept, RGB, HHA)
    assert torch.equal(kept, before)
    torch.testing.assert_close(result, (kept + kept.flip(-1)) / 2)


@pytest.mark.parametrize("scales", [(), 1.0, "1.0", (0,), (9,), (True,), (1, 1.0)])
def test_scales_that_are_none_are_refused(scales: Any) -> None:
    with pytest.raises(FieldError, match=r"^scales "):
        MultiScale(scales)
