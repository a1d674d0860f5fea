"""The contestants, each as somebody writes it who has read the first page of its documentation.

Each takes a function, items, and the seconds that an item may take, for which it does what it has
to offer, or nothing. It gives the results as they come, and then the items that it has set aside.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from threading import Thread
from typing import Any

from benchmarks.peers import import_parallel_conveyor

WORKERS = 2

Function = Callable[[Any], Any]
Stream = Generator[Any, None, Any]
"""Gives the results, and at its end the items that were set aside."""


@dataclass(frozen=True, slots=True)
class Newcomer:
    """One way to run a function over items, on two processes.

    Attributes:
        run: does it.
        needs: the distribution that must be installed, if any.
    """

    run: Callable[[Function, Iterable[Any], float | None], Stream]
    needs: str | None = None


def conveyor(function: Function, items: Iterable[Any], limit: float | None) -> Stream:
    """Conveyor with no setting but the limit."""
    from conveyor import Feed, Processor

    stage = Processor(function).options(timeout=limit) if limit else Processor(function)
    yield from (Feed() >> stage % WORKERS).stream(items)


def conveyor_that_goes_on(function: Function, items: Iterable[Any], limit: float | None) -> Stream:
    """Conveyor, told to start workers again and to set aside what fails."""
    from conveyor import Feed, Processor

    stage = Processor(function).options(restarts=3, on_error="dead_letter")
    if limit:
        stage = stage.options(timeout=limit)
    stream = (Feed() >> stage % WORKERS).stream(items)
    yield from stream
    return [letter.item for letter in stream.dead_letters]


def pool(function: Function, items: Iterable[Any], limit: float | None) -> Stream:
    """`multiprocessing.Pool.imap`; the limit is that of the wait for the next result."""
    from multiprocessing import Pool

    with Pool(WORKERS) as workers:
        results = workers.imap(function, items)
        if limit is None:
            yield from results
        else:
            yield from _until_stop(lambda: results.next(timeout=limit))


def _until_stop(following: Callable[[], Any]) -> Iterator[Any]:
    while True:
        try:
            result = following()
        except StopIteration:
            return
        yield result


def futures(function: Function, items: Iterable[Any], limit: float | None) -> Stream:
    """`concurrent.futures`; the limit is that of the whole call, and there is no other."""
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(WORKERS) as executor:
        yield from executor.map(function, items, timeout=limit)


def loky(function: Function, items: Iterable[Any], limit: float | None) -> Stream:
    """Loky's reusable executor; the limit is that of the whole call, and there is no other."""
    from loky import get_reusable_executor

    executor = get_reusable_executor(max_workers=WORKERS)
    yield from executor.map(function, items, timeout=limit)


def joblib(function: Function, items: Iterable[Any], limit: float | None) -> Stream:
    """Joblib, with its own backend, which is loky."""
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=WORKERS, return_as="generator", timeout=limit)
    yield from parallel(delayed(function)(item) for item in items)


def mpire(function: Function, items: Iterable[Any], limit: float | None) -> Stream:
    """`mpire.WorkerPool`."""
    from mpire import WorkerPool

    with WorkerPool(WORKERS) as workers:
        yield from workers.imap(function, items, task_timeout=limit)


def pypeln(function: Function, items: Iterable[Any], limit: float | None) -> Stream:
    """A stage of pypeln. It knows of the limit, and drops what takes longer."""
    import pypeln as pl

    yield from pl.process.map(function, items, workers=WORKERS, timeout=limit or 0)


def mpipe(function: Function, items: Iterable[Any], _: float | None) -> Stream:
    """A stage of mpipe. It blocks when its pipes are full, so a thread puts the items."""
    import mpipe as m

    pipeline = m.Pipeline(m.OrderedStage(function, WORKERS))

    def put() -> None:
        for item in items:
            pipeline.put(item)
        pipeline.put(None)

    Thread(target=put, daemon=True).start()
    yield from pipeline.results()


def parallel_conveyor(function: Function, items: Iterable[Any], _: float | None) -> Stream:
    """parallel-conveyor. It gives no results back, so the stage sends them by a queue."""
    from multiprocessing import Queue

    stages, pipelines = import_parallel_conveyor()
    results: Any = Queue()

    def send(item: Any) -> bool:
        results.put(function(item))
        return True

    given = 0
    with pipelines.Pipeline() as pipeline:
        pipeline.add(stages.BalancingFork(WORKERS))
        pipeline.add(*[stages.Processor(send) for _ in range(WORKERS)])
        if isinstance(items, list):
            pipeline.run(items)
            given = len(items)
        else:
            Thread(target=lambda: [pipeline.run(item) for item in items], daemon=True).start()
        while not isinstance(items, list) or given:
            yield results.get()
            given -= 1


NEWCOMERS = {
    "conveyor": Newcomer(conveyor),
    "conveyor, restarts": Newcomer(conveyor_that_goes_on),
    "Pool.imap": Newcomer(pool),
    "futures": Newcomer(futures),
    "loky": Newcomer(loky, "loky"),
    "joblib": Newcomer(joblib, "joblib"),
    "mpire": Newcomer(mpire, "mpire"),
    "pypeln": Newcomer(pypeln, "pypeln"),
    "mpipe": Newcomer(mpipe, "mpipe"),
    "parallel-conveyor": Newcomer(parallel_conveyor, "parallel-conveyor"),
}
