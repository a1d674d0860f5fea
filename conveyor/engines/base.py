"""What every engine offers."""

from __future__ import annotations

import sys
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from threading import Lock, RLock, get_ident
from typing import Any, Generic, Self, TypeVar

from conveyor.cached import cached_property
from conveyor.engines.letters import DeadLetters, Failures, checked_limit
from conveyor.engines.results import Results, Stream
from conveyor.engines.snapshot import Snapshot
from conveyor.engines.stats import Stats, bare
from conveyor.engines.traced import Traced
from conveyor.engines.watch import View, Watch, length_of
from conveyor.errors import ConveyorError, UsageError
from conveyor.graph import Graph

Out_co = TypeVar("Out_co", covariant=True)
T = TypeVar("T")

Progress = bool | Callable[[Snapshot], object]
"""What the argument ``progress`` takes."""


@dataclass(frozen=True, slots=True)
class _Task:
    """What one run is to do.

    Attributes:
        items: what goes in.
        failures: the items that fail for good in it, and how many may.
        trace: where its trace goes; None where none is asked for.
        view: who wants to see how far it has got; None where nobody does.
    """

    items: Iterable[Any]
    failures: Failures
    trace: Path | None
    view: View | None


class Live(ABC, Generic[Out_co]):
    """A pipeline whose workers are warm: what ``pipeline.open()`` gives.

    It starts with its first run, or on entering its ``with`` block. Runs follow one another:
    a live pipeline does one at a time. A run that fails, or that is left early, ends the workers;
    the next run starts new ones.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.written: object = graph
        """What the user wrote: its repr is the expression."""
        self.watch: Watch | None = None
        self.bare_graph = bare(graph)
        self._stats: Stats | None = None
        self.broken_off: Stats | None = None
        """How far the last run had got that failed or was left."""
        self._is_closed = False
        self._left: UsageError | None = None
        """Why the run under way is to end, where its stream has been closed while it is at work."""
        self._access = RLock()
        """Held by whoever uses what the processors run on: one thread at a time."""
        self._run_in = 0
        """The thread in which a run is at work, rather than at a ``yield``; 0 for none."""
        self._run_lock = Lock()
        """Held by the run that is under way, from its start to its end."""
        self._is_traced = False
        self._started = 0.0
        self._given = 0
        self._dead_letters = DeadLetters()

    @property
    def dead_letters(self) -> DeadLetters:
        """The items of the last run, or of the one under way, that failed and were set aside."""
        return self._dead_letters

    def run(
        self,
        items: Iterable[Any] | None = None,
        *,
        max_failures: float | None = None,
        progress: Progress = False,
        trace: str | Path | None = None,
    ) -> Results[Out_co]:
        """Run the pipeline once and give all outputs.

        Args:
            items: what goes in.
            max_failures: as for ``pipeline.run``.
            progress: as for ``pipeline.run``.
            trace: as for ``pipeline.run``; of a warm pipeline, it is of this run.

        Raises:
            ConveyorError: a stage failed, or ``items`` do not fit the pipeline.
        """
        return self._gathered(self._task(items, max_failures, trace, progress))

    def run_once(
        self,
        items: Iterable[Any] | None,
        max_failures: float | None,
        trace: str | Path | None,
        progress: Progress,
    ) -> Results[Out_co]:
        """Like :meth:`run`; the workers end with it, and start only if the arguments fit."""
        task = self._task(items, max_failures, trace, progress)
        with self:
            return self._gathered(task)

    @cached_property
    def _expression(self) -> str:
        """The pipeline, as it was written."""
        return repr(self.written)

    def _gathered(self, task: _Task) -> Results[Out_co]:
        results: Results[Out_co] = Results()
        for batch in self._run(task):
            results += batch  # in place: a copy of millions takes as long as some of the work
        assert self._stats is not None
        results.stats = self._stats
        results.dead_letters = DeadLetters(task.failures.letters)
        results.written = self._expression
        return results

    def _task(
        self,
        items: Iterable[Any] | None,
        max_failures: float | None,
        trace: str | Path | None,
        progress: Progress,
    ) -> _Task:
        """What a run is to do; what does not fit is refused."""
        if not (trace is None or isinstance(trace, (str, PathLike))):
            raise UsageError(f"trace takes the path of a file, or None, not {trace!r}")
        path = None if trace is None else Path(trace).absolute()
        if path is not None:
            from conveyor.engines.files import see_that_writable

            see_that_writable(path, "the trace")
        failures = Failures(checked_limit(max_failures))
        return _Task(self._input(items), failures, path, _view(progress))

    def stream(
        self,
        items: Iterable[Any] | None = None,
        *,
        max_failures: float | None = None,
        progress: Progress = False,
        trace: str | Path | None = None,
    ) -> Stream[Out_co]:
        """Run the pipeline once and give each output as it comes.

        Raises:
            ConveyorError: as :meth:`run`; what does not fit is refused at once.
        """
        task = self._task(items, max_failures, trace, progress)
        return Stream(self._flat(self._run(task)), task.failures.letters, self._leave)

    @staticmethod
    def _flat(batches: Generator[list[Out_co], None, None]) -> Generator[Out_co]:
        with closing(batches):
            for batch in batches:
                yield from batch

    def stats(self) -> Stats | None:
        """The account of the run that is under way, as far as it has got.

        It can be asked for in the loop over a stream. Between runs it is that of the last one
        that came to its end, or None where there was none.
        """
        if self._run_lock.locked():
            return self._so_far(time.perf_counter() - self._started, self._given)
        return self._stats

    def stream_once(
        self,
        items: Iterable[Any] | None,
        max_failures: float | None,
        trace: str | Path | None,
        progress: Progress,
    ) -> Stream[Out_co]:
        """Like :meth:`stream`; the workers end with the stream."""
        outputs = self.stream(items, max_failures=max_failures, trace=trace, progress=progress)
        return Stream(self._closing_stream(iter(outputs)), outputs.dead_letters, self._leave_once)

    def _closing_stream(self, outputs: Iterator[Out_co]) -> Generator[Out_co]:
        with self:
            yield from outputs

    def _input(self, items: Iterable[Any] | None) -> Iterable[Any]:
        start = self.graph.start
        if start.kind == "source":
            if items is not None:
                raise UsageError(f"the pipeline starts with {start.label}: run() takes no items")
            return ()
        if items is None:
            raise UsageError("the pipeline takes items: write run(items)")
        try:
            iter(items) if not isinstance(items, Iterable) else None
        except TypeError:
            raise UsageError(f"run(items) takes an iterable, not {type(items).__name__}") from None
        return items

    def _run(self, task: _Task) -> Generator[list[Out_co], None, None]:
        if self._is_closed:
            raise UsageError("this pipeline is closed; open a new one")
        if not self._run_lock.acquire(blocking=False):
            raise UsageError("this pipeline is in a run; finish that first, or open another")
        try:
            yield from self._under_way(task)
        finally:
            self._run_lock.release()

    def _under_way(self, task: _Task) -> Generator[list[Out_co], None, None]:
        self._is_traced = task.trace is not None
        self._dead_letters = task.failures.letters
        began = time.perf_counter_ns()
        self._started = time.perf_counter()
        done = False
        self._given = 0
        self._left = None
        self.watch = None
        try:
            if task.view is not None:
                self.watch = self._watched_by(task.view, task.items)
            with closing(self._batches(task.items, task.failures)) as batches:
                while (batch := self._next(batches)) is not None:
                    self._given += len(batch)
                    yield batch
            self._stats = self._account(time.perf_counter() - self._started, self._given)
            excess = task.failures.excess(self._stats.total.items_in, at_end=True)
            if excess is not None:
                raise excess
            if self.watch is not None:
                self.watch.end(self._stats)
            done = True
        finally:
            try:
                if self.watch is not None:
                    self.watch.close()
            finally:
                if not done:
                    self._give_up()
            if task.trace is not None:
                self._write_trace(task.trace, began)

    def _give_up(self) -> None:
        """Break a run off, and keep how far it had got."""
        with self._access:
            try:
                self.broken_off = self._so_far(time.perf_counter() - self._started, self._given)
            finally:
                self._break_off()

    def _next(self, batches: Generator[list[Out_co], None, None]) -> list[Out_co] | None:
        """The next outputs of a run; None at its end.

        Raises:
            UsageError: the pipeline has been closed.
        """
        with self._access:
            self._run_in = get_ident()
            try:
                batch = None if self._is_closed else next(batches, None)
                self.see_that_wanted()
                return batch
            finally:
                self._run_in = 0

    def see_that_wanted(self) -> None:
        """See that the run under way is to go on.

        Raises:
            UsageError: its pipeline or its stream has been closed.
        """
        if self._left is not None:
            raise self._left
        if self._is_closed:
            raise closed_early()

    def _write_trace(self, path: Path, began: int) -> None:
        """Write what was traced, and what has ended it; a run does not fail for want of that."""
        from conveyor.engines.files import write_whole
        from conveyor.seeing.trace import chrome_trace

        # Not in the frame that it came through: each would keep the other, and the items.
        error = None if isinstance(sys.exception(), GeneratorExit) else sys.exception()
        try:
            ended = time.perf_counter_ns()
            write_whole(path, chrome_trace(self._traced(), began=began, ended=ended, error=error))
        except OSError as failed:
            if failed.errno is None:
                raise  # no want of a file, but a limit of time that has passed meanwhile
            message = f"the trace could not be written to {str(path)!r}: {failed.strerror}"
            warnings.warn(message, RuntimeWarning, stacklevel=4)

    def _watched_by(self, view: View, items: Iterable[Any]) -> Watch:
        def stats() -> Stats:
            return self._so_far(time.perf_counter() - self._started, self._given)

        return Watch(view, stats, self._expression, length_of(items, self.graph.start))

    @abstractmethod
    def start(self) -> None:
        """Start what runs the processors; a second call does nothing."""

    def close(self) -> None:
        """Stop and clear away everything; a second call does nothing.

        A run that is under way ends with a :class:`~conveyor.UsageError`. This waits for that where
        the run is in another thread, and not where it is called by a signal handler that has
        interrupted the run, or by what the run itself has called. The inline engine sees it before
        the next item.

        Raises:
            ConveyorError: a teardown failed.
        """
        self._is_closed = True
        why = self._left or closed_early()
        if self._run_in == get_ident():
            self._hurry(why)
            return
        if not self._access.acquire(blocking=False):
            self._hurry(why)
            self._access.acquire()
        try:
            self._clear_away()
        finally:
            self._access.release()

    def _leave(self) -> None:
        """End the run that is at work, in another thread or further out in this one."""
        self._left = _left_early()
        self._hurry(self._left)
        if self._run_in != get_ident():
            with self._access:  # it has seen that then
                pass

    def _leave_once(self) -> None:
        """The same, where there is one run only."""
        self._left = _left_early()
        self.close()

    def _hurry(self, error: UsageError) -> None:
        """Let a run that is at work see soon that it is to end, with an error."""

    @abstractmethod
    def _clear_away(self) -> None:
        """Stop and clear away everything, if that has not been done.

        Raises:
            ConveyorError: a teardown failed.
        """

    @abstractmethod
    def _break_off(self) -> None:
        """End what runs the processors, since a run failed or was left; the next starts anew."""

    @abstractmethod
    def _batches(
        self, items: Iterable[Any], failures: Failures
    ) -> Generator[list[Out_co], None, None]:
        """One run, some outputs at a time. It is closed early where the caller leaves."""

    @abstractmethod
    def _traced(self) -> Traced:
        """What is known of the run that has just ended, well or not, for its trace."""

    @abstractmethod
    def _account(self, elapsed: float, given: int) -> Stats:
        """The account of the run that has just ended, with so many outputs.

        Raises:
            AccountError: items were lost or doubled.
        """

    @abstractmethod
    def _so_far(self, elapsed: float, given: int) -> Stats:
        """The account of the run that is under way, with so many outputs up to now."""

    def __enter__(self) -> Self:
        with self._access:
            self.start()
        return self

    def __exit__(self, _: object, raised: BaseException | None, *__: object) -> None:
        try:
            self.close()
        except BaseException as error:
            with self._access:
                self._break_off()  # what is left, if something has come before that began
            has_readers = not isinstance(raised, (GeneratorExit, SystemExit))
            if raised is None or not has_readers or not isinstance(error, ConveyorError):
                raise
            # A teardown that failed besides: what is on its way already says more.
            raised.add_note(f"and as the pipeline was closed: {error}")


def closed_early() -> UsageError:
    """The error of a run whose pipeline is closed while it is under way."""
    return UsageError(
        "this pipeline was closed before its run came to the end; use up a stream inside of the "
        "with statement"
    )


def _left_early() -> UsageError:
    return UsageError("this stream was closed while its next output was waited for")


def _view(progress: object) -> View | None:
    if progress is False:
        return None
    from conveyor.seeing.progress import view_for

    return view_for(progress)
