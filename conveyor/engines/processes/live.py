"""A pipeline on worker processes."""

from __future__ import annotations

import os
import resource
import sys
import warnings
import weakref
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from multiprocessing import current_process, util
from pathlib import Path
from typing import Any

from conveyor import log
from conveyor.engines.base import Live
from conveyor.engines.counted import Counted, measured_by
from conveyor.engines.ended import account
from conveyor.engines.letters import Failures
from conveyor.engines.processes.accounts import Accounts
from conveyor.engines.processes.crew import Crew
from conveyor.engines.processes.fork_server import PRELOAD
from conveyor.engines.processes.interrupts import interrupts_held
from conveyor.engines.processes.look import remember
from conveyor.engines.processes.planning import planned
from conveyor.engines.processes.refused import refused
from conveyor.engines.processes.stall import StallWatch
from conveyor.engines.pulling import Pulled, may_wait
from conveyor.engines.running import so_far
from conveyor.engines.samples import Sample
from conveyor.engines.stats import Placed, Stats, Width
from conveyor.engines.tape import Tape
from conveyor.engines.traced import Lane, Traced
from conveyor.errors import ResourceError, UsageError
from conveyor.graph import Graph
from conveyor.plan import Plan


def _end(live: weakref.ref[Processes]) -> None:
    """At the exit of the interpreter: end the workers of a stream that was never finished."""
    pipeline = live()
    crew = pipeline._release() if pipeline is not None else None
    if crew is not None:
        crew.stop(at_once=True)


def _refuse_at_import() -> None:
    """See that a worker does not start a pipeline while it imports a module.

    That module is the one that runs the pipeline, as a rule, and has what its workers need: each of
    them would import it, and run it again.

    Raises:
        UsageError: it does.
    """
    if PRELOAD not in sys.modules:
        return
    frame = sys._getframe()
    while (above := frame.f_back) is not None:
        if above.f_code.co_name == "_call_with_frames_removed":  # of importlib
            name, line = frame.f_globals.get("__name__"), frame.f_lineno
            raise UsageError(
                f"module {name!r} runs a pipeline in line {line} whenever it is imported, and a "
                "worker imports it for what it needs from there: put that below "
                "`if __name__ == '__main__':`, or into a function"
            )
        frame = above


def _need_descriptors(plan: Plan) -> None:
    """See to it that this process may open enough descriptors.

    Raises:
        ResourceError: the hard limit is too low.
    """
    needed = (
        2 * len(plan.channels)
        + 4 * sum(channel.durable for channel in plan.channels)
        + 7 * plan.processes
        + len(list(Path("/proc/self/fd").iterdir()))
        + 16
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise ResourceError(
            "this pipeline can't be started",
            f"it needs about {needed} file descriptors, but the limit is {hard}",
            "use fewer branches, run(processes=n), or raise it with ulimit -n",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _end_left_open(crew: Crew, pid: int) -> None:
    """End the workers of a pipeline that nobody has any more, and nobody has closed."""
    if pid == os.getpid():
        with interrupts_held(firmly=True):  # what is raised in a finalizer is lost
            crew.stop()
        told = "a live pipeline was left open: write `with pipeline.open() as live:`"
        warnings.warn(told, ResourceWarning, stacklevel=2)


class Processes(Live[Any]):
    """A pipeline on worker processes."""

    def __init__(
        self,
        graph: Graph,
        *,
        ordered: bool,
        processes: int | None,
        stalled: float | None,
        warm: bool,
    ) -> None:
        super().__init__(graph)
        self._stalled = stalled
        self.plan, self._cores = planned(graph, ordered=ordered, processes=processes)
        self._warm = warm
        self._crew: Crew | None = None
        self._accounts = Accounts()
        self._widths: dict[str, list[Width]] = {}
        self._restarts: Mapping[str, int] = {}
        self._placed: Sequence[Placed] = ()
        self._tapes: list[Tape] = []
        self._counted: list[Counted] = []
        self._samples: Sequence[Sample] = ()
        self._pid = os.getpid()

    def start(self) -> None:
        """Start the worker processes.

        Raises:
            ResourceError: the system refuses that.
        """
        self._see_that_ours()
        if current_process().daemon:
            raise UsageError(
                "this process is a daemon, as the workers of multiprocessing.Pool are, and may "
                "start no others: use concurrent.futures.ProcessPoolExecutor, or engine='inline'"
            )
        if self._crew is None and not self._is_closed:
            _refuse_at_import()
            try:
                self._have_crew()
            except TimeoutError:
                self._break_off()
                raise
            except (OSError, MemoryError, EOFError) as error:
                raise refused("this pipeline can't be started", error) from error
            except BaseException:
                self._break_off()
                raise

    def _see_that_ours(self) -> None:
        """See that this is no forked copy of the process that began.

        Raises:
            UsageError: it is.
        """
        if self._pid != os.getpid():
            raise UsageError(f"this pipeline belongs to process {self._pid}; open one in this one")

    def _next(self, batches: Generator[list[Any], None, None]) -> list[Any] | None:
        self._see_that_ours()
        return super()._next(batches)

    @interrupts_held()
    def _have_crew(self) -> None:
        crew = self._new_crew()
        self._at_exit = util.Finalize(None, _end, (weakref.ref(self),), exitpriority=100)
        # It keeps the crew, so that this is whole when it is ended: in a cycle that is garbage,
        # connections may be closed before all else is.
        self._when_left = weakref.finalize(self, _end_left_open, crew, self._pid)
        self._when_left.atexit = False
        self._crew = crew

    def _new_crew(self) -> Crew:
        _need_descriptors(self.plan)
        crew = Crew(self.plan, cores=self._cores, warm=self._warm)
        crew.stalls = StallWatch(crew, self._stalled)
        remember(crew)
        crew.start()
        return crew

    def close(self) -> None:
        """Let the workers clear up and end; see :meth:`Live.close`."""
        if self._pid == os.getpid():  # else a lock may be held by a thread that is not here
            super().close()

    def _hurry(self, error: UsageError) -> None:
        if self._crew is not None:
            self._crew.fail(error)

    @interrupts_held()
    def _clear_away(self) -> None:
        """Let the workers clear up and end.

        Raises:
            ConveyorError: a teardown failed.
        """
        crew = self._release()
        if crew is not None:
            if crew.has_failed:  # since its run was to see that this is closed; that tells of it
                crew.stop()
                return
            try:
                crew.finish()
            except BaseException:
                crew.stop(at_once=True)
                raise

    @interrupts_held()
    def _break_off(self) -> None:
        """End the workers of a run that failed or was left. The next run starts new ones."""
        crew = self._release()
        if crew is not None:
            try:
                crew.stop()
            finally:
                self._keep(crew)

    def _keep(self, crew: Crew) -> None:
        """Keep what a crew knows of the run that has ended."""
        self._accounts, self._tapes = crew.tally.accounts, crew.tapes
        self._widths = crew.load.widths
        self._restarts, self._placed = crew.restarts, crew.mover.watch.placed

    def _release(self) -> Crew | None:
        """Give up the crew, to whoever ends it; a forked copy of this process may not."""
        crew, self._crew = self._crew, None
        if crew is None or self._pid != os.getpid():
            return None
        self._at_exit.cancel()
        self._when_left.detach()
        return crew

    def _batches(
        self, items: Iterable[Any], failures: Failures
    ) -> Generator[list[Any], None, None]:
        if self._crew is not None and self._crew.has_lost_any():
            log.warning("a worker has died between two runs: all are started anew")
            self._break_off()
        self.start()
        crew = self._crew
        if crew is not None:
            crew.forgive()
        self.see_that_wanted()  # it may have been closed while it started
        assert crew is not None
        crew.watch = self.watch
        with ExitStack() as stack:
            iterator = iter(items)
            if may_wait(items):
                with interrupts_held():  # else its thread may have begun, and nobody end it
                    iterator = stack.enter_context(closing(self._pulled(iterator)))
            crew.begin(iterator, failures, is_traced=self._is_traced)
            yield from crew.outputs()
        crew.watch = None  # which knows this pipeline, and would keep it
        self._counted, self._samples = crew.tally.end()
        crew.staff.trim()
        self._keep(crew)

    @staticmethod
    def _pulled(items: Iterator[Any]) -> Pulled:
        try:
            return Pulled(items)
        except (OSError, RuntimeError) as error:
            raise refused("there can be no thread that pulls the items", error) from error

    def _so_far(self, elapsed: float, given: int) -> Stats:
        crew = self._crew
        counted = crew.tally.counted() if crew is not None else []
        widths = crew.load.widths if crew is not None else {}
        return so_far(
            self.bare_graph,
            measured_by(counted),
            elapsed=elapsed,
            given=given,
            widths={fork: tuple(history) for fork, history in widths.items()},
            counted=counted,
            samples=tuple(crew.tally.samples) if crew is not None else (),
            placed=tuple(crew.mover.watch.placed) if crew is not None else (),
        )

    def _account(self, elapsed: float, given: int) -> Stats:
        counted = self._accounts
        return account(
            self.bare_graph,
            counted.nodes,
            counted.edges,
            elapsed=elapsed,
            given=given,
            widths=self._widths,
            counted=self._counted,
            samples=self._samples,
            restarts=self._restarts,
            placed=self._placed,
        )

    def _traced(self) -> Traced:
        channels, workers = self.plan.channels, self.plan.workers
        lanes = {
            number: Lane(
                worker.name,
                worker.element,
                [channels[channel].source for channel in worker.way_in.channels],
                gathers=worker.way_in.how != "interleave" and worker.way_in.traced,
            )
            for number, worker in enumerate(workers)
        }
        return Traced(lanes, self._tapes, self._widths)
