"""What an engine promises, held on simulated runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from conveyor import Element
from conveyor.engines.results import Results
from conveyor.engines.stats import Stats
from conveyor.graph import Graph
from conveyor.plan.make import make
from tests.flow.ledger import hold
from tests.flow.simulator import Chance, Simulation, shown

CORES = 3


def simulate(
    graph: Graph,
    seed: int,
    *runs: Sequence[Any],
    ordered: bool = False,
    processes: int | None = None,
    measured: bool = False,
) -> tuple[Simulation, list[tuple[list[Any], Stats]]]:
    """Run a graph, once with each of the items; give the outputs and the stats of each run."""
    plan = make(graph, ordered=ordered, processes=processes, cores=CORES)
    simulation = Simulation(plan, graph, Chance(seed, measured=measured))
    with explained(simulation, seed):
        return simulation, simulation.run_all(runs)


def run_inline(pipeline: Element, arguments: tuple[Any, ...]) -> tuple[Graph, Results[Any]]:
    """The graph of a pipeline, and what comes of it in the calling process."""
    with pipeline.open(engine="inline") as live:
        return live.graph, live.run(*arguments)


@contextmanager
def explained(simulation: Simulation, seed: int) -> Iterator[None]:
    """Say what was run where something goes wrong."""
    try:
        yield
    except Exception as error:
        error.add_note(f"seed {seed}")
        error.add_note(shown(simulation.plan, simulation.graph))
        raise


def keep_promises(
    pipeline: Element,
    arguments: tuple[Any, ...],
    seeds: Iterable[int],
    *,
    is_ordered: bool,
    **how: Any,
) -> None:
    """Hold what is promised on some interleavings of a pipeline, each with two runs.

    Args:
        pipeline: the pipeline.
        arguments: what its ``run`` is called with.
        seeds: which interleavings.
        is_ordered: whether the outputs come in the order of the inline engine.
        how: how it is run.
    """
    graph, inline = run_inline(pipeline, arguments)
    items = arguments[0] if arguments else ()
    for seed in seeds:
        simulation, runs = simulate(graph, seed, items, items, **how)
        check_run(simulation, seed, runs, inline, is_ordered=is_ordered)


def check_run(
    simulation: Simulation,
    seed: int,
    runs: Iterable[tuple[list[Any], Stats]],
    inline: Results[Any],
    *,
    is_ordered: bool,
) -> None:
    """The outputs and the accounts of all runs of a simulation are those of the inline engine."""
    with explained(simulation, seed):
        for outputs, stats in runs:
            check_outputs(outputs, inline, is_ordered=is_ordered)
            check_stats(simulation.graph, stats)
            hold("the totals are the same", stats.total == inline.stats.total, stats)


def check_outputs(outputs: list[Any], inline: Results[Any], *, is_ordered: bool) -> None:
    same = outputs == list(inline) if is_ordered else Counter(outputs) == Counter(inline)
    hold("the outputs are the same", same, outputs, inline)


def check_stats(graph: Graph, stats: Stats) -> None:
    """Every account balances, and what leaves an element gets to the next one."""
    for node in graph.nodes:
        account = stats.accounts[node.id]
        hold("an account balances", account.balances, node.id, stats)
        behind = [graph.edges[index].target for index in graph.out_edges[node.id]]
        if len(behind) == 1 and len(graph.in_edges[behind[0]]) == 1:
            all_get_on = stats.accounts[behind[0]].items_in == account.items_out
            hold("what goes out comes in", all_get_on, node.id, stats)
