"""How an engine is chosen and opened.

The fork server takes longest to be there, so it is started before all else that a run needs is
imported. What this module imports at its top comes before that, and is little.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from conveyor.engines import order
from conveyor.errors import UsageError
from conveyor.graph import Graph
from conveyor.graph.model import is_count, plain

if TYPE_CHECKING:
    from conveyor.engines.base import Live
    from conveyor.engines.letters import DeadLetter
    from conveyor.plan.explain import Explanation

EngineName = Literal["processes", "inline"]


def open_engine(
    graph: Graph,
    *,
    engine: EngineName,
    ordered: bool,
    processes: int | None,
    once: bool,
    stalled: float | None = None,
    written: object = None,
) -> Live[Any]:
    """A live pipeline on the engine of that name; its progress shows what was ``written``.

    Args:
        graph: what it runs.
        engine: the name.
        ordered: whether outputs come in the order of inline.
        processes: the most worker processes.
        once: whether there is one run only.
        stalled: the seconds after which a run that stands still is ended.
        written: the pipeline, as it was written.

    Raises:
        UsageError: there is no such engine, or an argument does not fit.
    """
    _check_ordered(ordered)
    processes = _checked_processes(processes)
    stalled = _checked_stalled(stalled)
    live = _opened(graph, engine, ordered=ordered, processes=processes, stalled=stalled, once=once)
    live.written = graph if written is None else written
    return live


def _opened(
    graph: Graph,
    engine: EngineName,
    *,
    ordered: bool,
    processes: int | None,
    stalled: float | None,
    once: bool,
) -> Live[Any]:
    match engine:
        case "inline":
            if (seed := order.seed()) is not None:
                from conveyor.engines.shuffled import Shuffled

                return Shuffled(graph, ordered=ordered, warm=not once, seed=seed)
            from conveyor.engines.inline import Inline

            return Inline(graph, warm=not once)
        case "processes":
            from conveyor.engines.processes.fork_server import start_fork_server
            from conveyor.engines.processes.imports import imported_by

            # It imports its part while we import ours.
            start_fork_server(partial(imported_by, graph))
            from conveyor.engines.processes.live import Processes

            return Processes(
                graph, ordered=ordered, processes=processes, stalled=stalled, warm=not once
            )
        case _:
            raise UsageError(f'there is no engine {engine!r}; there are "processes" and "inline"')


def open_replay(
    graph: Graph,
    letters: Iterable[DeadLetter],
    *,
    engine: Literal["inline"],
    written: object = None,
) -> Live[Any]:
    """A live pipeline whose run takes these dead letters up again.

    Raises:
        UsageError: that engine can't, or the letters do not fit the pipeline.
    """
    if engine != "inline":
        raise UsageError(
            f'replay() runs on engine="inline" only, not on {engine!r}: each letter enters at its '
            "stage. On processes, run what is left of the pipeline from that stage on: "
            "(stage >> rest).run([letter.item for letter in letters])"
        )
    from conveyor.engines.replay import Replay

    live = Replay(graph, letters)
    live.written = graph if written is None else written
    return live


def explain(graph: Graph, *, ordered: bool, processes: int | None) -> Explanation:
    """What the process engine would start, and why.

    Raises:
        UsageError: an argument does not fit.
    """
    from conveyor.engines.processes.explain import explanation

    _check_ordered(ordered)
    processes = _checked_processes(processes)
    return explanation(graph, ordered=ordered, processes=processes)


def see_that_it_travels(graph: Graph) -> None:
    """See that every processor of a graph can be sent to a worker.

    Raises:
        NotPicklable: the first that can't.
    """
    from conveyor.engines.processes.explain import check_travel

    check_travel(graph)


def _check_ordered(ordered: object) -> None:
    if not isinstance(ordered, bool):
        raise UsageError(f"ordered takes True or False, not {ordered!r}")


def _checked_processes(processes: object) -> int | None:
    count = plain(processes)
    if count is None or (is_count(count) and count >= 1):
        return count
    raise UsageError(f"processes takes an int of 1 or more, or None, not {processes!r}")


def _checked_stalled(stalled: object) -> float | None:
    seconds = plain(stalled)
    if seconds is None or ((is_count(seconds) or isinstance(seconds, float)) and seconds > 0):
        return seconds
    raise UsageError(f"stalled takes seconds, more than 0, or None, not {stalled!r}")
