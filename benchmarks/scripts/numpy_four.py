"""Four stages that import numpy."""

from time import perf_counter

from benchmarks.scripts.with_numpy import stage
from conveyor import Processor

four = Processor(stage) >> Processor(stage) >> Processor(stage) >> Processor(stage)
for first in four.stream([1]):
    print(first, perf_counter(), flush=True)
