"""Whatever the graph, its plan is sound: who works where, and by which channels."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor import AUTO, Feed, Join, Pipe, Processor
from conveyor.graph import Edge, ForkNode, Graph, JoinNode, ProcessorNode
from conveyor.plan import Fan
from conveyor.plan.make import make
from conveyor.plan.model import PARENT
from conveyor.plan.widen import widen
from tests.graph.strategies import graphs, replicated, wired
from tests.strategies import runnables

pytestmark = pytest.mark.quick

CORES = 3
some_graphs = st.one_of(graphs(), runnables(8).map(lambda one: one.pipeline().compile()))
bounds = st.none() | st.integers(1, 9)
same = Processor(abs)


def planned(graph, *, ordered=False, processes=None):
    """The plan of a graph, and the graph with its widths."""
    plan = make(graph, ordered=ordered, processes=processes, cores=CORES)
    return plan, widened(graph, plan, processes).graph


def widened(graph, plan, processes=None):
    """The graph with the widths that it has in a plan."""
    follow = {one.fork for one in plan.scaled}
    autos = {n.id for n in graph.nodes if isinstance(n, ForkNode) and n.auto is not None}
    wide = widen(graph, CORES, still="processes=... is set" if processes else "")
    return wide if processes else widen(graph, CORES, (autos & wide.bounds.keys()) - follow)


def plan_of(pipeline, **how):
    return planned(pipeline.compile(), **how)[0]


def leaves(way):
    """The channels of a way out, left to right."""
    if way is None:
        return []
    return [n for branch in way.branches for n in leaves(branch)] if isinstance(way, Fan) else [way]


def fans(way):
    if isinstance(way, Fan):
        yield way
        for branch in way.branches:
            yield from fans(branch)


def all_fans(plan):
    return [fan for worker in plan.workers for fan in fans(worker.way_out)]


def hired(plan):
    """The processes of all workers but the parent's own."""
    return [worker.process for worker in plan.workers if worker.kind not in ("feed", "sink")]


def relays(plan):
    return [worker.name for worker in plan.workers if worker.kind == "relay"]


def joining(plan):
    """How those join that read several channels."""
    return [worker.way_in.how for worker in plan.workers if len(worker.way_in.channels) > 1]


def walks(graph, workers, node, capacities=()):
    """From a worker to the next ones, with the tightest capacity on the way, left to right."""
    for index in graph.out_edges[node]:
        edge = graph.edges[index]
        found = capacities if edge.capacity is None else (*capacities, edge.capacity)
        if edge.target in workers:
            yield edge.target, min(found, default=None)
        else:
            yield from walks(graph, workers, edge.target, found)


# -- workers --


@given(some_graphs, st.booleans(), bounds)
def test_every_processor_has_one_worker(graph, ordered, processes):
    plan, wide = planned(graph, ordered=ordered, processes=processes)

    assert [worker.node for worker in plan.workers if worker.node] == list(wide.processors)
    assert all(worker.name == worker.node.id for worker in plan.workers if worker.node)
    assert len({worker.name for worker in plan.workers}) == len(plan.workers)


@given(some_graphs, st.booleans())
def test_what_starts_is_first_and_the_sink_last(graph, ordered):
    plan, _ = planned(graph, ordered=ordered)
    first, *between, last = [worker.kind for worker in plan.workers]

    assert first in ("feed", "source")
    assert last == "sink"
    assert set(between) <= {"stage", "relay"}


@given(some_graphs, st.booleans())
def test_a_relay_stands_only_where_a_join_has_no_worker_of_its_own_behind_it(graph, ordered):
    plan, wide = planned(graph, ordered=ordered)
    for worker in plan.workers:
        if worker.kind == "relay":
            (onwards,) = wide.out_edges[worker.name]
            assert not isinstance(wide.by_id[wide.edges[onwards].target], ProcessorNode)
            is_counted = any(fan.in_turn for fan in fans(worker.way_out))
            assert is_counted or worker.way_in.how != "interleave"


@given(some_graphs, st.booleans())
def test_what_matches_or_orders_happens_in_one_place(graph, ordered):
    plan, _ = planned(graph, ordered=ordered)
    places = Counter(w.way_in.join for w in plan.workers if w.way_in.how != "interleave")
    copies = Counter(widened(graph, plan).nodes.values())
    for node in graph.nodes:
        if isinstance(node, JoinNode):
            is_passing = node.how == "interleave" and not ordered
            assert places[node.id] == copies[node.id] or (is_passing and not places[node.id])


@given(some_graphs, st.booleans())
def test_frames_are_counted_into_a_fork_by_one_worker(graph, ordered):
    plan, _ = planned(graph, ordered=ordered)
    wide = widened(graph, plan)
    counted = Counter(fan.edges for fan in all_fans(plan) if fan.in_turn)

    for edges, times in counted.items():
        fork = graph.edges[edges[0]].source
        assert times == [*wide.nodes.values()].count(fork)


# -- channels --


@given(some_graphs, st.booleans(), bounds)
def test_channels_fit_the_ways_in_and_out(graph, ordered, processes):
    plan, _ = planned(graph, ordered=ordered, processes=processes)
    out = [(n, c) for n, worker in enumerate(plan.workers) for c in leaves(worker.way_out)]
    into = [(n, c) for n, worker in enumerate(plan.workers) for c in worker.way_in.channels]

    assert sorted(out) == sorted((c.source, n) for n, c in enumerate(plan.channels))
    assert sorted(into) == sorted((c.target, n) for n, c in enumerate(plan.channels))


@given(some_graphs, st.booleans())
def test_channels_lead_from_worker_to_worker_as_the_edges_do(graph, ordered):
    plan, wide = planned(graph, ordered=ordered)
    workers = {worker.name for worker in plan.workers}
    for worker in plan.workers:
        channels = [plan.channels[number] for number in leaves(worker.way_out)]
        laid = [(plan.workers[channel.target].name, channel.capacity) for channel in channels]
        assert laid == list(walks(wide, workers, worker.name))


@given(some_graphs, st.booleans())
def test_channels_lead_downstream(graph, ordered):
    plan, _ = planned(graph, ordered=ordered)

    assert all(channel.source < channel.target for channel in plan.channels)


@given(some_graphs)
def test_a_fork_in_a_way_out_is_a_fork_of_the_graph(graph):
    plan, _ = planned(graph)
    for fan in all_fans(plan):
        fork = graph.by_id[graph.edges[fan.edges[0]].source]
        assert fan.kind == fork.kind
        assert set(fan.edges) == set(graph.out_edges[fork.id])
        assert fork.auto is not None or fan.edges == graph.out_edges[fork.id]
        assert len(fan.branches) == len(fan.edges)


# -- forks that follow the load --


@given(some_graphs, st.booleans())
def test_a_slot_belongs_to_one_branch_of_one_fork(graph, ordered):
    plan, wide = planned(graph, ordered=ordered)
    slots = [slot for one in plan.scaled for slot in one.slots]

    assert slots == list(range(len(slots)))
    for one in plan.scaled:
        assert 1 <= one.least < len(one.slots) == len(wide.out_edges[one.fork])
    assert {fan.slots for fan in all_fans(plan)} <= {(), *(one.slots for one in plan.scaled)}


@given(some_graphs, st.booleans(), st.data())
def test_what_is_attached_hangs_together(graph, ordered, data):
    """Whichever slots are attached, every worker that is there gets something and gives it on."""
    plan, _ = planned(graph, ordered=ordered)
    attached = {
        slot
        for one in plan.scaled
        for slot in data.draw(st.sets(st.sampled_from(one.slots), min_size=1))
    }
    workers = set(plan.workers_with(attached))
    channels = [plan.channels[number] for number in plan.channels_with(attached)]

    assert workers == {0} | {channel.target for channel in channels}
    assert workers == {channel.source for channel in channels} | {len(plan.workers) - 1}


@given(some_graphs, st.booleans(), st.integers(1, 9))
def test_forks_keep_their_widths_where_processes_are_counted(graph, ordered, processes):
    plan, _ = planned(graph, ordered=ordered, processes=processes)

    assert plan.scaled == ()
    assert {worker.slot for worker in plan.workers} == {None}


def test_a_fork_with_a_way_around_its_workers_has_no_load_to_follow():
    pipeline = Feed() >> Pipe() % AUTO & (Pipe() >> same * Pipe()) % AUTO & same % AUTO
    plan = plan_of(pipeline)

    assert [one.fork for one in plan.scaled] == ["fork.4"]
    assert len(hired(plan)) == 1 + CORES


def test_a_fork_in_a_branch_of_a_zip_never_gets_narrower():
    tallied = same % AUTO & same
    plan = plan_of(Feed() >> tallied * same & Join("zip") >> same % AUTO)

    assert [one.narrows for one in plan.scaled] == [False, True]


@given(some_graphs, st.booleans())
def test_the_links_of_a_zip_know_their_places(graph, ordered):
    plan, wide = planned(graph, ordered=ordered)
    for worker in plan.workers:
        if worker.way_in.how == "zip":
            places = {plan.channels[number].link.place for number in worker.way_in.channels}
            assert places == set(range(len(wide.in_edges[worker.way_in.join])))


@given(some_graphs, st.booleans())
def test_what_matches_or_orders_finds_the_scope_that_it_asks_for(graph, ordered):
    plan, _ = planned(graph, ordered=ordered)
    for worker in plan.workers:
        scopes = [plan.channels[number].link.scopes for number in worker.way_in.channels]
        assert worker.way_in.how == "interleave" or min(scopes) >= 1


# -- processes --


@given(some_graphs, st.booleans())
def test_every_worker_has_its_own_process_unless_told_otherwise(graph, ordered):
    plan, _ = planned(graph, ordered=ordered)

    assert hired(plan) == list(range(plan.processes))


@given(some_graphs, st.booleans(), st.integers(1, 9))
def test_neighbours_share_processes_evenly(graph, ordered, processes):
    plan, _ = planned(graph, ordered=ordered, processes=processes)
    sizes = Counter(hired(plan)).values()

    assert hired(plan) == sorted(hired(plan))
    assert set(hired(plan)) == set(range(plan.processes))
    assert plan.processes == min(processes, len(hired(plan)))
    assert max(sizes, default=0) - min(sizes, default=0) <= 1


@given(some_graphs, st.booleans(), bounds)
def test_the_feed_and_the_sink_are_in_the_parent_and_nothing_else(graph, ordered, processes):
    plan, _ = planned(graph, ordered=ordered, processes=processes)

    for worker in plan.workers:
        assert (worker.process == PARENT) == (worker.kind in ("feed", "sink"))


# -- one by one --


def test_an_identity_branch_is_a_channel_that_skips_a_worker():
    plan = plan_of(Feed() >> same * Pipe() >> Pipe())
    names = [worker.name for worker in plan.workers]

    assert names == ["feed", "abs", "output"]
    assert [(c.source, c.target) for c in plan.channels] == [(0, 1), (0, 2), (1, 2)]


def test_a_join_before_another_one_that_has_a_place_needs_none():
    inner = same % 2 & Join()
    pipeline = Feed() >> inner % Pipe() & Join() >> same % 2 & Join("ordered")

    assert relays(plan_of(pipeline)) == ["join.2"]


def test_what_is_in_an_ordered_fork_keeps_copies_in_order():
    mixing = same * same & Join() >> same

    assert joining(plan_of(Feed() >> mixing % 2 & Join("ordered"))) == ["ordered"] * 3


def test_what_is_balanced_in_an_ordered_fork_stays_first_come_first_served():
    passing = same % 2 & Join() >> same

    assert joining(plan_of(Feed() >> passing % 2 & Join("ordered"))) == (
        ["interleave", "interleave", "ordered"]
    )


def test_a_join_before_an_ordered_fork_stays_first_come_first_served():
    plan = plan_of(Feed() >> same * same & Join() >> same >> same % 2 & Join("ordered"))

    assert joining(plan) == ["interleave", "ordered"]


def test_with_ordered_outputs_every_join_is_ordered():
    plan = plan_of(Feed() >> same % 2 & Join() >> same >> same % 2, ordered=True)

    assert joining(plan) == ["ordered", "ordered"]


def test_an_output_that_joins_open_forks_is_their_place():
    plan = plan_of(Feed() >> same * (same % 2), ordered=True)

    assert (plan.workers[-1].way_in.how, plan.workers[-1].way_in.join) == ("ordered", "output")


@given(st.lists(st.none() | st.integers(1, 9), min_size=3, max_size=3))
def test_the_tightest_pipe_on_the_way_bounds_a_channel(capacities):
    way = pairwise(("feed", "fork", "join", "output"))
    edges = [Edge(*ends, capacity) for ends, capacity in zip(way, capacities, strict=True)]
    graph = wired("feed > fork > join > output", replicated(), JoinNode("join", "fork"))
    (channel,) = planned(Graph(graph.nodes, tuple(edges)))[0].channels

    assert channel.capacity == min(filter(None, capacities), default=None)
