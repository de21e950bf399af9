"""What others see of the node, and set in it: its diagnostics and its parameters."""

from __future__ import annotations

from typing import Any

from conftest import Ros
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters, SetParametersAtomically

OK, WARN, ERROR = b"\x00", b"\x01", b"\x02"

_KINDS: dict[type, tuple[int, str]] = {
    float: (ParameterType.PARAMETER_DOUBLE, "double_value"),
    int: (ParameterType.PARAMETER_INTEGER, "integer_value"),
    str: (ParameterType.PARAMETER_STRING, "string_value"),
    list: (ParameterType.PARAMETER_STRING_ARRAY, "string_array_value"),
}


class Diagnostics:
    """What a node's diagnostics say; the latest report, where nothing else is said.

    Args:
        ros: its domain.
        node: its full name, where several report; None: whoever reports.
    """

    def __init__(self, ros: Ros, node: str | None = None) -> None:
        self._ros = ros
        self._title = None if node is None else f"{node}: segmentation"
        self.reports: list[DiagnosticArray] = []
        ros.node.create_subscription(DiagnosticArray, "/diagnostics", self._note, 10)

    def _note(self, report: DiagnosticArray) -> None:
        if self._title in (None, report.status[0].name):
            self.reports.append(report)

    @property
    def level(self) -> bytes:
        return bytes(self.reports[-1].status[0].level)

    @property
    def device(self) -> str:
        """What the network runs on."""
        return str(self.reports[-1].status[0].hardware_id)

    @property
    def message(self) -> str:
        return self.messages[-1] if self.reports else ""

    @property
    def messages(self) -> list[str]:
        """Those of all reports."""
        return [str(report.status[0].message) for report in self.reports]

    @property
    def values(self) -> dict[str, str]:
        if not self.reports:
            return {}
        return {entry.key: entry.value for entry in self.reports[-1].status[0].values}

    def number(self, name: str) -> float:
        return float(self.values.get(name, "0"))

    def has(self, *parts: str) -> bool:
        return all(part in self.message for part in parts)

    def wait_for(self, *parts: str) -> None:
        self._ros.wait_for(lambda: self.has(*parts), f"'{' ... '.join(parts)}'")

    def wait_for_number(self, name: str, least: float) -> None:
        self._ros.wait_for(lambda: self.number(name) >= least, f"'{name}' of {least}")

    def refresh(self) -> None:
        """Wait for a report of what is so now."""
        wanted = len(self.reports) + 2
        self._ros.wait_for(lambda: len(self.reports) >= wanted, "the next report")


def _parameters(values: dict[str, Any]) -> list[Parameter]:
    kinds = {name: _KINDS[type(value)] for name, value in values.items()}
    return [
        Parameter(name=name, value=ParameterValue(type=kind, **{field: values[name]}))
        for name, (kind, field) in kinds.items()
    ]


def set_parameters(ros: Ros, **values: Any) -> list[Any]:
    """Set parameters one by one and return the results."""
    request = SetParameters.Request(parameters=_parameters(values))
    return list(ros.call(SetParameters, "/fafnet/set_parameters", request).results)


def set_together(ros: Ros, **values: Any) -> Any:
    """Set parameters all at once, or none, and return the result."""
    request = SetParametersAtomically.Request(parameters=_parameters(values))
    service = "/fafnet/set_parameters_atomically"
    return ros.call(SetParametersAtomically, service, request).result
