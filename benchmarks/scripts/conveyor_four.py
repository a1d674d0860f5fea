"""Four stages, an item, with Conveyor."""

from time import perf_counter

from conveyor import Processor


def stage(x: int) -> int:
    """The work of a stage."""
    return x + 1


four = Processor(stage) >> Processor(stage) >> Processor(stage) >> Processor(stage)
for first in four.stream([1]):
    print(first, perf_counter(), flush=True)
