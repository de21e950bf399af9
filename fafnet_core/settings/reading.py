"""YAML and overrides with the line of every value, read as dataclasses."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml

from fafnet_core.nearest import unknown_name
from fafnet_core.settings.fields import (
    MISMATCH,
    FieldError,
    described,
    field_types,
    is_union,
    item_types,
    typed,
)

_T = TypeVar("_T")

_TAG = "tag:yaml.org,2002:"
_SCALARS = ("null", "bool", "int", "float", "str", "timestamp", "merge", "value")
_WHOLE = re.compile(r"[-+]?[0-9][0-9_]{0,30}")
_NUMBER = re.compile(r"[-+]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?")
_LARGEST_FILE = 1 << 18
"""Bytes; the largest of our own has a fortieth of it, and PyYAML reads slowly."""
_BRACKETS = re.compile(r"[\[\]{}]")
_DASHES = re.compile(r"(?:[-?:] )+")
_DEEPEST = 50
_TRUE = ("true", "yes", "on")


class SettingsError(ValueError):
    """A setting that cannot be used; the message begins with its place."""


@dataclass(frozen=True)
class Setting:
    """A value as it is written, and where.

    Attributes:
        value: keys with their settings; a list of settings; or the possible values of a text, most
            likely first: `1` is a number or text.
        origin: "config/nyuv2.yaml, line 12", or "--set train.seed=x".
    """

    value: dict[str, Setting] | list[Setting] | tuple[Any, ...]
    origin: str

    @property
    def is_null(self) -> bool:
        """Whether nothing is written, or null."""
        return self.value == (None,)

    @property
    def plain(self) -> Any:
        """The value as Python has it, where no type is wanted."""
        if isinstance(self.value, dict):
            return {name: item.plain for name, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain for item in self.value]
        return self.value[0]

    def keys(self, name: str) -> dict[str, Setting]:
        """The keys of a section; none where it is empty.

        Raises:
            SettingsError: it is something else; `name` is what the message calls it.
        """
        if self.is_null:
            return {}
        if not isinstance(self.value, dict):
            raise self.error(f"{name or 'this'} is {self}; wanted keys with values")
        return self.value

    def section(self, name: str) -> Setting:
        """What stands under a key; empty where nothing does."""
        return self.keys("").get(name, Setting({}, self.origin))

    def split(self, *names: str) -> tuple[Setting, Setting]:
        """A section in two: these keys, and the others."""
        keys = self.keys("").items()
        these = {name: item for name, item in keys if name in names}
        others = {name: item for name, item in keys if name not in names}
        return Setting(these, self.origin), Setting(others, self.origin)

    @contextmanager
    def blamed(self, name: str) -> Iterator[None]:
        """Add the place to a ValueError: of a `FieldError` the line of its field."""
        try:
            yield
        except ValueError as error:
            field = error.field if isinstance(error, FieldError) else ""
            message = f"{name}: {error}" if name else str(error)
            raise self.keys(name).get(field, self).error(message) from error

    def error(self, message: str) -> SettingsError:
        """Return an error that begins with the place of this setting."""
        return SettingsError(f"{self.origin}: {message}")

    def __str__(self) -> str:
        if isinstance(self.value, dict):
            return "keys with values"
        if isinstance(self.value, list):
            return f"a list of {len(self.value)}"
        if self.is_null:
            return "null"
        # Text in quotes; what may be a number or a truth value without.
        return f"'{self.value[0]}'" if len(self.value) == 1 else str(self.value[-1])


def read_settings(path: str | Path | None, overrides: Sequence[str] = ()) -> Setting:
    """Read a YAML file and put `key.path=value` overrides over it; the last one wins.

    Args:
        path: None: overrides alone.
        overrides: of the option `--set`.

    Raises:
        FileNotFoundError: no such file.
        SettingsError: not YAML, no keys, a key given twice, or an override without key or value.
    """
    settings = Setting({}, "--set") if path is None else _read_file(Path(path))
    for override in overrides:
        settings = _overridden(settings, override)
    return settings


def _read_file(path: Path) -> Setting:
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    if path.stat().st_size > _LARGEST_FILE:
        raise SettingsError(f"{path}: larger than {_LARGEST_FILE >> 10} KiB; is it the right file?")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not YAML: {error}") from error
    return Setting((_compose(text, str(path)) or Setting((None,), str(path))).keys(""), str(path))


def is_nested_deeply(text: str) -> bool:
    """Whether YAML text opens more lists than any settings have; PyYAML takes minutes for them."""
    depth = 0
    for bracket in _BRACKETS.findall(text):
        depth = depth + 1 if bracket in "[{" else max(0, depth - 1)
        if depth > _DEEPEST:
            return True
    return len(max(_DASHES.findall(text), key=len, default="")) > 2 * _DEEPEST


def _compose(text: str, source: str, *, lines: bool = True) -> Setting | None:
    # An override names itself, all of its text.
    place = source if lines else f"{source:.100}"
    if is_nested_deeply(text):
        raise SettingsError(f"{place}: nested too deeply")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return None if node is None else _setting(node, source, lines, set())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}" if mark and lines else ""
        raise SettingsError(f"{source}{line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{source}: not YAML: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise SettingsError(f"{place}: nested too deeply") from error


def _setting(node: yaml.Node, source: str, lines: bool, seen: set[int]) -> Setting:
    origin = f"{source}, line {node.start_mark.line + 1}" if lines else source
    if id(node) in seen:
        raise SettingsError(f"{origin}: an alias repeats this value; write it out instead")
    seen.add(id(node))
    tag = node.tag.removeprefix(_TAG)
    if tag not in (*_SCALARS, "map", "seq"):
        raise SettingsError(f"{origin}: the tag {node.tag:.100} is not supported; leave it out")
    if isinstance(node, yaml.MappingNode):
        keys: dict[str, Setting] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            found = _setting(value, source, lines, seen)
            if lines:
                found = replace(found, origin=f"{source}, line {key.start_mark.line + 1}")
            if name in keys:
                raise found.error(f"'{name}' is given twice, first in {keys[name].origin}")
            keys[name] = found
        return Setting(keys, origin)
    if isinstance(node, yaml.SequenceNode):
        return Setting([_setting(item, source, lines, seen) for item in node.value], origin)
    assert isinstance(node, yaml.ScalarNode)
    return Setting(_readings(node.value, tag, quoted=node.style is not None), origin)


def _readings(text: str, tag: str, *, quoted: bool) -> tuple[Any, ...]:
    """The possible values of a scalar, most likely first."""
    if tag == "null":
        return (None,)
    if quoted:
        return (text,)
    if tag == "bool":
        return text.lower() in _TRUE, text
    if _WHOLE.fullmatch(text):
        return int(text.replace("_", "")), text
    return (float(text.replace("_", "")), text) if _NUMBER.fullmatch(text) else (text,)


def _overridden(settings: Setting, override: str) -> Setting:
    origin = f"--set {override}"
    path, equals, text = override.partition("=")
    names = path.strip().split(".")
    if not equals or not all(names):
        raise SettingsError(f"{origin}: wanted key.path=value, such as train.seed=3")
    value = _compose(text, origin, lines=False)
    if value is None:
        raise SettingsError(f"{origin}: there is no value; write null for none, '' for no text")
    return _replaced(settings, names, value)


def _replaced(settings: Setting, names: Sequence[str], value: Setting) -> Setting:
    keys = settings.value if isinstance(settings.value, dict) else {}
    name, *rest = names
    if rest:
        value = _replaced(keys.get(name, Setting({}, value.origin)), rest, value)
    return Setting({**keys, name: value}, settings.origin)


def read_section(kind: type[_T], setting: Setting, name: str) -> _T:
    """Read a section as a dataclass.

    Args:
        kind: the dataclass; for a `FieldError` that it raises, the message has the field's line.
        setting: the section.
        name: what messages call it; may be empty.

    Raises:
        SettingsError: as for `read_values`; a key without default is missing; or the dataclass
            refuses the values.
    """
    values = read_values(field_types(kind), setting, name)
    missing = [
        field.name
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]
        if field.default is MISSING and field.default_factory is MISSING
        if field.init and field.name not in values
    ]
    if missing:
        raise setting.error(f"{name or 'it'} lacks {', '.join(missing)}")
    with setting.blamed(name):
        return kind(**values)


def read_values(wanted: Mapping[str, Any], setting: Setting, name: str) -> dict[str, Any]:
    """Read the keys of a section as the types say; keys that are absent stay absent.

    Raises:
        SettingsError: a key is unknown (the message names the nearest), or has a wrong value.
    """
    values = {}
    for key, found in setting.keys(name).items():
        if key not in wanted:
            raise found.error(unknown_name(f"{name} key".lstrip(), key, wanted))
        values[key] = read_value(wanted[key], found, f"{name}.{key}".lstrip("."))
    return values


def read_value(wanted: Any, setting: Setting, name: str) -> Any:
    """Read one value as a type.

    Raises:
        SettingsError: it is not of that type, or out of its range.
    """
    choices = get_args(wanted) if is_union(wanted) else (wanted,)
    nullable = type(None) in choices
    for choice in choices:
        # An empty section is one with defaults only.
        has_keys = isinstance(setting.value, dict) or (setting.is_null and not nullable)
        if dataclasses.is_dataclass(choice) and has_keys:
            assert isinstance(choice, type)
            return read_section(choice, setting, name)
        if get_origin(choice) is dict and has_keys:
            _, kind = get_args(choice)
            items = setting.keys(name).items()
            return {key: read_value(kind, item, f"{name}.{key}") for key, item in items}
        if get_origin(choice) is tuple and isinstance(setting.value, list):
            kinds = item_types(get_args(choice), len(setting.value))
            if kinds is not None:
                pairs = enumerate(zip(kinds, setting.value, strict=True))
                return tuple(read_value(kind, item, f"{name}[{i}]") for i, (kind, item) in pairs)
    readings = setting.value if isinstance(setting.value, tuple) else (setting.plain,)
    for reading in readings:
        value = typed(wanted, reading)
        if value is not MISMATCH:
            return value
    raise setting.error(f"{name} is {setting}; wanted {described(wanted)}")
