"""Four stages, an item, over pipes; the processes come from a fork server."""

from time import perf_counter

from benchmarks.hand import pipes


def stage(x: int) -> int:
    """The work of a stage."""
    return x + 1


if __name__ == "__main__":
    with pipes.chain(stage, stage, stage, stage, method="forkserver") as (first, last):
        first.send(1)
        print(last.recv(), perf_counter(), flush=True)
