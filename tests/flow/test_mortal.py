"""Whoever dies, and when: the outputs and the accounts are those of the inline engine."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor import Feed, Join, Pipe
from tests.flow.mortal import simulate_deaths
from tests.flow.promises import check_outputs, check_run, run_inline
from tests.strategies import Add, Expand, Keep, Tally, runnables

pytestmark = pytest.mark.quick

INTERLEAVINGS = 2
"""So many for each pipeline; `make simulations` makes them by the thousand."""

seeds = st.integers(0, 2**32)


def check(runnable, seed, *, ordered):
    arguments = runnable.arguments
    graph, inline = run_inline(runnable.pipeline(), arguments)
    items = arguments[0] if arguments else ()
    for one in range(seed, seed + INTERLEAVINGS):
        simulation, runs = simulate_deaths(graph, one, items, items, ordered=ordered)
        check_run(simulation, one, runs, inline, is_ordered=ordered)


@given(runnables(8), st.booleans(), seeds)
def test_whatever_dies_nothing_is_lost_or_doubled(runnable, ordered, seed):
    check(runnable, seed, ordered=ordered)


def test_workers_do_die():
    """Else the test above would tell nothing."""
    pipeline = Feed() >> Add(1) >> Keep(1) * ((Expand(1) >> Add(2)) % 2) & Tally(0)
    deaths = Counter()
    for seed in range(20):
        simulation, _ = simulate_deaths(pipeline.compile(), seed, range(12))
        deaths[simulation.danger.deaths] += 1
    assert sum(deaths.elements()) > 200
    assert deaths[0] < 7


@pytest.mark.parametrize(
    "pipeline",
    [
        Feed() >> Add(1) * Keep(2) * Pipe() & Join("zip") >> Add(1),
        Feed() >> Add(1) * (Add(2) % 2 & Join() >> Expand(3) * Add(4)) & Join("ordered") >> Add(1),
        Feed() >> Pipe(capacity=1) >> Expand(1) >> Pipe(capacity=1) >> Add(1) % 3 & Tally(0),
    ],
    ids=str,
)
def test_shapes_keep_their_meaning(pipeline):
    inline = pipeline.run(range(12), engine="inline")
    for seed in range(15):
        _, runs = simulate_deaths(pipeline.compile(), seed, range(12), range(12))
        for outputs, _ in runs:
            check_outputs(outputs, inline, is_ordered=False)
