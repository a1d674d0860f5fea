"""Where the batches of a pipeline come from: the feed, or a source in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from conveyor.engines.processes.orders import GO, HOLD, RELEASE, RETIRED
from conveyor.engines.processes.own_ends import OwnEnds
from conveyor.engines.processes.source import SourceActor
from conveyor.engines.processes.staff import Staff


class Origin(Protocol):
    """What makes the batches, from the parent's side."""

    @property
    def retired(self) -> int:
        """The batches of this run that have gone all the way."""
        ...

    @property
    def under_way(self) -> int:
        """How many batches have gone into the run and have not come out, whole, at its end."""
        ...

    @property
    def made(self) -> int:
        """How many items have gone into the run, as far as is known here."""
        ...

    @property
    def is_seen_idle(self) -> bool:
        """Whether nothing is under way, where that is known here. A source tells it."""
        ...

    def begin(self, items: Iterator[Any]) -> None:
        """Begin a run with these items; a source makes its own."""

    def retire(self) -> None:
        """The consumer has taken a whole batch."""

    def hold(self) -> None:
        """Send nothing more for now."""

    def release(self) -> None:
        """Go on."""


class Fed:
    """The feed makes them, of the caller's items."""

    def __init__(self, feed: SourceActor, own: OwnEnds) -> None:
        self._feed = feed
        self._own = own

    @property
    def retired(self) -> int:
        return self._feed.window.retired

    @property
    def under_way(self) -> int:
        return self._feed.window.sent - self._feed.window.retired

    @property
    def made(self) -> int:
        return self._own.made

    @property
    def is_seen_idle(self) -> bool:
        # Not where the end of the stream has been sent: then the run is over before it is held.
        return self._feed.is_running and self._feed.window.is_idle

    def begin(self, items: Iterator[Any]) -> None:
        self._feed.begin(items)

    def retire(self) -> None:
        self._feed.window.retired += 1

    def hold(self) -> None:
        self._feed.window.is_held = True

    def release(self) -> None:
        self._feed.window.is_held = False


class Generated:
    """A source makes them, in a process of its own."""

    is_seen_idle = False

    def __init__(self, staff: Staff) -> None:
        self._staff = staff
        self._sent_before = 0
        self.retired = 0

    @property
    def under_way(self) -> int:
        return max(0, self._sent() - self._sent_before - self.retired)

    def _sent(self) -> int:
        """The batches that it has sent, in this run and those before."""
        return self._staff.source.recorder.gauge(0).read().batches

    @property
    def made(self) -> int:
        return self._staff.source.recorder.made

    def begin(self, items: Iterator[Any]) -> None:  # noqa: ARG002
        self.retired = 0
        self._sent_before = self._sent()
        self._staff.source.tell(GO)

    def retire(self) -> None:
        self.retired += 1
        self._staff.source.tell(RETIRED, 1)

    def hold(self) -> None:
        self._staff.source.tell(HOLD)

    def release(self) -> None:
        self._staff.source.tell(RELEASE)


def origin_of(own: OwnEnds, staff: Staff) -> Origin:
    """What makes the batches of a pipeline."""
    return Generated(staff) if own.feed is None else Fed(own.feed, own)
