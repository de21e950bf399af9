"""From a sample to tensors: with augmentation for training, without for evaluation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fafnet_core.augmentation.config import TransformConfig
from fafnet_core.augmentation.depth_faults import DepthFaults, drop_all_depth
from fafnet_core.augmentation.geometry import (
    SCALE_STEPS,
    CropWindow,
    crop_sample,
    flip_sample,
    scale_and_crop,
    scale_sample,
    scaled_size,
)
from fafnet_core.augmentation.photometry import jitter_colour
from fafnet_core.augmentation.tensors import Batch, ToTensors
from fafnet_core.normalisation import Normalisation
from fafnet_core.samples import RgbdSample


class TrainTransform:
    """Depth faults, HHA, scale, crop, flip, colour jitter, tensors: in this order.

    With an `input_size` HHA is made after the scaling, at the size that the network sees.

    Section 4.2 of the paper names random scaling, cropping, horizontal flipping and normalisation;
    everything else is off by default. Ready HHA is used where the depth has no fault.

    Args:
        config: what is drawn, and from which ranges.
        normalisation: the network's.
    """

    def __init__(self, config: TransformConfig, normalisation: Normalisation) -> None:
        self.config = config
        self._faults = DepthFaults(config)
        self._to_tensors = ToTensors(normalisation, pad=config.pad, pad_label=config.pad_label)

    def __call__(self, sample: RgbdSample, rng: np.random.Generator) -> Batch:
        """The tensors of one augmented sample; the result depends on both arguments alone.

        Raises:
            SampleError: neither HHA nor metric depth, or no metric depth where a fault needs it.
        """
        config = self.config
        sample = self._without_an_input(self._faults(sample, rng), rng)
        if config.input_size is None:
            # Nobody needs the depth any more: it does not have to be scaled.
            sample = replace(sample.with_hha(), depth_m=None, missing=None)
            factor = self._factor(rng)
            sample = scale_and_crop(sample, factor, self._window(sample.size, factor, rng))
        else:
            # The factor that gives the frame as many pixels as `input_size`.
            fitting = math.sqrt(math.prod(config.input_size) / math.prod(sample.size))
            if sample.depth_m is not None and sample.camera is not None:
                sample = replace(sample, hha=None)
            sample = scale_sample(sample, fitting * self._factor(rng))
            # Of the whole frame: gravity is estimated from all of it.
            sample = replace(sample.with_hha(), depth_m=None, missing=None)
            sample = crop_sample(sample, self._window(sample.size, 1.0, rng))
        if rng.random() < config.flip:
            sample = flip_sample(sample)
        sample = jitter_colour(sample, config.colour_jitter, rng)
        return self._to_tensors(sample, config.crop)

    def _without_an_input(self, sample: RgbdSample, rng: np.random.Generator) -> RgbdSample:
        """Some samples lose one input, so that the network learns to work with either alone."""
        config = self.config
        # Draw only what is asked for: then other trainings stay the same.
        if config.no_depth and rng.random() < config.no_depth:
            return drop_all_depth(sample)
        if config.no_colour and rng.random() < config.no_colour:
            return replace(sample, rgb=np.zeros_like(sample.rgb))
        return sample

    def _factor(self, rng: np.random.Generator) -> float:
        smallest, largest = self.config.scale
        factor = float(rng.uniform(smallest, largest))
        # Near enough, and several times faster: see `scale_and_crop`.
        stepped = round(factor * SCALE_STEPS) / SCALE_STEPS
        return stepped if smallest <= stepped <= largest else factor

    def _window(self, size: tuple[int, int], factor: float, rng: np.random.Generator) -> CropWindow:
        """A random place of the crop in the scaled image; never larger than the image."""
        height, width = scaled_size(size, factor)
        rows, columns = self.config.crop or (height, width)
        rows, columns = min(rows, height), min(columns, width)
        top = int(rng.integers(height - rows + 1))
        left = int(rng.integers(width - columns + 1))
        return CropWindow(top, left, rows, columns)


class EvalTransform:
    """HHA and tensors, the whole frame at its own size.

    Args:
        normalisation: the network's.
    """

    def __init__(self, normalisation: Normalisation) -> None:
        self._to_tensors = ToTensors(normalisation)

    def __call__(self, sample: RgbdSample) -> Batch:
        """The tensors of one sample, without the first dimension of `Batch`.

        Raises:
            SampleError: neither HHA nor metric depth with a camera.
        """
        return self._to_tensors(sample.with_hha())
