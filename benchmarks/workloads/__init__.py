"""The workloads, a file each."""

from __future__ import annotations

from benchmarks.contest import Workload
from benchmarks.workloads.arrays import ARRAYS, ARRAYS_BACK
from benchmarks.workloads.balance import BALANCE, SKEW
from benchmarks.workloads.chain3 import CHAIN3
from benchmarks.workloads.dicts import DICTS
from benchmarks.workloads.latency import LATENCY
from benchmarks.workloads.latency_stream import LATENCY_STREAM
from benchmarks.workloads.memory import MEMORY
from benchmarks.workloads.replicate import REPLICATE
from benchmarks.workloads.restarts import RESTARTS
from benchmarks.workloads.scale import SCALE_BRANCHES, SCALE_ITEMS, SCALE_STAGES
from benchmarks.workloads.seeing import SEEING
from benchmarks.workloads.shared import SHARED
from benchmarks.workloads.startup import STARTUP
from benchmarks.workloads.uneven import UNEVEN
from benchmarks.workloads.warm import WARM_RUN

WORKLOADS: dict[str, Workload] = {
    one.name: one
    for one in (
        CHAIN3,
        REPLICATE,
        DICTS,
        BALANCE,
        SKEW,
        UNEVEN,
        ARRAYS,
        ARRAYS_BACK,
        STARTUP,
        WARM_RUN,
        LATENCY,
        LATENCY_STREAM,
        MEMORY,
        SCALE_ITEMS,
        SCALE_STAGES,
        SCALE_BRANCHES,
        RESTARTS,
        SEEING,
        SHARED,
    )
}
