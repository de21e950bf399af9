"""YAML files become typed dataclasses; every complaint names the file, the line and the key.

A scalar is read as the type of its field says, not as YAML 1.1 guesses: `1e-3` is a number where a
number is wanted, and `no` is text where text is wanted.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml

from fafnet_core.nearest import unknown_name

_T = TypeVar("_T")

_YAML = "tag:yaml.org,2002:"
_SCALARS = ("null", "bool", "int", "float", "str", "timestamp", "merge", "value")
_WHOLE = re.compile(r"[-+]?[0-9][0-9_]*")
_NUMBER = re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?")


class SettingsError(ValueError):
    """A setting that cannot be used; the message begins with where it stands."""


def require_field(settings: object, name: str, right: bool, wanted: str) -> None:
    """Refuse a field's value.

    Raises:
        ValueError: `right` is false; the message says what came and what is wanted.
    """
    if not right:
        raise ValueError(f"{name} is {getattr(settings, name)!r}; it has to be {wanted}")


@dataclass(frozen=True)
class Setting:
    """A value as it is written, and where.

    Attributes:
        value: text; a list; or keys with their settings.
        origin: "config/nyuv2.yaml, line 12", or "--set train.seed=x".
        kind: what YAML takes a text for: "null", "bool", "str" (quoted), "plain" (all others).
    """

    value: str | list[Setting] | dict[str, Setting]
    origin: str
    kind: Literal["null", "bool", "str", "plain", "list", "keys"]

    def error(self, message: str) -> SettingsError:
        """Return the complaint about this setting, to be raised."""
        return SettingsError(f"{self.origin}: {message}")

    def __str__(self) -> str:
        if isinstance(self.value, str):
            return "null" if self.kind == "null" else f"'{self.value}'"
        return "a list" if isinstance(self.value, list) else "keys with values"


def read_settings(path: str | Path, overrides: Sequence[str] = ()) -> Setting:
    """Read a YAML file and put `key.path=value` overrides over it; the last one wins.

    Raises:
        FileNotFoundError: no such file.
        SettingsError: not YAML, a key given twice, or an override without a key or a value.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no configuration at {path}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not YAML: {error}") from error
    settings = _compose(text, str(path), count_lines=True)
    if settings is None or settings.kind == "null":
        settings = Setting({}, str(path), "keys")
    if not isinstance(settings.value, dict):
        raise SettingsError(f"{path} holds {settings}; a configuration is keys with values")
    for override in overrides:
        settings = _overridden(settings, override)
    return settings


def _compose(text: str, source: str, *, count_lines: bool) -> Setting | None:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}" if mark and count_lines else ""
        raise SettingsError(f"{source}{line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{source}: not YAML: {str(error).splitlines()[0]}") from error
    return None if node is None else _setting(node, source, count_lines, set())


def _setting(node: yaml.Node, source: str, count_lines: bool, seen: set[int]) -> Setting:
    origin = f"{source}, line {node.start_mark.line + 1}" if count_lines else source
    if id(node) in seen:
        raise SettingsError(f"{origin}: an alias repeats what is here; write the value out")
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        keys: dict[str, Setting] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            found = _setting(value, source, count_lines, seen)
            if count_lines:
                found = dataclasses.replace(
                    found, origin=f"{source}, line {key.start_mark.line + 1}"
                )
            if name in keys:
                raise found.error(f"'{name}' is given twice, first in {keys[name].origin}")
            keys[name] = found
        return Setting(keys, origin, "keys")
    if isinstance(node, yaml.SequenceNode):
        items = [_setting(item, source, count_lines, seen) for item in node.value]
        return Setting(items, origin, "list")
    assert isinstance(node, yaml.ScalarNode)
    tag = node.tag.removeprefix(_YAML)
    if tag not in _SCALARS:
        raise SettingsError(f"{origin}: the tag {node.tag} means nothing here; leave it out")
    kinds: dict[str, Literal["null", "bool", "str"]] = {"null": "null", "bool": "bool"}
    quoted = node.style is not None
    return Setting(node.value, origin, kinds.get(tag, "str" if quoted else "plain"))


def _overridden(settings: Setting, override: str) -> Setting:
    origin = f"--set {override}"
    path, equals, text = override.partition("=")
    names = path.strip().split(".")
    if not equals or not all(names):
        raise SettingsError(f"{origin}: wanted key.path=value, such as train.seed=3")
    value = _compose(text, origin, count_lines=False)
    if value is None:
        raise SettingsError(f"{origin}: there is no value; null is none, '' is empty text")
    return _replaced(settings, names, value)


def _replaced(settings: Setting, names: Sequence[str], value: Setting) -> Setting:
    keys = settings.value if isinstance(settings.value, dict) else {}
    name, *rest = names
    if rest:
        value = _replaced(keys.get(name, Setting({}, value.origin, "keys")), rest, value)
    return Setting({**keys, name: value}, settings.origin, "keys")


def field_types(kind: type) -> dict[str, Any]:
    """The types of a dataclass's fields, by name; a field whose default is None may be null."""
    hints = get_type_hints(kind)
    return {
        field.name: hints[field.name] | None if field.default is None else hints[field.name]
        for field in dataclasses.fields(kind)
        if field.init
    }


def keys_of(setting: Setting | None, name: str) -> dict[str, Setting]:
    """The keys of a section; none where it is absent or empty.

    Raises:
        SettingsError: it is something else.
    """
    if setting is None or setting.kind == "null":
        return {}
    if not isinstance(setting.value, dict):
        raise setting.error(f"{name} is {setting}; wanted keys with values")
    return setting.value


def read_values(wanted: Mapping[str, Any], setting: Setting | None, name: str) -> dict[str, Any]:
    """Read the keys of a section as the types say; keys that are absent stay absent.

    Raises:
        SettingsError: a key is unknown (the message names the nearest), or has a wrong value.
    """
    values = {}
    for key, found in keys_of(setting, name).items():
        if key not in wanted:
            raise found.error(unknown_name(f"{name} key".lstrip(), key, wanted))
        values[key] = read_value(wanted[key], found, f"{name}.{key}" if name else key)
    return values


def read_section(kind: type[_T], setting: Setting | None, name: str, source: str = "") -> _T:
    """Read a section as this dataclass.

    Args:
        kind: a dataclass; its own checks are blamed on the line of the key that they name.
        setting: the section; None where it is absent.
        name: its name, for messages.
        source: what to blame where it is absent.

    Raises:
        SettingsError: as for `read_values`; a key without default is missing; or the dataclass
            refuses the values.
    """
    values = read_values(field_types(kind), setting, name)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        optional = field.default is not MISSING or field.default_factory is not MISSING
        if field.init and not optional and field.name not in values:
            origin = setting.origin if setting else source
            raise SettingsError(f"{origin}: {name} lacks the key '{field.name}'")
    with blamed_on(setting, name, source):
        return kind(**values)


@contextmanager
def blamed_on(setting: Setting | None, name: str, source: str = "") -> Iterator[None]:
    """Let a ValueError say where its setting stands: at the key that it begins with, if any."""
    try:
        yield
    except SettingsError:
        raise
    except ValueError as error:
        first = str(error).partition(" ")[0].strip("'\":,")
        keys = setting.value if setting and isinstance(setting.value, dict) else {}
        blamed = keys.get(first, setting)
        origin = blamed.origin if blamed else source
        raise SettingsError(f"{origin}: {name}: {error}") from error


def read_value(wanted: Any, setting: Setting, name: str) -> Any:
    """Read one value as a type: bool, int, float, str, Path, Literal, tuple, dataclass, or a union.

    Raises:
        SettingsError: it is not of that type.
    """
    choices = list(get_args(wanted)) if _is_union(wanted) else [wanted]
    if setting.kind == "null" and type(None) in choices:
        return None
    for choice in choices:
        # An empty section is one with defaults only.
        empty = setting.kind == "null"
        if dataclasses.is_dataclass(choice) and (empty or isinstance(setting.value, dict)):
            assert isinstance(choice, type)
            return read_section(choice, setting, name)
        if get_origin(choice) is tuple and isinstance(setting.value, list):
            return _read_tuple(choice, setting, setting.value, name)
        if isinstance(setting.value, str):
            found = _scalar(choice, setting.value, setting.kind)
            if found is not MISSING:
                return found
    literals = [c for c in choices if get_origin(c) is Literal]
    known = [value for c in literals for value in get_args(c)]
    others = [c for c in choices if c is not type(None) and c not in literals]
    if known and not others and setting.kind == "plain" and all(isinstance(v, str) for v in known):
        raise setting.error(unknown_name(name, str(setting.value), known))
    raise setting.error(f"{name} must be {_described(wanted)}; got {setting}")


def _is_union(wanted: Any) -> bool:
    return get_origin(wanted) in (typing.Union, types.UnionType)


def _read_tuple(wanted: Any, setting: Setting, items: list[Setting], name: str) -> Any:
    item_types = get_args(wanted)
    if len(item_types) == 2 and item_types[1] is Ellipsis:
        item_types = item_types[:1] * len(items)
    if len(items) != len(item_types):
        raise setting.error(f"{name} must be {_described(wanted)}; got {len(items)} values")
    return tuple(
        read_value(kind, item, f"{name}[{i}]")
        for i, (kind, item) in enumerate(zip(item_types, items, strict=True))
    )


def _scalar(wanted: Any, text: str, kind: str) -> Any:
    """The value, or MISSING where the text is not of that type."""
    if get_origin(wanted) is Literal:
        for choice in get_args(wanted):
            found = None if choice is None else _scalar(type(choice), text, kind)
            if found == choice and (choice is not None or kind == "null"):
                return choice
        return MISSING
    if kind == "null":
        return MISSING
    if wanted is bool:
        return text.lower() in ("true", "yes", "on") if kind == "bool" else MISSING
    if wanted is int and kind == "plain" and _WHOLE.fullmatch(text):
        return int(text.replace("_", ""))
    if wanted is float and kind == "plain" and _NUMBER.fullmatch(text):
        value = float(text.replace("_", ""))
        return value if math.isfinite(value) else MISSING
    if wanted is str:
        return text
    if isinstance(wanted, type) and issubclass(wanted, Path):
        return wanted(text)
    return MISSING


def _described(wanted: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    if _is_union(wanted):
        return " or ".join(_described(choice) for choice in get_args(wanted))
    if wanted is type(None):
        return "null"
    if get_origin(wanted) is Literal:
        return "one of " + ", ".join(map(str, get_args(wanted)))
    if get_origin(wanted) is tuple:
        items = get_args(wanted)
        if len(items) == 2 and items[1] is Ellipsis:
            return f"a list, each {_described(items[0])}"
        return f"a list of {len(items)}, each {_described(items[0])}"
    if dataclasses.is_dataclass(wanted):
        return "keys with values"
    return names.get(wanted, "a path")


def plain_values(value: Any) -> Any:
    """A dataclass, tuple or path as what YAML and JSON hold; `read_section` reads it again."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain_values(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.init
        }
    if isinstance(value, Mapping):
        return {str(key): plain_values(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain_values(item) for item in value]
    return str(value) if isinstance(value, Path) else value
