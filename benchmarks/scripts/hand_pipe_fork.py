"""Four stages, an item, over pipes; the processes are forked."""

from time import perf_counter

from benchmarks.hand import pipes


def stage(x: int) -> int:
    """The work of a stage."""
    return x + 1


if __name__ == "__main__":
    with pipes.chain(stage, stage, stage, stage) as (first, last):
        first.send(1)
        print(last.recv(), perf_counter(), flush=True)
