"""From the graph to the plan: workers, channels, relays and processes."""

from __future__ import annotations

import functools
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor import AUTO, Auto, Feed, Join, Pipe, Processor
from conveyor.graph.check import check
from conveyor.plan import Fan
from conveyor.plan.make import make
from conveyor.plan.model import PARENT
from conveyor.plan.widen import widen
from tests.strategies import runnables

pytestmark = pytest.mark.quick

same = Processor(abs)


def planned(pipeline, *, ordered=False, processes=None, cores=2):
    return make(pipeline.compile(), ordered=ordered, processes=processes, cores=cores)


def kinds(plan):
    return [worker.kind for worker in plan.workers]


def ends(way):
    """All channels that a way out leads to."""
    if way is None:
        return []
    return (
        [end for branch in way.branches for end in ends(branch)] if isinstance(way, Fan) else [way]
    )


@given(runnables(), st.booleans(), st.none() | st.integers(1, 4))
def test_every_channel_is_in_one_way_out_and_one_way_in(case, ordered, processes):
    plan = planned(case.pipeline(), ordered=ordered, processes=processes)
    for number, channel in enumerate(plan.channels):
        assert ends(plan.workers[channel.source].way_out).count(number) == 1
        assert plan.workers[channel.target].way_in.channels.count(number) == 1
    assert sum(len(ends(worker.way_out)) for worker in plan.workers) == len(plan.channels)


@given(runnables(), st.booleans())
def test_every_processor_has_one_worker_and_its_own_process(case, ordered):
    graph = case.pipeline().compile()
    plan = make(graph, ordered=ordered, processes=None, cores=2)
    names = [worker.name for worker in plan.workers if worker.kind in ("stage", "source")]
    assert sorted(names) == sorted(node.id for node in graph.processors if node.kind != "feed")
    own = [worker.process for worker in plan.workers if worker.process != PARENT]
    assert sorted(own) == list(range(plan.processes))


@pytest.mark.parametrize(
    ("pipeline", "reporting"),
    [
        (Feed() >> same >> same * same & same, []),
        (Feed() >> same >> same % 2 & same, ["abs"]),
        (Feed() >> same % 2, ["feed"]),
        (Feed() >> same * same & Join("zip") >> same, ["abs.3"]),
        (Feed() >> same * same & Join("zip"), ["output"]),
        (Feed() >> same >> same.options(restarts=1), ["abs.2"]),
        (Feed() >> same >> same.options(on_error="skip"), ["abs.2"]),
        (Feed() >> same.options(retries=2) >> same, []),
        (Feed() >> same >> same % Auto(max=2) & same, ["abs", "abs.2", "abs.2+1"]),
    ],
)
def test_only_workers_report_whose_counters_do_not_tell_all(pipeline, reporting):
    plan = planned(pipeline)
    assert [worker.name for worker in plan.workers if worker.reports] == reporting


@given(runnables(), st.integers(1, 5))
def test_processes_are_bounded_even_and_shared_by_neighbours(case, processes):
    plan = planned(case.pipeline(), processes=processes)
    own = [w.process for w in plan.workers if w.kind not in ("feed", "sink")]
    sizes = [own.count(process) for process in range(plan.processes)]
    assert own == sorted(own)
    assert plan.processes <= processes
    assert not sizes or max(sizes) - min(sizes) <= 1


@given(st.lists(st.booleans(), min_size=1, max_size=9), st.integers(2, 6))
def test_who_may_be_started_again_shares_no_process_with_who_may_not(restarts, processes):
    steps = [same.options(restarts=2 if may else 0) for may in restarts]
    plan = planned(functools.reduce(operator.rshift, steps), processes=processes)
    own = [worker.process for worker in plan.workers[1:-1]]
    assert plan.processes == min(processes, len(restarts))
    assert [*dict.fromkeys(own)] == [*range(plan.processes)]
    for process in range(plan.processes):
        here = [may for may, at in zip(restarts, own, strict=True) if at == process]
        assert len(set(here)) == 1
    assert [worker.restarts for worker in plan.workers[1:-1]] == [2 * may for may in restarts]


@given(runnables(), st.integers(2, 4), st.data())
def test_the_channels_of_those_who_move_are_laid_anew_and_no_others(case, processes, data):
    plan = planned(case.pipeline(), processes=processes)
    hired = [n for n, w in enumerate(plan.workers) if w.process != PARENT]
    moves = {n: data.draw(st.integers(0, plan.processes - 1)) for n in hired}
    moved = {n for n, process in moves.items() if plan.workers[n].process != process}
    after = plan.placed(moves)
    assert {n: after.workers[n].process for n in hired} == moves
    assert after.relaid(plan) == [
        n for n, one in enumerate(plan.channels) if {one.source, one.target} & moved
    ]


@given(runnables(), st.integers(1, 4))
def test_whoever_may_come_to_a_process_is_hosted_there(case, processes):
    plan = planned(case.pipeline(), processes=processes)
    hired = [n for n, w in enumerate(plan.workers) if w.process != PARENT]
    assert plan.is_shared == (1 < plan.processes < len(hired))
    for process in range(plan.processes):
        own = [n for n in hired if plan.workers[n].process == process]
        assert plan.hosted(process) == (hired if plan.is_shared else own)


def test_those_that_are_settled_are_spread_first():
    chain = same >> same >> same >> same >> same >> same
    graph = chain.compile()
    plan = make(graph, ordered=False, processes=2, cores=2, settled={"abs.5", "abs.6"})
    assert [worker.process for worker in plan.workers] == [PARENT, 0, 0, 0, 0, 0, 1, PARENT]
    plan = make(graph, ordered=False, processes=3, cores=2, settled={"abs", "abs.2", "abs.5"})
    assert [worker.process for worker in plan.workers] == [PARENT, 0, 1, 1, 1, 2, 2, PARENT]


def test_what_counts_turns_has_to_stay():
    work = same >> (Pipe() >> same % 2) * same & Join("ordered") >> same >> same
    plan = planned(work, processes=3)
    bound = {worker.name for worker in plan.workers if worker.is_bound}
    assert bound == {"abs", "abs.5", "output", "feed"}


@given(runnables())
def test_the_feed_and_the_sink_are_the_callers(case):
    plan = planned(case.pipeline())
    assert {w.kind for w in plan.workers if w.process == PARENT} <= {"feed", "sink"}
    assert kinds(plan).count("sink") == 1


def test_a_chain_has_a_channel_for_each_pipe():
    assert len(planned(Feed() >> same >> same).channels) == 3


def test_a_join_and_a_fork_in_a_row_are_a_mesh():
    plan = planned(Feed() >> same * same & same % 3)
    assert "relay" not in kinds(plan)
    assert len(plan.channels) == 2 + 2 * 3 + 3


def test_a_join_that_matches_happens_in_the_worker_behind_it():
    plan = planned(Feed() >> same * same & Join("zip") >> same)
    assert "relay" not in kinds(plan)
    assert plan.workers[3].way_in.how == "zip"


@pytest.mark.parametrize("how", ["zip", "ordered"])
def test_a_join_that_matches_needs_a_relay_where_several_are_behind_it(how):
    assert kinds(planned(Feed() >> same * same & Join(how) >> same % 2)).count("relay") == 1


def test_what_is_counted_as_it_enters_a_fork_comes_from_one_place():
    plan = planned(Feed() >> same % 2 & same % 2 & Join("ordered"))
    assert kinds(plan).count("relay") == 1


def test_an_identity_branch_skips_a_worker():
    plan = planned(Feed() >> Pipe() * same & same)
    feed, behind = 0, 2
    assert (feed, behind) in {(channel.source, channel.target) for channel in plan.channels}


def test_a_capacity_lands_on_its_channel():
    plan = planned(Feed() >> same >> Pipe(7) >> same % 2)
    assert [channel.capacity for channel in plan.channels] == [None, 7, 7, None, None]


@pytest.mark.parametrize(
    ("auto", "cores", "width"),
    [(AUTO, 4, 4), (Auto(min=3), 2, 3), (Auto(max=2), 8, 2), (Auto(max=2), 1, 2)],
)
def test_auto_is_as_wide_as_it_says_or_as_the_cores(auto, cores, width):
    plan = planned(Feed() >> (same >> same) % auto & same, cores=cores)
    assert kinds(plan).count("stage") == 2 * width + 1


@given(st.integers(1, 4))
def test_a_widened_graph_is_sound(cores):
    graph = (Feed() >> (same * (same % AUTO) & Join() >> same) % AUTO & same).compile()
    assert check(widen(graph, cores).graph)
