"""The node's state as `/diagnostics` says it, once a second: what is wrong, where, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.qos import ReliabilityPolicy

from fafnet_ros.statistics import SILENT_AFTER, Statistics

_SEVERITY = {"OK": DiagnosticStatus.OK, "WARN": DiagnosticStatus.WARN}
_SEVERITY["ERROR"] = DiagnosticStatus.ERROR


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, with its remedy."""

    severity: str
    text: str


@dataclass(frozen=True)
class Input:
    """An input as the node sees it.

    Attributes:
        event: the name under which its messages are counted.
        topic: its full name.
        offers: the reliability that each publisher offers.
        is_heard: whether our subscription can hear all of them.
    """

    event: str
    topic: str
    offers: list[ReliabilityPolicy]
    is_heard: bool


@dataclass
class Report:
    """Everything that one diagnostics message says."""

    name: str
    hardware_id: str
    findings: list[Finding] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)

    def to_message(self) -> DiagnosticArray:
        """Return the message, without a stamp: the worst finding leads."""
        order = list(_SEVERITY)
        findings = sorted(self.findings, key=lambda finding: -order.index(finding.severity))
        status = DiagnosticStatus(name=self.name, hardware_id=self.hardware_id)
        status.level = _SEVERITY[findings[0].severity] if findings else DiagnosticStatus.OK
        status.message = "; ".join(finding.text for finding in findings) or "segmenting"
        status.values = [KeyValue(key=key, value=value) for key, value in self.values.items()]
        return DiagnosticArray(status=[status])


def describe_inputs(inputs: list[Input], statistics: Statistics) -> list[Finding]:
    """Name each silent input, and whether that is for want of a publisher."""
    findings = []
    for entry in inputs:
        if statistics.age(entry.event) < SILENT_AFTER:
            continue
        if not entry.is_heard:
            remedy = (
                "offers best effort, which a reliable subscription does not hear; set"
                f" reliability:=auto (ros2 topic info -v {entry.topic} shows both)"
            )
        elif entry.offers:
            remedy = f"has a publisher but is silent; check it with: ros2 topic hz {entry.topic}"
        else:
            remedy = "has no publisher; start the camera or remap the topic"
        findings.append(Finding("WARN", f"{entry.topic} {remedy}"))
    return findings


def describe_numbers(statistics: Statistics, pairing: Mapping[str, int]) -> dict[str, str]:
    """Return rates, counts and latencies as texts."""
    values = {
        f"{event} rate (Hz)": f"{statistics.rate(event):.1f}"
        for event in ("colour", "depth", "paired", "published")
    }
    values |= {f"pairing: {name}": str(count) for name, count in sorted(pairing.items())}
    values |= {f"frames: {name}": str(count) for name, count in sorted(statistics.counts.items())}
    for stage, (median, p95) in statistics.latency_ms().items():
        values[f"{stage} (ms) p50 / p95"] = f"{median:.1f} / {p95:.1f}"
    return values
