"""hand-pipe: processes joined by `multiprocessing.Pipe`, an item at a time."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Literal


@contextmanager
def chain(
    *functions: Callable[[Any], Any], method: Literal["fork", "forkserver"] = "fork"
) -> Iterator[tuple[Connection[Any, Any], Connection[Any, Any]]]:
    """Start a process for each function; give the ends that the parent writes and reads.

    Args:
        functions: each is called with every item. ``None`` ends the stream.
        method: how processes are started.
    """
    context = multiprocessing.get_context(method)
    pipes = [context.Pipe(duplex=False) for _ in range(len(functions) + 1)]
    workers = []
    for number, function in enumerate(functions):
        ends = (pipes[number][0], pipes[number + 1][1])
        workers.append(context.Process(target=stage, args=(function, *ends)))
        workers[-1].start()
    first, last = pipes[0][1], pipes[-1][0]
    try:
        yield first, last
    finally:
        first.send(None)
        for worker in workers:
            worker.join()


def stage(
    function: Callable[[Any], Any], read: Connection[Any, Any], write: Connection[Any, Any]
) -> None:
    """Answer item by item until ``None`` comes, and pass that on."""
    while (item := read.recv()) is not None:
        write.send(function(item))
    write.send(None)


@contextmanager
def feeder(items: Iterable[Any], write: Connection[Any, Any]) -> Iterator[None]:
    """Fork a process that sends the items."""
    worker = multiprocessing.get_context("fork").Process(target=_feed, args=(items, write))
    worker.start()
    yield
    worker.join()


def _feed(items: Iterable[Any], write: Connection[Any, Any]) -> None:
    for item in items:
        write.send(item)
