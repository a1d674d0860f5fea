"""One stage that imports numpy."""

from time import perf_counter

from benchmarks.scripts.with_numpy import stage
from conveyor import Processor

for first in Processor(stage).stream([4]):
    print(first, perf_counter(), flush=True)
