"""The physical cores that this process may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from conveyor.engines.processes.groups import groups

_CPUS = Path("/sys/devices/system/cpu")


def physical_cores() -> int:
    """How many physical cores there are for this process: affinity and quota included."""
    cores = _cores_of(os.sched_getaffinity(0))
    return max(1, min([cores, *(math.ceil(limit) for limit in _limits())]))


def _cores_of(cpus: set[int]) -> int:
    """How many physical cores have at least one of these logical ones."""
    try:
        siblings = {(_CPUS / f"cpu{cpu}/topology/thread_siblings_list").read_text() for cpu in cpus}
    except OSError:
        return _by_average(len(cpus))
    return len(siblings)


def _by_average(cpus: int) -> int:
    """How many physical cores so many logical ones are, where the kernel does not say which."""
    # Late, since it is seldom needed, and slow to import.
    import psutil

    logical, physical = psutil.cpu_count(logical=True), psutil.cpu_count(logical=False)
    return cpus // max(1, logical // physical) if logical and physical else cpus


def _limits() -> Iterator[float]:
    """The cores that each control group around this process allows, where it has a limit."""
    for group in groups("self", "cpu"):
        yield from _limit(group)


def _limit(group: Path) -> Iterator[float]:
    """The limit of one control group: of version 2, or of version 1."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (group / "cpu.cfs_quota_us").read_text()
            period = (group / "cpu.cfs_period_us").read_text()
        except OSError:
            return
    if quota.strip() != "max" and int(quota) > 0:
        yield int(quota) / int(period)
