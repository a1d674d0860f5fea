"""Random pipelines under random interleavings: whatever happens when, the outputs are inline's."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conveyor import AUTO, Auto, Feed, Join, JoinError, Pipe, Processor, Source
from tests.flow.promises import keep_promises, simulate
from tests.strategies import (
    Add,
    Keep,
    Runnable,
    Scope,
    Split,
    TwoOutputs,
    Work,
    following,
    runnables,
    splits,
)

pytestmark = pytest.mark.quick

INTERLEAVINGS = 2
"""So many for each pipeline; `make simulations` makes them by the thousand."""

processes = st.sampled_from((None, 1, 2, 3))
seeds = st.integers(0, 2**32)


def check(runnable, seed, *, is_ordered, **how):
    """Hold the promises of the engine on some interleavings of a pipeline."""
    some = range(seed, seed + INTERLEAVINGS)
    keep_promises(runnable.pipeline(), runnable.arguments, some, is_ordered=is_ordered, **how)


@given(runnables(8), processes, seeds)
def test_any_interleaving_gives_the_outputs_of_the_inline_engine(runnable, processes, seed):
    check(runnable, seed, is_ordered=False, processes=processes)


@given(runnables(8), processes, seeds)
def test_any_interleaving_gives_them_in_order_where_that_is_asked(runnable, processes, seed):
    check(runnable, seed, is_ordered=True, ordered=True, processes=processes)


@given(runnables(5), processes, st.booleans(), seeds)
def test_batches_of_the_sizes_of_the_engine_give_the_same(runnable, processes, ordered, seed):
    how = {"ordered": ordered, "processes": processes, "measured": True}
    check(runnable, seed, is_ordered=ordered, **how)


ADD = Work("add")
MIXED = Split("%", ((Split("*", ((ADD,), (ADD,)), "interleave"), ADD),) * 2, "ordered")
"""Copies of several items get mixed, in a branch."""
MESHED = Split("%", ((Split("%", ((), ()), "interleave"), Split("*", ((),), "zip")),), "ordered")
"""What enters the fork of the zip, the end too, comes from two workers."""


@given(splits(Scope(), 8), st.lists(st.integers(-9, 9), max_size=6), processes, seeds)
@example(MIXED, [1, 2, 3, 4], None, 0)
@example(MESHED, [], None, 0)
def test_an_ordered_join_restores_the_order_of_all_that_is_in_its_fork(fork, items, n, seed):
    runnable = Runnable((replace(fork, how="ordered"),), tuple(items))
    check(runnable, seed, is_ordered=True, processes=n)


@given(runnables(6), st.lists(st.integers(-9, 9), max_size=6), processes, st.booleans(), seeds)
def test_runs_follow_one_another(runnable, items, processes, ordered, seed):
    runnable = replace(runnable, start="feed")
    inputs = (runnable.items, tuple(items), (), runnable.items)
    how = {"ordered": ordered, "processes": processes}
    _, runs = simulate(runnable.pipeline().compile(), seed, *inputs, **how)
    for given_items, (outputs, _) in zip(inputs, runs, strict=True):
        wanted = replace(runnable, items=given_items).expected()
        assert Counter(outputs) == Counter(wanted)
        assert not ordered or outputs == wanted


@given(runnables(6, careless=True), processes, st.booleans(), seeds)
def test_two_outputs_for_one_item_of_a_zip_are_told(runnable, processes, ordered, seed):
    how = {"ordered": ordered, "processes": processes}
    try:
        wanted = Counter(runnable.expected())
    except TwoOutputs:
        with pytest.raises(JoinError):
            simulate(runnable.pipeline().compile(), seed, runnable.items, **how)
    else:
        _, [(outputs, _)] = simulate(runnable.pipeline().compile(), seed, runnable.items, **how)
        assert Counter(outputs) == wanted


@given(runnables(8), processes, seeds)
def test_a_seed_gives_the_same_run_again(runnable, processes, seed):
    simulations, results = zip(
        *(
            simulate(runnable.pipeline().compile(), seed, runnable.items, processes=processes)
            for _ in "12"
        ),
        strict=True,
    )

    assert results[0] == results[1]
    assert simulations[0].chance.random.getstate() == simulations[1].chance.random.getstate()


@pytest.mark.parametrize(
    ("pipeline", "branches", "stages"),
    [
        (Feed() >> Add(1) >> Add(2), 1, 2),
        (Feed() >> Add(1) % 3 & Join("ordered"), 1, 1),
        (Feed() >> Add(1) * Keep(2) * Pipe() & Join("zip"), 3, 1),
        (Feed() >> Add(1) * (Add(2) % 2 & Join() >> Add(3) * Add(4)) & Join("ordered"), 3, 2),
    ],
)
def test_no_more_is_under_way_than_the_window_allows(pipeline, branches, stages):
    for seed in range(20):
        simulation, _ = simulate(pipeline.compile(), seed, range(30))
        chance = simulation.chance
        # A slow stage answers with a part for each item, and says then that this was all.
        parts = chance.most + stages
        assert simulation.ledger.most <= (chance.window + 1) * branches * parts


class Mark(Processor):
    def process(self, item):
        item.append("mark")
        return item


def to_list(item):
    return [item]


@given(processes, st.none() | st.integers(1, 3), seeds)
def test_every_branch_has_its_own_copy_of_every_item(processes, capacity, seed):
    branch = Pipe(capacity=capacity) >> Mark()
    pipeline = Feed() >> Processor(to_list) >> branch * branch * Pipe() & Join()
    _, [(outputs, _)] = simulate(pipeline.compile(), seed, range(5), processes=processes)

    assert Counter(map(len, outputs)) == {1: 5, 2: 10}


autos = st.builds(Auto, st.integers(1, 2))


@given(runnables(8), autos, st.booleans(), seeds)
def test_forks_that_follow_the_load_give_the_same(runnable, auto, ordered, seed):
    runnable = replace(runnable, chain=following(runnable.chain, auto), explicit=False)
    check(runnable, seed, is_ordered=ordered, ordered=ordered)


NESTED = Split("%", ((Split("%", ((ADD,), (ADD,)), "interleave"), ADD),), "ordered")
LEAVING = Split("%", ((ADD, NESTED), (ADD, NESTED)), "interleave")
"""A branch that leaves has an ordered join of branches that end in any order."""


@given(splits(Scope(), 8), st.lists(st.integers(-9, 9), max_size=9), autos, seeds)
@example(LEAVING, [0], Auto(2), 2**32 - 1)
def test_an_ordered_join_restores_the_order_of_what_comes_and_goes(fork, items, auto, seed):
    (fork,) = following((replace(fork, how="ordered"),), auto)
    check(Runnable((fork,), tuple(items)), seed, is_ordered=True)


LATE = Split("%", ((ADD,),), "interleave")
"""What enters it comes of the end of the stream."""


@given(autos, st.lists(st.integers(-9, 9), max_size=2), seeds)
def test_a_branch_may_be_told_to_leave_when_the_stream_ends(auto, items, seed):
    (late,) = following((LATE,), auto)
    fork = Split("*", ((Work("total"), late),), "ordered")
    check(Runnable((fork,), tuple(items)), seed, is_ordered=True)


class Count(Processor):
    """Gives the number of its items, at the end."""

    def __init__(self):
        self.items = 0

    def process(self, item):
        self.items += 1

    def finish(self):
        return self.items


FOLLOWING = [
    Feed() >> Count() % AUTO,
    Feed() >> Add(1) % AUTO & Count() % AUTO,
    Feed() >> (Add(1) >> Count() >> Add(0)) % AUTO & Add(0),
    Feed() >> (Add(1) % 2 & Count()) % AUTO & Add(0) % 2 & Join("ordered"),
    Feed() >> (Pipe() * Keep(1) & Count()) % AUTO & Join("ordered"),
    Source(range(12)) >> (Pipe() >> Count() % AUTO) * Keep(2) & Join("ordered"),
    Source(range(12)) >> (Pipe() >> Add(1) * Pipe()) % AUTO & Count() % AUTO,
]


@pytest.mark.parametrize("pipeline", FOLLOWING, ids=str)
def test_what_branches_give_at_their_ends_arrives_whenever_they_leave(pipeline):
    """Several runs, in which branches come and go."""
    items = (range(12),) if "Feed()" in str(pipeline) else ((),)
    wanted = sum(pipeline.run(*(items if items[0] else ()), engine="inline"))
    for seed in range(10):
        _, runs = simulate(pipeline.compile(), seed, *items * 3)
        assert [sum(outputs) for outputs, _ in runs] == [wanted] * 3


def test_branches_come_and_go():
    """Else the tests above would tell nothing."""
    changes = Counter()
    for seed in range(50):
        simulation, _ = simulate(FOLLOWING[1].compile(), seed, range(12))
        changes.update(simulation.changes)
    assert min(changes["attached"], changes["detached"]) > 10


@given(processes, seeds)
def test_an_auto_fork_gives_each_item_once(processes, seed):
    pipeline = Feed() >> (Processor(abs) >> Processor(str)) % AUTO & Join("ordered")
    _, [(outputs, _)] = simulate(pipeline.compile(), seed, range(7), processes=processes)

    assert outputs == list(map(str, range(7)))
