"""A worker that may be started again: it commits what it has done, see ``flow.progress``."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Protocol

from conveyor.engines.careful import reloaded
from conveyor.engines.counters import STARVED
from conveyor.engines.processes.accounts import Accounts
from conveyor.engines.processes.actor import Family, Recording, Scopes, StageActor
from conveyor.engines.processes.way_out import Coroutine, WayOutEnd
from conveyor.engines.processes.wire import (
    Loaded,
    pack_state,
    unpack_state,
    unpack_those_that_load,
)
from conveyor.engines.stage import Again, Batch, Blamed, Part, Stage
from conveyor.errors import ConveyorError
from conveyor.flow.batch import Frame, at_end, is_traced, traced
from conveyor.flow.progress import Current, Entry, Progress
from conveyor.plan import Channel, PlannedWorker

Blame = tuple[Entry, Mapping[int, tuple[ConveyorError, int]], Collection[int] | None]
"""A frame that was in work in a death, the items in it that are not to be tried again, and those of
them that are not to be loaded; None where nobody died of loading any."""

PackedBlame = tuple[Entry, Mapping[int, tuple[bytes, int]], Collection[int] | None]
"""The same with errors as they travel."""


class Keeper(Protocol):
    """Keeps a record for whoever takes the place of this worker."""

    def load(self) -> bytes | None:
        """The last record; None where there is none."""
        ...

    def save(self, record: bytes) -> None:
        """Keep a record in place of the last."""


class Sending(Protocol):
    """The end of a durable channel that sends."""

    position: int
    """That behind the last frame."""

    def resume(self, position: int) -> None:
        """Go on where the worker before was."""

    def publish(self) -> None:
        """Let all that was sent be read."""


class Receiving(Protocol):
    """The end of a durable channel that receives."""

    @property
    def entry(self) -> int:
        """The position behind the oldest frame that is not done."""
        ...

    def resume(self, position: int) -> None:
        """Go on where the worker before was."""

    def look(self) -> None:
        """Take frames in."""

    def complete(self) -> tuple[int, bool]:
        """The oldest frame is done: the position behind it, and whether it was an end."""
        ...

    def committed(self) -> None:
        """What is done stays so."""


class RestartableActor(StageActor):
    """A worker that answers each frame, and commits each part of an answer.

    A part is not visible to others before all its frames have found room: each link gets at most
    one of them, so none waits for another.

    Args:
        number, planned, channels, stage, recording, told: see :class:`StageActor`.
        keeper: keeps its record.
        blame: what it must not try, after a death.
    """

    def __init__(
        self,
        number: int,
        planned: PlannedWorker,
        channels: tuple[Channel, ...],
        *,
        stage: Stage,
        recording: Recording,
        told: Callable[[Accounts], None],
        keeper: Keeper,
        blame: Blame | None = None,
    ) -> None:
        super().__init__(number, planned, channels, stage=stage, recording=recording, told=told)
        self._stage = stage
        self._keeper = keeper
        self._blame = blame
        self._progress = Progress()

    def _make_way_out(self, *args: Any) -> WayOutEnd:
        return WayOutEnd(*args, cuts=False)

    @property
    def _senders(self) -> dict[int, Sending]:
        return self.way_out.ends  # type: ignore[return-value]

    @property
    def _receivers(self) -> dict[int, Receiving]:
        return self.way_in.ends  # type: ignore[return-value]

    def _work(self) -> Coroutine:
        self._recover()
        while True:
            if not self._progress.is_running:
                yield from self._arrival()
                self._begin()
                self._progress.is_running = True
            yield from self._answer_all()
            self._tell()
            self._gauge.enter(STARVED)
            yield True

    def _recover(self) -> None:
        """Take up where another one of this worker left off."""
        record = self._keeper.load()
        if record is not None:
            self._progress = progress = Progress.unpacked(record)
            for channel, sender in self._senders.items():
                sender.resume(progress.sent[channel])
            self.way_out.outlet.resume(progress.turns)
            self.way_in.resume(progress.ends)
            # They go on, since others read them while they grow.
            self._stage.counts = progress.account
            if progress.is_running:
                self._begin()
                self._stage.counts = progress.account
                if progress.state is not None:
                    self._stage.restore(unpack_state(self._stage.name, progress.state))
            if progress.reports:
                self._tell()
        for channel, receiver in self._receivers.items():
            receiver.resume(self._progress.done.get(channel, 0))
            receiver.look()

    def _tell(self) -> None:
        """Tell what was counted in the last run; once more, perhaps, after a death."""
        self._told(pickle.loads(self._progress.report))

    # -- answers --

    def _answer(self, frame: Frame) -> Coroutine:
        current = self._progress.resume(frame.link)
        family = Family(frame, self.way_out, current.members)
        yield from self._process(self._stage, frame, family, end_follows=bool(frame.end))
        if frame.end:
            yield from self._finish_once(current, frame, family)

    def _finish_once(self, current: Current, frame: Frame, family: Family) -> Coroutine:
        if not current.is_finished:
            outputs = list(self._stage.finish())
            current.is_finished = True
            if outputs:
                yield from family.give(outputs, at_end(frame.scopes, len(outputs)), is_last=False)
                self._given(frame, family, Part(outputs, None, is_last=False))
        yield from family.give([], at_end(frame.scopes, 0), is_last=True)
        self._complete(frame)
        self._gauge.finish(self._stage)
        self._progress.is_running = False
        self._progress.reports += 1
        accounts = self._accounts()
        accounts.run = self._progress.reports
        accounts.nodes[self._stage.name] = self._stage.account
        self._progress.report = pickle.dumps(accounts)
        self.way_out.outlet.restart()
        self._commit()

    def _taken_up(self, stage: Stage, frame: Frame) -> tuple[list[Any], Scopes]:
        items, first = self._unpacked(stage, frame), self._progress.resume(frame.link).taken
        if len(items) > first:
            # What took care to be loaded is not for the caller to load, if the worker dies.
            is_safe = self._left_out(frame) is None and not self._unloadable
            payload = frame.payload if is_safe else self._recording.note(items)
            self._note_work(len(items), payload, first, self._entry(frame))
        if not first:
            return items, frame.scopes
        return items[first:], traced(frame.scopes, range(first, len(items)))

    def _note_load(self, frame: Frame) -> None:
        first = self._progress.resume(frame.link).taken
        self._recording.load(self.number, frame.count, first, self._entry(frame))

    def _loaded(self, name: str, frame: Frame) -> Loaded:
        """The items of a frame; with care, if a worker has died of loading them."""
        return self._loaded_noting(self._recording.loading, name, frame)

    def _loaded_noting(self, note: Callable[[int], None], name: str, frame: Frame) -> Loaded:
        left_out = self._left_out(frame)
        if left_out is None:
            return unpack_those_that_load(name, frame)
        from conveyor.engines.processes import wary

        load = partial(wary.load, note=note, left_out=left_out)
        return unpack_those_that_load(name, frame, load, note, left_out)

    def _blame_for(self, frame: Frame) -> Blame | None:
        """What is not to be tried again of a frame, if it was in work in a death."""
        blame = self._blame
        return blame if blame is not None and blame[0] == self._entry(frame) else None

    def _left_out(self, frame: Frame) -> Collection[int] | None:
        """The items that are not to be loaded, if a worker has died of loading that frame."""
        blame = self._blame_for(frame)
        return None if blame is None else blame[2]

    def _entry(self, frame: Frame) -> Entry:
        return frame.link, self._receivers[frame.link].entry

    def _batch(self, frame: Frame, items: list[Any]) -> Batch:
        first = self._progress.resume(frame.link).taken
        return Batch(
            items,
            self._at,
            self._part_size,
            is_traced(frame.scopes),
            partial(self._again_from, first, frame),
            self.way_out.pack,
            whole=True,
            most=self.way_out.outlet.most,
            blamed=self._blamed(frame, first),
        )

    def _again_from(self, first: int, frame: Frame) -> Again:
        again = reloaded(lambda: self._loaded_noting(_unnoted, self.way_in.name, frame)[0])
        return lambda index: again(first + index)

    def _blamed(self, frame: Frame, first: int) -> Blamed | None:
        """The items of a frame that can't be loaded, or that are not to be tried after a death."""
        blame = self._blame_for(frame)
        if blame is None and not self._unloadable:
            return None
        blamed = {**self._unloadable, **(blame[1] if blame else {})}
        return {index - first: why for index, why in blamed.items()}

    def _given(self, frame: Frame, family: Family, part: Part) -> None:
        current = self._progress.resume(frame.link)
        current.taken += part.taken
        current.members = family.members
        if part.is_last and not frame.end:
            self._complete(frame)
        self._commit()

    # -- commits --

    def _complete(self, frame: Frame) -> None:
        position, is_end = self._receivers[frame.link].complete()
        self._progress.complete(frame.link, position, is_end=is_end, ends_run=frame.end > 0)

    def _commit(self) -> None:
        progress, senders = self._progress, self._senders
        progress.sent = {channel: sender.position for channel, sender in senders.items()}
        progress.turns = self.way_out.outlet.turns
        progress.account = self._stage.counts
        progress.state = pack_state(self._stage.name, self._stage.snapshot())
        self._keeper.save(progress.packed())
        for sender in senders.values():
            sender.publish()
        for receiver in self._receivers.values():
            receiver.committed()


def _unnoted(_index: int) -> None:
    """What is loaded once more is in work, and noted so."""
