"""Settings: how YAML, overrides and Python values are read as dataclasses, and refused."""

from __future__ import annotations

import pickle
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml

from fafnet_core.settings import (
    FieldError,
    check_fields,
    plain_values,
    read_section,
    read_settings,
)


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: tuple[int, int] = (1, 2)
    rates: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    rate: float = 0.1
    share: Annotated[float, "0 <= x < 1"] = 0.5
    counts: tuple[Annotated[int, "1 <= x"], ...] = ()
    count: int = 1
    flag: bool = False
    kind: Literal["one", "two"] = "one"
    stride: Literal[8, 16] = 8
    maybe: float | None = None
    either: Literal["auto"] | Inner = "auto"
    inner: Inner = field(default_factory=Inner)
    free: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.count == 13:
            raise FieldError("count", "count is unlucky")
        if self.name == self.kind:
            raise ValueError("one name twice")


def read(tmp_path: Path, text: str, *overrides: str) -> Outer:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    return read_section(Outer, read_settings(path, overrides), "outer")


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        # What YAML 1.1 would take for text, a date, octal, base 60, true.
        ("rate: 1e-3", "rate", 1e-3),
        ("rate: 5E+2", "rate", 500.0),
        ("rate: .5", "rate", 0.5),
        ("rate: -3", "rate", -3.0),
        ("rate: 1_000.5", "rate", 1000.5),
        ("count: 010", "count", 10),
        ("count: 40_000", "count", 40000),
        ("count: 4__0_", "count", 40),
        ("name: no", "name", "no"),
        ("name: 2024-01-02", "name", "2024-01-02"),
        ("name: 12:30", "name", "12:30"),
        ("name: 1e-3", "name", "1e-3"),
        ("name: 'null'", "name", "null"),
        ("flag: true", "flag", True),
        ("flag: no", "flag", False),
        ("kind: two", "kind", "two"),
        ("stride: 16", "stride", 16),
        ("free: {a: [1, 1e-3, no, x, '2', null]}", "free", {"a": [1, 1e-3, False, "x", "2", None]}),
        ("maybe: null", "maybe", None),
        ("maybe:", "maybe", None),
        ("maybe: 2", "maybe", 2.0),
        ("either: auto", "either", "auto"),
        ("either: {size: [3, 4]}", "either", Inner(size=(3, 4))),
        ("inner: {rates: [1, 2e-1]}", "inner", Inner(rates=(1.0, 0.2))),
        ("inner:", "inner", Inner()),
    ],
)
def test_a_value_is_read_as_the_type_of_its_field(
    tmp_path: Path, line: str, key: str, value: Any
) -> None:
    text = line if key == "name" else f"name: x\n{line}"
    found = getattr(read(tmp_path, text), key)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rte: 1", "line 2: unknown outer key 'rte': did you mean 'rate'?"),
        ("rate: fast", "line 2: outer.rate is 'fast'; wanted a number"),
        ("rate: '1'", "outer.rate is '1'"),
        ("rate: true", "outer.rate is true"),
        ("rate: .inf", "outer.rate is '.inf'"),
        ("rate: 1e999", "outer.rate is 1e999"),
        ("rate: null", "outer.rate is null"),
        ("rate: [1]", "outer.rate is a list"),
        ("share: 1", "line 2: outer.share is 1; wanted a number x with 0 <= x < 1"),
        ("counts:\n- 1\n- 0", "line 4: outer.counts[1] is 0"),
        ("count: 1.0", "outer.count is 1.0; wanted a whole number"),
        ("count: true", "outer.count"),
        (f"count: {'9' * 5000}", "outer.count"),
        ("flag: 1", "outer.flag is 1; wanted true or false"),
        ("kind: tow", "outer.kind is 'tow'; wanted one of one, two"),
        ("stride: 32", "outer.stride is 32; wanted one of 8, 16"),
        ("stride: true", "outer.stride"),
        ("maybe: x", "outer.maybe is 'x'; wanted a number, or null"),
        ("inner: 3", "outer.inner is 3; wanted keys with values"),
        ("inner: {sie: 3}", "line 2: unknown outer.inner key 'sie': did you mean 'size'?"),
        ("inner:\n  size: [1]", "line 3: outer.inner.size is a list of 1; wanted a list of 2"),
        ("inner: {size: [1, x]}", "outer.inner.size[1] is 'x'"),
        ("rate: 1\nrate: 2", "line 3: 'rate' is given twice, first in "),
        ("count: 13", "line 2: outer: count is unlucky"),
        ("rate: &a 1\ncount: *a", "line 2: an alias"),
        ("rate: !!python/name:os.system 1", "python/name:os.system"),
        ("rate: !x 1", "!x"),
        ("rate: [", "not YAML"),
        ("\tx: 1", "not YAML"),
        (f"free: {'[' * 20_000}", "nested"),
    ],
)
def test_what_cannot_be_is_refused_with_file_line_and_key(
    tmp_path: Path, line: str, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as refused:
        read(tmp_path, f"name: x\n{line}")
    assert str(refused.value).startswith(str(tmp_path / "s.yaml"))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"), [("", "outer lacks name"), ("- 1", "keys"), ("only text", "keys")]
)
def test_a_file_has_keys(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text)


def test_a_long_path_is_named_in_full(tmp_path: Path) -> None:
    folder = tmp_path / ("folder" * 20)
    folder.mkdir()
    with pytest.raises(ValueError, match=re.escape(f"{folder / 's.yaml'}: nested too deeply")):
        read(folder, "free: " + "[" * 200)


def test_overrides_win_in_their_order_and_add_sections(tmp_path: Path) -> None:
    found = read(
        tmp_path, "name: x\nrate: 1", "rate=2", "inner.size=[7, 8]", "rate=3e-2", "name=a=b"
    )
    assert found == Outer(name="a=b", rate=0.03, inner=Inner(size=(7, 8)))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rate=x", "--set rate=x: outer.rate is 'x'"),
        ("inner.sie=1", "--set inner.sie=1: unknown outer.inner key 'sie'"),
        ("rate", "--set rate: wanted key.path=value"),
        ("=1", "--set =1: wanted key.path=value"),
        ("inner..size=1", "wanted key.path=value"),
        ("rate=", "--set rate=: there is no value"),
        ("rate=[", "--set rate=[: not YAML"),
        ("rate.x=1", "--set rate.x=1: outer.rate is keys"),
    ],
)
def test_a_wrong_override_names_itself(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read(tmp_path, "name: x", override)


def test_overrides_stand_alone() -> None:
    assert read_settings(None, ["a.b=[1, x]", 'c=""']).plain == {"a": {"b": [1, "x"]}, "c": ""}


def test_what_the_class_refuses_as_a_whole_is_blamed_on_its_section(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="twice") as refused:
        read(tmp_path, "name: one")
    assert str(refused.value).startswith(f"{tmp_path / 's.yaml'}: outer: ")


def test_plain_values_are_read_again(tmp_path: Path) -> None:
    outer = Outer(name="no", rate=1e-5, either=Inner(), inner=Inner(rates=(1,)))
    assert read(tmp_path, yaml.safe_dump(plain_values(outer))) == outer


def test_values_from_python_are_brought_to_their_types() -> None:
    counts: Any = [1, 2]
    outer = Outer(name="x", rate=1, counts=counts)
    assert (outer.rate, outer.counts) == (1.0, (1, 2))
    assert isinstance(outer.rate, float)
    hash(Inner(size=(1, 2)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 3),
        ("rate", True),
        ("rate", "1"),
        ("rate", float("nan")),
        ("share", 1),
        ("share", -0.1),
        ("counts", (1, 0)),
        ("counts", 1),
        ("count", 1.0),
        ("count", True),
        ("flag", 1),
        ("kind", "three"),
        ("stride", True),
        ("inner", {"size": (1, 2)}),
        ("inner", None),
    ],
)
def test_values_from_python_that_cannot_be_name_their_field(field: str, value: Any) -> None:
    values: dict[str, Any] = {"name": "x", field: value}
    with pytest.raises(FieldError, match=f"^{field} is ") as refused:
        Outer(**values)
    assert refused.value.field == field


def test_a_field_error_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(FieldError("rate", "rate is 0")))
    assert (error.field, str(error)) == ("rate", "rate is 0")
