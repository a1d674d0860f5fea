"""How Conveyor is run in benchmarks: with no setting at all.

It is imported where it is used, so that the processes of others do not pay for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from operator import rshift
from typing import TYPE_CHECKING, Any

from benchmarks.contest import Run, timed

if TYPE_CHECKING:
    from conveyor.dsl.element import Element


def chain(*functions: Callable[[Any], Any]) -> Element[Any, Any]:
    """The functions as a pipeline, a processor each."""
    from conveyor import Processor

    return reduce(rshift, map(Processor, functions))


def run_warm(
    pipeline: Element[Any, Any],
    first: Iterable[Any],
    items: Iterable[Any],
    *,
    processes: int | None = None,
    **options: Any,
) -> Run:
    """Time a run of the items, with options, on processes that ``first`` has shown to be up."""
    with pipeline.open(processes=processes) as live:
        live.run(first)
        return timed(lambda: live.run(items, **options))
