"""The learning rate over a training: warm-up, then steps, poly, cosine or nothing.

Section 4.2 of the paper: rate 0.005, step decay with warm-up, 40 000 iterations. It gives neither
the steps nor the length of the warm-up: those here are this project's choice. The release trains
with `kind: poly` and no warm-up (`warmup: 0`); its default policy, called warmup, has no code
behind it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

from fafnet_core.settings import FieldError, check_fields

ScheduleKind = Literal["step", "poly", "cosine", "constant"]


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """The learning rate as a function of the iteration; times are shares of the whole training.

    Attributes:
        kind: what lowers the rate. "step": times `gamma` at each milestone; "poly":
            (1 - i / iterations) ** power; "cosine": half a cosine down to 0; "constant": nothing.
        rate: the learning rate after warm-up.
        warmup: share of the training in which the rate rises linearly, 0 <= warmup < 1.
        warmup_from: what the rise starts from, as a share of the rate.
        milestones: when "step" steps, in rising order, each between 0 and 1.
        gamma: the factor of one step.
        power: the exponent of "poly".
    """

    kind: ScheduleKind = "step"
    rate: Annotated[float, "0 < x"] = 0.005
    warmup: Annotated[float, "0 <= x < 1"] = 0.025
    warmup_from: Annotated[float, "0 <= x <= 1"] = 0.1
    milestones: tuple[Annotated[float, "0 < x < 1"], ...] = (0.6, 0.85)
    gamma: Annotated[float, "0 < x <= 1"] = 0.1
    power: Annotated[float, "0 < x"] = 0.9

    def __post_init__(self) -> None:
        check_fields(self)
        if not all(a < b for a, b in pairwise(self.milestones)):
            raise FieldError(
                "milestones", f"milestones is {self.milestones}; wanted them in rising order"
            )


def learning_rate(config: ScheduleConfig, iteration: int, iterations: int) -> float:
    """The learning rate of one iteration; it depends on nothing else, so a resumed run agrees.

    Warm-up multiplies what the schedule would give without it.

    Args:
        config: the schedule.
        iteration: 0 <= iteration < iterations.
        iterations: the whole training's.

    Raises:
        ValueError: the iteration is none of this training.
    """
    if not 0 <= iteration < iterations:
        raise ValueError(f"iteration {iteration} is not one of 0 to {iterations - 1}")
    rate = config.rate * _decay(config, iteration, iterations)
    warmup = round(config.warmup * iterations)
    if iteration < warmup:
        rate *= config.warmup_from + (1 - config.warmup_from) * iteration / warmup
    return rate


def _decay(config: ScheduleConfig, iteration: int, iterations: int) -> float:
    done = iteration / iterations
    if config.kind == "step":
        passed = sum(iteration >= round(share * iterations) for share in config.milestones)
        return float(config.gamma**passed)
    if config.kind == "poly":
        return float((1 - done) ** config.power)
    if config.kind == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    return 1.0
