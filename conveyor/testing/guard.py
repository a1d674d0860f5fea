"""One test that runs pipelines: watched, in the order of its seed, and seen to leave nothing."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from conveyor.engines.order import shuffled
from conveyor.testing.hang import Watch
from conveyor.testing.leaks import Snapshot, leaks


class Hung(Exception):
    """A test took too long; the text is the report."""


class Leaked(Exception):
    """A test left something behind; the text says what."""


class Guard:
    """What is around a test.

    Args:
        limit: the seconds that it may take; None for as long as it likes.
        seed: decides in which order the inline engine runs; None for its own order.
    """

    def __init__(self, limit: float | None, seed: int | None) -> None:
        self._watch = Watch(limit) if limit is not None else None
        self._seed = seed
        self._is_debugged = False

    @contextmanager
    def around(self) -> Generator[None]:
        """Hold a test to it.

        Raises:
            Hung: it took too long.
            Leaked: it came to its end, and left something behind.
        """
        before = Snapshot.take()
        watch = self._watch
        try:
            with watch if watch is not None else nullcontext(), in_order_of(self._seed):
                yield
        finally:
            # Whatever the test made of being broken off.
            if watch is not None and watch.report is not None:
                raise Hung(watch.report) from None
        # A debugger leaves handlers of its own.
        if not self._is_debugged and (left := leaks(before)):
            raise Leaked(f"the test left {', '.join(left)}")

    def stand_aside(self) -> None:
        """Let the test do as it likes, for as long as it likes: somebody is debugging it."""
        self._is_debugged = True
        if self._watch is not None:
            self._watch.cancel()


def in_order_of(seed: int | None) -> AbstractContextManager[None]:
    """Let pipelines run inline in the order of a seed; in their own where it is None."""
    return nullcontext() if seed is None else shuffled(seed)
