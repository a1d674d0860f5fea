"""hand-batch: batches dealt to forked processes, two each, the next one when one comes back."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from benchmarks.hand import raw

DEPTH = 2
"""Batches that a process has, so that it never waits for the parent."""


@contextmanager
def dealt(
    stage: Callable[[int, int], None], workers: int
) -> Iterator[Callable[[list[Any], int], list[Any]]]:
    """Fork the workers; give what deals items to them, in batches, and collects the results."""
    with ExitStack() as stack:
        ends = [stack.enter_context(raw.chain(stage)) for _ in range(workers)]
        yield lambda items, size: _deal(ends, items, size)


def _deal(ends: list[raw.Ends], items: list[Any], size: int) -> list[Any]:
    batches = raw.batched(items, size)
    writes = {end.read: end.write for end in ends}
    inboxes = {end.read: raw.Inbox(end.read) for end in ends}
    waiting = dict.fromkeys(writes, 0)
    results: list[Any] = []
    poll = select.poll()
    for fd in writes:
        poll.register(fd, select.POLLIN)

    def send(fd: int) -> None:
        for batch in batches:
            raw.send(writes[fd], batch)
            waiting[fd] += 1
            return

    for fd in [*writes] * DEPTH:
        send(fd)
    while any(waiting.values()):
        for fd, _ in poll.poll():
            for came in inboxes[fd].read() or ():
                results += came
                waiting[fd] -= 1
                send(fd)
    return results
