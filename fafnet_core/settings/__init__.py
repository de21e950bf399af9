"""One reader of settings: YAML files and `--set` become typed dataclasses.

A dataclass states what may be set, once: the type of each field and, with `Annotated`, its range.

    @dataclass(frozen=True, kw_only=True)
    class ScheduleConfig:
        kind: Literal["step", "poly"] = "step"
        rate: Annotated[float, "0 < x"] = 0.005
        warmup: Annotated[float, "0 <= x < 1"] = 0.025
        milestones: tuple[float, ...] = (0.6, 0.85)

        def __post_init__(self) -> None:
            check_fields(self)  # from Python, too

    settings = read_settings("config.yaml", ["schedule.rate=1e-3"])
    schedule = read_section(ScheduleConfig, settings.section("schedule"), "schedule")

Types are bool, int, float, str, Literal, tuple, dict[str, ...], dataclasses, Any, and unions of
them. A value is read as its field's type, not as YAML 1.1 guesses: `1e-3` is a number where one is
wanted, and `no` is text where text is wanted. Every error names the file and the line (or the
override), the key, what came and what was wanted; an unknown key also the nearest known one.

`--set key.path=value` has one grammar everywhere: keys with dots, and a value in YAML. The last
one wins.
"""

from fafnet_core.settings.fields import FieldError, check_fields, field_types, plain_values
from fafnet_core.settings.reading import (
    Setting,
    SettingsError,
    is_nested_deeply,
    read_section,
    read_settings,
    read_value,
    read_values,
)

__all__ = [
    "FieldError",
    "Setting",
    "SettingsError",
    "check_fields",
    "field_types",
    "is_nested_deeply",
    "plain_values",
    "read_section",
    "read_settings",
    "read_value",
    "read_values",
]
