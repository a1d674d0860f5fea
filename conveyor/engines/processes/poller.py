"""Waits for what a process reads and writes, and serves it."""

from __future__ import annotations

import select
from typing import Protocol


class End(Protocol):
    """What a :class:`Poller` serves."""

    fd: int

    def on_readable(self) -> None:
        """There is something to read, or the other side is gone."""

    def flush(self) -> bool:
        """Write what waits; return whether all is written."""
        ...


class Poller:
    """Waits for any of a set of ends, and lets them read and write."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._ends: dict[int, End] = {}
        self.blocked: set[int] = set()
        """The descriptors of ends that have something which they could not write."""

    def add(self, end: End) -> None:
        """Serve ``end`` from now on."""
        self._ends[end.fd] = end
        self._poll.register(end.fd, select.POLLIN)

    def drop(self, end: End) -> None:
        """Serve ``end`` no more."""
        if self.serves(end):
            del self._ends[end.fd]
            self.blocked.discard(end.fd)
            self._poll.unregister(end.fd)

    def serves(self, end: End) -> bool:
        """Whether ``end`` is served."""
        # Its number may have been given to another one since it was closed.
        return self._ends.get(end.fd) is end

    def wake_on(self, fd: int) -> None:
        """Let the next :meth:`wait` end when ``fd`` is readable; somebody else will read it."""
        self.add(_Bell(fd, self))

    def want_write(self, end: End) -> None:
        """Let ``end`` flush once it can: it has something that it could not write."""
        self._listen(end, writes=True)

    def _listen(self, end: End, *, writes: bool) -> None:
        if self.serves(end):
            (self.blocked.add if writes else self.blocked.discard)(end.fd)
            self._poll.modify(end.fd, select.POLLIN | (select.POLLOUT if writes else 0))

    def wait(self, seconds: float | None) -> bool:
        """Serve what is ready; wait for it up to so long. Return whether something was."""
        ready = self._poll.poll(None if seconds is None else max(0, seconds * 1000))
        ends = self._ends
        for end, events in [(ends[fd], events) for fd, events in ready]:
            if ends.get(end.fd) is not end:
                continue  # it was dropped by one before it
            if events & select.POLLOUT and end.flush():
                self._listen(end, writes=False)
            if events & ~select.POLLOUT:
                end.on_readable()
        return bool(ready)


class _Bell:
    """Rings once. What there is to read stays there, so it would ring for ever."""

    def __init__(self, fd: int, poller: Poller) -> None:
        self.fd = fd
        self._poller = poller

    def on_readable(self) -> None:
        self._poller.drop(self)

    def flush(self) -> bool:
        return True
