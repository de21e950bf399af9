"""Parameters as typed, frozen dataclasses: declared, described, range-checked.

A parameter file is a person's handwriting. What does not fit (an unknown name, a wrong type, a
value out of range) is named in a warning with what to write instead, and the default stands; rclpy
alone would accept an unknown name in silence and end the process on an integer for a double.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, TypeVar, cast

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from fafnet_core.nearest import unknown_name

P = TypeVar("P")

_SPEC = "parameter"
_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_ITEMS_NAMES = {float: "numbers", str: "texts"}
# Declared by rclpy itself.
_BUILT_IN = ("use_sim_time", "start_type_description_service")
_BUILT_IN_PREFIX = "qos_overrides."


@dataclass(frozen=True)
class _Spec:
    description: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    live: bool = False
    items: type | None = None
    counts: tuple[int, ...] = ()
    check: Callable[[Any], object] | None = None


def parameter(
    default: Any,
    description: str,
    *,
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    live: bool = False,
    items: type | None = None,
    counts: tuple[int, ...] = (),
    check: Callable[[Any], object] | None = None,
) -> Any:
    """Return a dataclass field that is a ROS parameter.

    Args:
        default: its value where nobody sets one; its type is the parameter's type.
        description: what `ros2 param describe` says.
        choices: the texts it may hold; empty means any.
        minimum: smallest value of a number.
        maximum: largest value of a number.
        live: may change while the node is active; others change while it is not.
        items: the type of a list's entries, float or str; its field is a tuple.
        counts: how many entries a list may have; empty means any number.
        check: raises ValueError for a value that it may not hold, saying what is wanted.
    """
    spec = _Spec(description, choices, minimum, maximum, live, items, counts, check)
    return field(default=default, metadata={_SPEC: spec})


def _spec(definition: Field[Any]) -> _Spec:
    return cast(_Spec, definition.metadata[_SPEC])


def _checked(definition: Field[Any], value: Any) -> Any:
    """Return the value in the parameter's type, or raise ValueError saying what is wanted."""
    spec = _spec(definition)
    if spec.items is not None:
        return _checked_list(definition.name, spec, value)
    wanted: type[Any] = type(definition.default)
    if wanted is float and type(value) is int:
        value = float(value)
    if wanted is str and type(value) in (int, float):
        value = str(value)  # a file or folder named 7
    if type(value) is not wanted:
        raise ValueError(f"{definition.name} is {value!r}; it has to be {_TYPE_NAMES[wanted]}")
    if spec.choices and value not in spec.choices:
        raise ValueError(f"{definition.name}: {unknown_name('value', value, spec.choices)}")
    low, high = spec.minimum, spec.maximum
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        raise ValueError(f"{definition.name} is {value:g}; it has to be {_range_text(low, high)}")
    if spec.check is not None:
        try:
            spec.check(value)
        except ValueError as error:
            raise ValueError(f"{definition.name}: {error}") from error
    return value


def _checked_list(name: str, spec: _Spec, value: Any) -> tuple[Any, ...]:
    """Return a list's entries as a tuple, or raise ValueError saying what is wanted."""
    if value is None or isinstance(value, (str, bool, int, float)):
        # `[]` on a command line comes as None, and a list of one is easily written without [ ].
        value = () if value is None or value == "" else (value,)
    items = tuple(value)
    if spec.items is float and all(type(item) in (int, float) for item in items):
        items = tuple(float(item) for item in items)
    is_count = not spec.counts or len(items) in spec.counts
    if not is_count or not all(type(item) is spec.items for item in items):
        counts = " or ".join(str(count) for count in spec.counts) + " " if spec.counts else ""
        raise ValueError(
            f"{name} is {list(items)!r}; it has to be a list of"
            f" {counts}{_ITEMS_NAMES[cast(type, spec.items)]}"
        )
    return items


def _range_text(low: float | None, high: float | None) -> str:
    bounds = [f"at least {low:g}"] if low is not None else []
    bounds += [f"at most {high:g}"] if high is not None else []
    return " and ".join(bounds)


def _descriptor(definition: Field[Any]) -> ParameterDescriptor:
    spec = _spec(definition)
    descriptor = ParameterDescriptor(name=definition.name, description=spec.description)
    if spec.items is not None:
        # rclpy takes an empty list for one of bytes, and would then refuse every other.
        descriptor.dynamic_typing = True
        counts = " or ".join(str(count) for count in spec.counts) + " " if spec.counts else ""
        descriptor.additional_constraints = f"a list of {counts}{_ITEMS_NAMES[spec.items]}"
    if spec.choices:
        descriptor.additional_constraints = "one of: " + ", ".join(spec.choices)
    if spec.minimum is not None or spec.maximum is not None:
        low = spec.minimum if spec.minimum is not None else -1e9
        high = spec.maximum if spec.maximum is not None else 1e9
        if isinstance(definition.default, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        else:
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
    return descriptor


def declare_parameters(
    node: Node,
    *groups: type,
    may_change: Callable[[], bool] = lambda: True,
    check: Callable[[Any], None] = lambda group: None,
) -> None:
    """Declare every field of the dataclasses; warn of what a file or command line has wrong.

    Args:
        node: the node that gets the parameters.
        groups: dataclasses whose fields come from `parameter`.
        may_change: tells whether parameters that are not live may be set now.
        check: gets each group that is about to change, with its new values; raises ValueError
            where they do not fit together or to the node. Nothing is then set, for that reason.
    """
    definitions = {definition.name: definition for group in groups for definition in fields(group)}
    # rclpy has no public way to see overrides of parameters that nobody declares.
    overrides: dict[str, Parameter] = dict(getattr(node, "_parameter_overrides", {}))
    known = [*definitions, *_BUILT_IN]
    for name in overrides:
        if name not in known and not name.startswith(_BUILT_IN_PREFIX):
            node.get_logger().warning(f"ignored: {unknown_name('parameter', name, known)}")
    for name, definition in definitions.items():
        value = definition.default
        if name in overrides:
            try:
                value = _checked(definition, overrides[name].value)
            except ValueError as error:
                node.get_logger().warning(f"parameter {error}. The default {value!r} is used")
        node.declare_parameter(name, _to_ros(value), _descriptor(definition), ignore_override=True)

    def refuse(parameters: Sequence[Parameter]) -> SetParametersResult:
        changes = {}
        for changed in parameters:
            definition = definitions.get(changed.name)
            if definition is None:
                continue
            if changed.type_ == Parameter.Type.NOT_SET:
                # rclpy lets lists be deleted, for their type may change; we could not read them.
                default = _to_ros(definition.default)
                reason = f"{changed.name} cannot be deleted; its default is {default!r}"
                return SetParametersResult(successful=False, reason=reason)
            if not _spec(definition).live and not may_change():
                reason = (
                    f"{changed.name} takes effect when the node is configured: deactivate and"
                    " clean up (ros2 lifecycle set), set it, then configure and activate"
                )
                return SetParametersResult(successful=False, reason=reason)
            try:
                changes[changed.name] = _checked(definition, changed.value)
            except ValueError as error:
                return SetParametersResult(successful=False, reason=str(error))
        try:
            for group in groups:
                names = {definition.name for definition in fields(group)} & set(changes)
                if names:
                    new = {name: changes[name] for name in names}
                    check(replace(read_parameters(node, group), **new))
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(refuse)


def read_parameters(node: Node, kind: type[P]) -> P:
    """Return a group with the node's present values."""
    definitions = fields(cast(Any, kind))
    values = {d.name: _checked(d, node.get_parameter(d.name).value) for d in definitions}
    return kind(**values)


def _to_ros(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
