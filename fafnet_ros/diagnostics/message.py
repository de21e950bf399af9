"""The node's state as `/diagnostics` says it: what is wrong, where, what to do, and the figures.

The names of the values are stable: people write alerts on them. Each value is one number or one
word, with its unit in the name.
"""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from fafnet_ros.diagnostics.events import INVALID_DEPTH
from fafnet_ros.diagnostics.memory import MemoryState
from fafnet_ros.diagnostics.rules import findings
from fafnet_ros.diagnostics.state import ActiveState, Finding, NodeState, StampState
from fafnet_ros.diagnostics.statistics import Figures, rate_text

STAGES = ("receive", "decode", "register", "hha", "odometry", "network", "publish", "total")
"""The stages of a frame, in order: from receipt to the worker's hands, its work, and in all."""

_LEVELS = {
    "OK": DiagnosticStatus.OK,
    "IDLE": DiagnosticStatus.OK,
    "WARN": DiagnosticStatus.WARN,
    "ERROR": DiagnosticStatus.ERROR,
}
_FLOWS = ("colour", "depth", "paired", "published")


def diagnostics_message(state: NodeState) -> DiagnosticArray:
    """Return the message, without a stamp: the worst finding leads and decides the level."""
    severity, text = _summary(findings(state))
    status = DiagnosticStatus(name=f"{state.name}: segmentation", hardware_id=state.device)
    status.level, status.message = _LEVELS[severity], text
    values = {"state": state.lifecycle, **state.network}
    if state.active is not None:
        values |= _figures(state.figures, state.active)
        values |= _stamps(state.active.stamps)
        values |= {"max latency (s)": f"{state.active.max_latency_s:g}"}
        values |= _memory(state.active.memory)
    status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
    return DiagnosticArray(status=[status])


def _summary(found: list[Finding]) -> tuple[str, str]:
    order = list(_LEVELS)
    found = sorted(found, key=lambda finding: -order.index(finding.severity))
    worst = found[0].severity if found else "OK"
    if worst in ("WARN", "ERROR"):  # what is wrong says why nothing is segmented
        found = [finding for finding in found if finding.severity != "IDLE"]
    texts = [finding.text for finding in found]
    return worst, "; ".join(["segmenting", *texts] if worst == "OK" else texts)


def _figures(figures: Figures, active: ActiveState) -> dict[str, str]:
    """Return rates, ages, counts, latencies and gauges as texts; no age of what never came."""
    flows = {flow: figures.event(flow) for flow in _FLOWS}
    values = {f"{flow} rate (Hz)": rate_text(event.rate_hz) for flow, event in flows.items()}
    values |= {f"{flow} age (s)": f"{e.age_s:.1f}" for flow, e in flows.items() if e.count}
    values |= {f"pairing: {name}": str(n) for name, n in sorted(active.pairing_counts.items())}
    values |= {f"frames: {name}": str(e.count) for name, e in sorted(figures.events.items())}
    for stage in sorted(figures.latencies, key=_stage_order):
        latency = figures.latencies[stage]
        for name in ("p50", "p95", "p99"):
            values[f"{stage} {name} (ms)"] = f"{getattr(latency, name):.1f}"
    for name, value in sorted(figures.gauges.items()):
        if name == INVALID_DEPTH:
            values[f"{name} (%)"] = f"{100 * value:.1f}"
        else:
            values[name] = f"{value:.3g}"
    return values


def _stage_order(stage: str) -> tuple[int, str]:
    return (STAGES.index(stage) if stage in STAGES else len(STAGES)), stage


def _stamps(stamps: StampState) -> dict[str, str]:
    figures = {
        "nearest stamps (ms)": stamps.nearest_s,
        "depth clock offset (ms)": stamps.clock_offset_s,
    }
    return {name: f"{1e3 * value:.1f}" for name, value in figures.items() if value is not None}


def _memory(memory: MemoryState | None) -> dict[str, str]:
    if memory is None:
        return {}
    sizes = {"used": memory.used, "free": memory.free, "total": memory.total}
    return {f"memory {name} (MiB)": f"{size / 2**20:.0f}" for name, size in sizes.items()}
