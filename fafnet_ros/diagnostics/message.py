"""The node's state as `/diagnostics` says it, once a second: what is wrong, where, what to do.

The names of the values are stable: people write alerts on them. Each value is one number or one
word, with its unit in the name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from fafnet_ros.diagnostics.rules import INVALID_DEPTH
from fafnet_ros.diagnostics.state import Finding, LoadState, MemoryState
from fafnet_ros.diagnostics.statistics import Statistics, rate_text
from fafnet_ros.inputs.stamps import PairingState

STAGES = ("receive", "decode", "register", "hha", "network", "publish", "total")
"""The stages of a frame, in order: from receipt to the worker's hands, its work, and in all."""

_LEVELS = {
    "OK": DiagnosticStatus.OK,
    "IDLE": DiagnosticStatus.OK,
    "WARN": DiagnosticStatus.WARN,
    "ERROR": DiagnosticStatus.ERROR,
}
_FLOWS = ("colour", "depth", "paired", "published")
_MIB = 2**20


@dataclass
class Report:
    """Everything that one diagnostics message says."""

    name: str
    hardware_id: str
    findings: list[Finding] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)

    def to_message(self) -> DiagnosticArray:
        """Return the message, without a stamp: the worst finding leads."""
        order = list(_LEVELS)
        findings = sorted(self.findings, key=lambda finding: -order.index(finding.severity))
        worst = findings[0].severity if findings else "OK"
        if worst in ("WARN", "ERROR"):  # what is wrong says why nothing is segmented
            findings = [finding for finding in findings if finding.severity != "IDLE"]
        texts = [finding.text for finding in findings]
        if worst == "OK":
            texts.insert(0, "segmenting")
        status = DiagnosticStatus(name=self.name, hardware_id=self.hardware_id)
        status.level = _LEVELS[worst]
        status.message = "; ".join(texts)
        status.values = [KeyValue(key=key, value=value) for key, value in self.values.items()]
        return DiagnosticArray(status=[status])


def describe_numbers(statistics: Statistics, pairing: Mapping[str, int]) -> dict[str, str]:
    """Return rates, ages, counts, latencies and the share of invalid depth as texts.

    Args:
        statistics: what the node counted since it started.
        pairing: what the synchroniser counted since activation.
    """
    values = {f"{event} rate (Hz)": rate_text(statistics.rate(event)) for event in _FLOWS}
    ages = {event: statistics.age(event) for event in _FLOWS}
    values |= {f"{event} age (s)": f"{age:.1f}" for event, age in ages.items() if age < 1e9}
    values |= {f"pairing: {name}": str(count) for name, count in sorted(pairing.items())}
    values |= {f"frames: {name}": str(count) for name, count in sorted(statistics.counts.items())}
    latencies = statistics.latency_ms()
    for stage in sorted(latencies, key=_stage_order):
        latency = latencies[stage]
        for name in ("p50", "p95", "p99"):
            values[f"{stage} {name} (ms)"] = f"{getattr(latency, name):.1f}"
    gauges = statistics.gauges
    if INVALID_DEPTH in gauges:
        values[f"{INVALID_DEPTH} (%)"] = f"{100 * gauges.pop(INVALID_DEPTH):.1f}"
    return values | {name: f"{value:.3g}" for name, value in sorted(gauges.items())}


def _stage_order(stage: str) -> tuple[int, str]:
    return (STAGES.index(stage) if stage in STAGES else len(STAGES)), stage


def describe_stamps(pairing: PairingState) -> dict[str, str]:
    """Return how the stamps of both streams lie, as texts; unknown ones are left out."""
    figures = {
        "nearest stamps (ms)": pairing.nearest_s,
        "depth clock offset (ms)": pairing.clock_offset_s,
    }
    return {name: f"{1e3 * value:.1f}" for name, value in figures.items() if value is not None}


def describe_load(load: LoadState) -> dict[str, str]:
    """Return how the load control stands, as texts."""
    return {"max latency (s)": f"{load.max_latency_s:g}"}


def describe_memory(memory: MemoryState | None) -> dict[str, str]:
    """Return a device's memory in MiB, as texts; none where it is unknown."""
    if memory is None:
        return {}
    sizes = {"used": memory.used, "free": memory.free, "total": memory.total}
    return {
        f"memory {name} (MiB)": f"{size / _MIB:.0f}"
        for name, size in sizes.items()
        if size is not None
    }


def device_memory(device: str) -> MemoryState | None:
    """Return the memory of a torch device; None where the system does not say.

    For CUDA, `used` is what this process's allocator holds; for the CPU, its resident memory.

    Args:
        device: a torch device's name, e.g. "cpu" or "cuda:0".
    """
    if device.startswith("cuda"):
        import torch

        number = torch.device(device).index
        if number is None:
            number = torch.cuda.current_device()
        free, total = torch.cuda.mem_get_info(number)
        used = torch.cuda.memory_reserved(number)
        return MemoryState(device=device, used=used, free=free, total=total)
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # not Linux
        return None
    kibibytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    free_kib = kibibytes.get("MemAvailable")
    return MemoryState(
        device=device,
        used=int(pages) * os.sysconf("SC_PAGE_SIZE"),
        free=None if free_kib is None else 1024 * free_kib,
        total=1024 * kibibytes["MemTotal"],
    )
