"""Parameters as typed, frozen dataclasses: declared, described, range-checked.

A parameter file is written by hand. What is wrong in it (an unknown name, a wrong type, a value out
of range) is named in a warning with what to write instead, and the default is used; rclpy alone
would accept an unknown name silently and end the process on an integer for a double.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from fafnet_core.nearest import unknown_name
from fafnet_core.settings import FieldError, check_fields, field_types

P = TypeVar("P", bound="Parameters")

_SPEC = "parameter"
# Declared by rclpy itself.
_BUILT_IN = ("use_sim_time", "start_type_description_service")
_BUILT_IN_PREFIX = "qos_overrides."


@dataclass(frozen=True)
class _Spec:
    description: str
    live: bool
    counts: tuple[int, ...]


def parameter(
    default: Any, description: str, *, live: bool = False, counts: tuple[int, ...] = ()
) -> Any:
    """Return a field of `Parameters` that is a ROS parameter.

    Args:
        default: its value where nobody sets one.
        description: what `ros2 param describe` says.
        live: may change while the node is active; others change while it is unconfigured.
        counts: how many entries a list may have; empty: any number.
    """
    return field(default=default, metadata={_SPEC: _Spec(description, live, counts)})


@dataclass(frozen=True)
class Parameters:
    """A group of parameters; types and ranges are in its annotations, as `settings` reads them.

    Raises:
        FieldError: a value has another type, is out of range, or is a list of another length.
    """

    def __post_init__(self) -> None:
        check_fields(self)
        for each in fields(self):
            value, counts = getattr(self, each.name), each.metadata[_SPEC].counts
            if counts and len(value) not in counts:
                wanted = " or ".join(map(str, counts))
                text = f"{each.name} is {list(value)}; wanted a list of {wanted} numbers"
                raise FieldError(each.name, text)


def _specs(kind: type) -> dict[str, _Spec]:
    return {each.name: each.metadata[_SPEC] for each in fields(kind)}


def _from_ros(wanted: Any, value: Any) -> Any:
    """Return what a person may write for a value of this type as that type."""
    if wanted is str and type(value) in (int, float):
        return str(value)  # a file or folder named 7
    if get_origin(wanted) is not tuple:
        return value
    # `[]` on a command line comes as None, and a list of one is easily written without [ ].
    if value is None or value == "":
        return []
    return [value] if isinstance(value, (str, bool, int, float)) else list(value)


def _to_ros(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _checked(kind: type[Parameters], name: str, value: Any) -> Any:
    """Return a value in its parameter's type, or raise ValueError saying what is wanted."""
    try:
        return getattr(kind(**{name: _from_ros(field_types(kind)[name], value)}), name)
    except FieldError:
        raise
    except ValueError as error:  # of the group's own checks, which need not know the name
        raise ValueError(f"{name}: {error}") from error


def _descriptor(kind: type[Parameters], name: str) -> ParameterDescriptor:
    wanted = field_types(kind)[name]
    arguments = get_args(wanted)
    descriptor = ParameterDescriptor(name=name, description=_specs(kind)[name].description)
    if get_origin(wanted) is tuple:
        # rclpy takes an empty list for one of bytes, and would then refuse every other.
        descriptor.dynamic_typing = True
        counts = " or ".join(map(str, _specs(kind)[name].counts))
        items = "numbers" if arguments[0] is float else "texts"
        descriptor.additional_constraints = f"a list of {counts} {items}".replace("  ", " ")
    elif get_origin(wanted) is Literal:
        descriptor.additional_constraints = "one of: " + ", ".join(arguments)
    elif get_origin(wanted) is Annotated:
        number, bounds = arguments  # "0 <= x <= 1"
        low, high = number(bounds.split()[0]), number(bounds.split()[-1])
        if number is float:
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        else:
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
    return descriptor


def declare_parameters(
    node: Node,
    *groups: type[Parameters],
    may_change: Callable[[], bool] = lambda: True,
    check: Callable[[Any], None] = lambda group: None,
) -> None:
    """Declare every field of the groups; warn of mistakes in a parameter file or command line.

    Args:
        node: the node that gets the parameters.
        groups: the dataclasses.
        may_change: tells whether parameters that are not live may be set now.
        check: gets each group that is about to change, with its new values; raises ValueError
            where they do not fit together or to the node. Then nothing is set.
    """
    kinds = {name: kind for kind in groups for name in field_types(kind)}
    # rclpy has no public way to see overrides of parameters that nobody declares.
    overrides: dict[str, Parameter] = dict(getattr(node, "_parameter_overrides", {}))
    known = [*kinds, *_BUILT_IN]
    for name in overrides:
        if name not in known and not name.startswith(_BUILT_IN_PREFIX):
            node.get_logger().warning(f"ignored: {unknown_name('parameter', name, known)}")
    for name, kind in kinds.items():
        value = getattr(kind(), name)
        if name in overrides:
            try:
                value = _checked(kind, name, overrides[name].value)
            except ValueError as error:
                node.get_logger().warning(f"parameter {error}. The default {value!r} is used")
        node.declare_parameter(name, _to_ros(value), _descriptor(kind, name), ignore_override=True)

    def on_set(parameters: Sequence[Parameter]) -> SetParametersResult:
        try:
            changes = _changes(kinds, parameters, may_change=may_change())
            for kind, values in changes.items():
                check(replace(read_parameters(node, kind), **values))
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(on_set)


def _changes(
    kinds: Mapping[str, type[Parameters]], parameters: Sequence[Parameter], *, may_change: bool
) -> dict[type[Parameters], dict[str, Any]]:
    """Return the new values by group, or raise ValueError saying why one may not be set."""
    changes: defaultdict[type[Parameters], dict[str, Any]] = defaultdict(dict)
    for changed in parameters:
        name, kind = changed.name, kinds.get(changed.name)
        if kind is None:
            continue
        if changed.type_ == Parameter.Type.NOT_SET:
            # rclpy lets lists be deleted, for their type may change; we could not read them.
            default = _to_ros(getattr(kind(), name))
            raise ValueError(f"{name} cannot be deleted; its default is {default!r}")
        if not (may_change or _specs(kind)[name].live):
            raise ValueError(
                f"{name} takes effect when the node is configured: deactivate and clean up"
                " (ros2 lifecycle set), set it, then configure and activate"
            )
        changes[kind][name] = _checked(kind, name, changed.value)
    return changes


def read_parameters(node: Node, kind: type[P]) -> P:
    """Return a group with the node's present values."""
    values = {
        name: _from_ros(wanted, node.get_parameter(name).value)
        for name, wanted in field_types(kind).items()
    }
    return kind(**values)
