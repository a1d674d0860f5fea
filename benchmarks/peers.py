"""Peers, called as their documentation calls them.

A peer is opened with the functions of the stages and the number of workers; what it gives takes
items and gives results. Those with stages have the workers in each; the others get the functions
composed into one. A chunk is what the user sets by hand; the default is what a newcomer gets.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

from benchmarks.contest import Contestant, Run, timed

OUT_OF_THE_WAY = {"parallel-conveyor": Path(sys.prefix) / "parallel-conveyor"}
"""Where a peer is installed that must not be on the path: its package is called as ours is."""

Function = Callable[[Any], Any]
Take = Callable[[Iterable[Any]], Iterable[Any]]

CORES = 2
"""The workers of what has no stages, where the workload does not say how many."""


@dataclass(frozen=True, slots=True)
class Peer:
    """How a peer is called.

    Attributes:
        opener: takes functions, workers, and for some a chunk.
        needs: the distribution that it is in; None for the standard library.
        has_stages: whether every function gets workers of its own.
        is_reusable: whether what is opened takes items several times.
        chunk: how many items go to a worker at once; None for its own default.
    """

    opener: Callable[..., AbstractContextManager[Take]]
    needs: str | None = None
    has_stages: bool = False
    is_reusable: bool = True
    chunk: int | None = None

    def with_chunk(self, chunk: int) -> Peer:
        """The same with a chunk set by hand."""
        return replace(self, chunk=chunk)

    def open(
        self, functions: Sequence[Function], workers: int | None = None
    ) -> AbstractContextManager[Take]:
        """What takes items: an iterable with a length.

        Args:
            functions: the stages.
            workers: in each stage; None for one in each, or for as many as there are cores.
        """
        number = workers or (1 if self.has_stages else CORES)
        if not self.has_stages and len(functions) > 1:
            functions = (Composed(functions),)
        if self.chunk is None:
            return self.opener(functions, number)
        return self.opener(functions, number, self.chunk)

    def run_warm(
        self,
        functions: Sequence[Function],
        first: Sequence[Any],
        items: Sequence[Any],
        *,
        workers: int | None = None,
        gather: Callable[[Iterable[Any]], Any] = list,
    ) -> Run:
        """Time a run of the items, on processes that ``first`` has shown to be up, if it can be.

        Args:
            functions: the stages.
            first: some items to begin with.
            items: the items.
            workers: as in `open`.
            gather: what is done with the results.
        """
        with self.open(functions, workers) as take:
            if self.is_reusable:
                gather(take(first))
            return timed(lambda: gather(take(items)))


class Composed:
    """Functions as one, as a user writes it who has a list of steps."""

    def __init__(self, functions: Sequence[Function]) -> None:
        self._functions = functions

    def __call__(self, item: Any) -> Any:
        """What comes of an item."""
        for function in self._functions:
            item = function(item)
        return item


@contextmanager
def _pool(functions: Sequence[Function], workers: int, chunk: int = 1) -> Iterator[Take]:
    from multiprocessing import Pool

    with Pool(workers) as pool:
        yield lambda items: pool.imap(functions[0], items, chunk)


@contextmanager
def _futures(functions: Sequence[Function], workers: int, chunk: int = 1) -> Iterator[Take]:
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(workers) as executor:
        yield lambda items: executor.map(functions[0], items, chunksize=chunk)
        executor.shutdown(cancel_futures=True)


@contextmanager
def _loky(functions: Sequence[Function], workers: int, chunk: int = 1) -> Iterator[Take]:
    from loky import get_reusable_executor

    executor = get_reusable_executor(max_workers=workers)
    yield lambda items: executor.map(functions[0], items, chunksize=chunk)
    executor.shutdown(kill_workers=True)


@contextmanager
def _joblib(
    functions: Sequence[Function], workers: int, chunk: int | str = "auto"
) -> Iterator[Take]:
    from joblib import Parallel, delayed

    with Parallel(n_jobs=workers, batch_size=chunk, return_as="generator") as parallel:
        yield lambda items: parallel(delayed(functions[0])(item) for item in items)


@contextmanager
def _mpire(functions: Sequence[Function], workers: int, chunk: int | None = None) -> Iterator[Take]:
    from mpire import WorkerPool

    with WorkerPool(workers, keep_alive=True) as pool:
        yield lambda items: pool.imap(
            functions[0], ((item,) for item in items), len(items), chunk_size=chunk
        )


@contextmanager
def _mpipe(functions: Sequence[Function], workers: int) -> Iterator[Take]:
    import mpipe

    stages = [mpipe.OrderedStage(function, workers) for function in functions]
    for stage, after in pairwise(stages):
        stage.link(after)
    pipeline = mpipe.Pipeline(stages[0])

    def put(items: Iterable[Any]) -> None:
        for item in items:
            pipeline.put(item)
        pipeline.put(None)

    def take(items: Iterable[Any]) -> Iterable[Any]:
        # It blocks when its pipes are full, so somebody else must put.
        Thread(target=put, args=(items,), daemon=True).start()
        return pipeline.results()

    yield take


@contextmanager
def _pypeln(functions: Sequence[Function], workers: int) -> Iterator[Take]:
    import pypeln

    def take(items: Iterable[Any]) -> Iterable[Any]:
        stage: Any = items
        for function in functions:
            stage = pypeln.process.map(function, stage, workers=workers)
        return iter(stage)

    yield take


@contextmanager
def _ray(functions: Sequence[Function], workers: int, chunk: int | None = None) -> Iterator[Take]:
    import ray
    from ray.util.multiprocessing import Pool

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    try:
        pool = Pool(workers)
        yield lambda items: pool.imap(functions[0], items, chunk or 1)
    finally:
        ray.shutdown()


@contextmanager
def _dask(functions: Sequence[Function], workers: int, chunk: int | None = None) -> Iterator[Take]:
    from dask import bag
    from distributed import Client

    with Client(
        n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs="ERROR"
    ) as client:

        def take(items: Iterable[Any]) -> Iterable[Any]:
            if chunk is None:
                # The same call on the same item is one call to it, unless it is told otherwise.
                return client.gather(client.map(functions[0], items, pure=False))
            return bag.from_sequence(items, partition_size=chunk).map(functions[0]).compute()

        yield take


@contextmanager
def _parallel_conveyor(functions: Sequence[Function], workers: int) -> Iterator[Take]:
    from multiprocessing import SimpleQueue

    stages, pipelines = import_parallel_conveyor()

    # It has no way to give results back, so the last stage sends them itself; and no join,
    # since that would give what one worker did only when the other has ended.
    results: Any = SimpleQueue()
    *first, last = functions

    def send(item: Any) -> bool:
        results.put(last(item))
        return True

    with pipelines.Pipeline() as pipeline:
        if workers > 1:
            pipeline.add(stages.BalancingFork(workers))
        for function in (*first, send):
            pipeline.add(*[stages.Processor(function) for _ in range(workers)])

        def take(items: Iterable[Any]) -> Iterable[Any]:
            given = [*items]
            pipeline.run(given)
            return (results.get() for _ in given)

        yield take


def import_parallel_conveyor() -> tuple[Any, Any]:
    """Its modules for stages and for pipelines; ours can't be imported any more."""
    sys.path.insert(0, str(OUT_OF_THE_WAY["parallel-conveyor"]))
    return import_module("conveyor.stages"), import_module("conveyor.pipeline")


PEERS = {
    "Pool.imap": Peer(_pool),
    "futures": Peer(_futures),
    "loky": Peer(_loky, "loky"),
    "joblib": Peer(_joblib, "joblib"),
    "mpire": Peer(_mpire, "mpire"),
    "mpipe": Peer(_mpipe, "mpipe", has_stages=True, is_reusable=False),
    "pypeln": Peer(_pypeln, "pypeln", has_stages=True),
    "ray": Peer(_ray, "ray"),
    "dask": Peer(_dask, "distributed"),
    "parallel-conveyor": Peer(_parallel_conveyor, "parallel-conveyor", has_stages=True),
}


def contestants(run: Callable[[Peer, int], Run], sizes: Mapping[str, int]) -> list[Contestant]:
    """Peers as contestants.

    Args:
        run: does the work of the workload with a peer.
        sizes: the items for each. ``"Pool.imap b=1000"`` is one with a chunk of 1000.
    """
    found = []
    for label, size in sizes.items():
        name, _, chunk = label.partition(" b=")
        peer = PEERS[name].with_chunk(int(chunk)) if chunk else PEERS[name]
        found.append(Contestant(label, partial(run, peer), size, peer.needs))
    return found
