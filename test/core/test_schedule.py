"""The learning rate over a training: exact values, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from fafnet_core.settings import FieldError
from fafnet_core.training.schedule import ScheduleConfig, learning_rate


def rates(iterations: int, **fields: Any) -> list[float]:
    config = ScheduleConfig(**fields)
    return [learning_rate(config, i, iterations) for i in range(iterations)]


def test_the_default_is_the_papers_rate_with_warm_up_and_steps() -> None:
    config = ScheduleConfig()
    expected = {
        0: 0.0005,
        500: 0.00275,  # half way up from a tenth
        1000: 0.005,
        23_999: 0.005,
        24_000: 0.0005,
        33_999: 0.0005,
        34_000: 0.00005,
        39_999: 0.00005,
    }
    assert {i: learning_rate(config, i, 40_000) for i in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"kind": "poly"}, [1, 0.75**0.9, 0.5**0.9, 0.25**0.9]),
        ({"kind": "poly", "power": 1}, [1, 0.75, 0.5, 0.25]),
        ({"kind": "cosine"}, [1, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5]),
        ({"kind": "constant"}, [1, 1, 1, 1]),
        ({"kind": "step", "milestones": (0.25, 0.5), "gamma": 0.5}, [1, 0.5, 0.25, 0.25]),
        ({"kind": "step", "milestones": ()}, [1, 1, 1, 1]),
    ],
)
def test_rates_without_warm_up(fields: dict[str, Any], expected: list[float]) -> None:
    assert rates(4, rate=1, warmup=0, **fields) == pytest.approx(expected)


def test_warm_up_multiplies_what_the_schedule_gives() -> None:
    found = rates(8, kind="poly", power=1, rate=1, warmup=0.5, warmup_from=0.2)
    factors = [0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1]
    assert found == pytest.approx([f * (1 - i / 8) for i, f in enumerate(factors)])


def test_an_iteration_outside_the_training_is_refused() -> None:
    for iteration in (-1, 10):
        with pytest.raises(ValueError, match=f"iteration {iteration}"):
            learning_rate(ScheduleConfig(), iteration, 10)


@pytest.mark.parametrize(
    "fields",
    [
        {"warmup": 1},
        {"milestones": (0.9, 0.6)},
        {"milestones": (24000,)},
    ],
)
def test_values_that_cannot_be_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(FieldError, match=f"^{next(iter(fields))} is "):
        ScheduleConfig(**fields)
