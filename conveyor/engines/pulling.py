"""The caller's items, pulled in a thread of their own: nothing else waits until one comes."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from contextvars import copy_context
from itertools import islice
from time import perf_counter
from typing import Any

from conveyor.engines.arriving import Arriving
from conveyor.flow.source import BATCH_SECONDS

NAME = "conveyor-items"
"""What the thread is called."""


def may_wait(items: Iterable[Any]) -> bool:
    """Whether the next item may have to be waited for.

    Not so for a collection; and the cursor of SQLite has to stay in the thread that made it.
    """
    sqlite: Any = sys.modules.get("sqlite3")
    return not isinstance(items, (Collection, Arriving)) and not (
        sqlite is not None and isinstance(items, sqlite.Cursor)
    )


class Pulled(Arriving[Any]):
    """Items of an iterator, of which some are pulled each time that they are asked for.

    As many as are wanted, but none that comes is held up for long by others that do not. An item
    that is waited for when nobody wants it any more is lost: the thread can't be broken off, and
    ends when it comes.

    Args:
        items: the iterator; nobody else may use it.
    """

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._here: deque[Any] = deque()
        self._error: BaseException | None = None
        self._has_ended = self._is_pulling = self._is_closed = False
        self._wanted = 1
        self._orders = threading.Semaphore(0)
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        work = copy_context().run
        self._thread = threading.Thread(target=work, args=(self._work,), name=NAME, daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # there can be no more threads
            os.close(self._bell)
            raise

    def ask(self, items: int) -> None:
        """So many are wanted next."""
        self._wanted = items

    def is_ready(self) -> bool:
        """Whether there is an item, an error or the end; if not, it is on its way now."""
        if self._has_news:
            return True
        with suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        if self._has_news:  # it rang for this
            return True
        if not self._is_pulling:
            self._is_pulling = True
            self._orders.release()
        return False

    @property
    def _has_news(self) -> bool:
        return bool(self._here) or self._error is not None or self._has_ended

    def fileno(self) -> int:
        """The descriptor that becomes readable when it may be ready."""
        return self._bell

    def __next__(self) -> Any:
        if self._here:
            return self._here.popleft()
        if self._error is not None:
            raise self._error
        raise StopIteration

    def present(self) -> Iterator[Any]:
        """The items that are there now: no others are asked for."""
        while self._here:
            yield self._here.popleft()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Let the thread end, as soon as it does not wait for an item."""
        self._is_closed = True
        self._orders.release()
        # While the interpreter ends, a daemon thread gets on no more (3.13), or is ended (before).
        if not (self._is_pulling or sys.is_finalizing()):
            self._thread.join()

    # -- in the thread --

    def _work(self) -> None:
        try:
            while self._orders.acquire() and not self._is_closed:
                self._pull()
                self._is_pulling = False
                os.eventfd_write(self._bell, 1)
        finally:
            self._items = iter(())  # so that a generator that nobody else has ends now
            os.close(self._bell)

    def _pull(self) -> None:
        """Pull what is wanted, as far as it is there soon; each item is seen as it comes."""
        until, here, left = perf_counter() + BATCH_SECONDS, self._here, self._wanted
        try:
            for item in islice(self._items, left):
                here.append(item)
                left -= 1
                if len(here) == 1:
                    os.eventfd_write(self._bell, 1)
                if perf_counter() > until:
                    return
            self._has_ended = left > 0
        except BaseException as error:
            self._error = error
