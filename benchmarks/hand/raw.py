"""hand-raw: a process per stage over pipes, batches of fixed size pickled as one list."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any, Literal, NamedTuple

Method = Literal["fork", "forkserver"]

AHEAD = 8
"""Batches that the parent sends before it reads: they fit into the pipes, so nothing blocks."""


class Ends(NamedTuple):
    """The parent's ends of a chain of processes: where it writes, and where it reads."""

    write: int
    read: int


@contextmanager
def chain(*stages: Callable[[int, int], None], method: Method = "fork") -> Iterator[Ends]:
    """Start a process for each stage and join them by pipes.

    Args:
        stages: each is called in its process with the descriptors it reads and writes.
        method: how processes are started.
    """
    context = multiprocessing.get_context(method)
    pipes = [context.Pipe(duplex=False) for _ in range(len(stages) + 1)]
    first, last = pipes[0][1], pipes[-1][0]
    workers = []
    for number, stage in enumerate(stages):
        read, write = pipes[number][0], pipes[number + 1][1]
        others = {end for pipe in pipes for end in pipe} - {read, write}
        inherited = others if method == "fork" else set()
        workers.append(context.Process(target=_work, args=(stage, read, write, inherited)))
        workers[-1].start()
    for end in {end for pipe in pipes for end in pipe} - {first, last}:
        end.close()
    try:
        yield Ends(first.fileno(), last.fileno())
    finally:
        first.close()
        last.close()
        for worker in workers:
            worker.join()


def _work(
    stage: Callable[[int, int], None],
    read: Connection,
    write: Connection,
    inherited: Iterable[Connection],
) -> None:
    """Work until the end of the file, which comes when nobody holds the other end."""
    for end in inherited:
        end.close()
    stage(read.fileno(), write.fileno())


class Each:
    """A stage that calls the functions one after the other on every item of every batch."""

    def __init__(self, *functions: Callable[[Any], Any]) -> None:
        self._functions = functions

    def __call__(self, read: int, write: int) -> None:
        """Work until the end of the file."""
        for batch in frames(read):
            items = batch
            for function in self._functions:
                items = [function(item) for item in items]
            with suppress(BrokenPipeError):  # Nobody reads any more.
                send(write, items)


def send(fd: int, batch: Any) -> None:
    """Send one object."""
    send_bytes(fd, pack(batch))


def pack(batch: Any) -> bytes:
    """Pickle one object."""
    return pickle.dumps(batch, 5)


def send_bytes(fd: int, data: bytes) -> None:
    """Send what is pickled already."""
    frame = memoryview(len(data).to_bytes(4, "little") + data)
    while frame:
        frame = frame[os.write(fd, frame) :]


class Inbox:
    """What comes by a pipe, with reads as large as there is data for."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._data = bytearray()

    def read(self) -> list[Any] | None:
        """The objects that are whole after one read; None at the end of the file."""
        more = os.read(self._fd, 1 << 20)
        if not more:
            return None
        data, at, found = self._data, 0, []
        data += more
        while len(data) - at >= 4:
            end = at + 4 + int.from_bytes(data[at : at + 4], "little")
            if end > len(data):
                break
            found.append(pickle.loads(memoryview(data)[at + 4 : end]))
            at = end
        del data[:at]
        return found


def frames(fd: int) -> Iterator[Any]:
    """The objects that come."""
    inbox = Inbox(fd)
    while (found := inbox.read()) is not None:
        yield from found


def batched(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """The items in lists of that size."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def through(ends: Ends, items: Iterable[Any], size: int, ahead: int = AHEAD) -> Iterator[list[Any]]:
    """Send the items in batches of a size, some ahead, and give what comes back."""
    came = frames(ends.read)
    sent = 0
    for batch in batched(items, size):
        send(ends.write, batch)
        sent += 1
        if sent == ahead:
            yield next(came)
            sent -= 1
    for _ in range(sent):
        yield next(came)
