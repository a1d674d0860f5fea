"""Forks that follow the load get their width in the graph."""

from __future__ import annotations

from collections import Counter
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.graph import Auto, ForkNode, JoinNode
from conveyor.graph.check import check
from conveyor.plan.widen import widen, width
from tests.graph.strategies import balanced, graphs, wired

pytestmark = pytest.mark.quick

autos = st.integers(1, 6).flatmap(
    lambda least: st.builds(Auto, st.just(least), st.none() | st.integers(least, 8))
)
cores = st.integers(1, 4)


def is_auto(node):
    return isinstance(node, ForkNode) and node.auto is not None


def widths(graph, cores):
    """How wide each AUTO fork becomes."""
    place, found = check(graph).place, {}
    autos = [node.id for node in graph.nodes if is_auto(node)]
    for name in autos:
        (into,) = graph.in_edges[name]
        follows = not {fork for fork, _ in place[into]} & set(autos)
        auto = graph.by_id[name].auto
        found[name] = width(auto, cores) if follows else auto.min
    return found


@given(autos, st.integers(1, 16))
def test_a_fork_is_as_wide_as_it_says_or_as_the_cores(auto, cores):
    most = max(auto.min, cores)

    assert width(auto, cores) == (most if auto.max is None else auto.max)
    assert width(auto, cores, follows=False) == min(most, auto.max or most)


@given(graphs(), cores)
def test_a_graph_with_its_widths_is_sound(graph, cores):
    wide = widen(graph, cores).graph.check()

    assert not any(map(is_auto, wide.nodes))


@given(graphs(), cores)
def test_what_is_in_a_fork_is_there_as_often_as_the_fork_is_wide(graph, cores):
    place, wanted = check(graph).place, Counter()
    for node in graph.processors:
        (out,) = graph.out_edges[node.id]
        around = (graph.by_id[fork] for fork, _ in place[out])
        copies = (widths(graph, cores)[fork.id] for fork in around if is_auto(fork))
        wanted[node.kind, node.label] += prod(copies)

    assert Counter((n.kind, n.label) for n in widen(graph, cores).graph.processors) == wanted


@given(graphs(), cores)
def test_a_fork_has_as_many_branches_as_it_is_wide(graph, cores):
    wide = widen(graph, cores).graph
    for fork in filter(is_auto, graph.nodes):
        assert len(wide.out_edges[fork.id]) == widths(graph, cores)[fork.id]


@given(graphs(), cores)
def test_joins_close_the_forks_that_they_closed(graph, cores):
    wide = widen(graph, cores).graph
    before, after = check(graph).closes, check(wide).closes

    assert {join: after[join] for join in before} == before


@given(graphs().filter(lambda graph: not any(map(is_auto, graph.nodes))))
def test_a_graph_of_fixed_widths_stays_as_it_is(graph):
    assert widen(graph, 3).graph is graph


def test_the_first_copy_keeps_its_name():
    graph = wired(
        "feed > fork > a > join > output", balanced(auto=Auto()), JoinNode("join", "fork")
    )

    assert [node.id for node in widen(graph, 3).graph.nodes] == (
        ["feed", "fork", "a", "a+1", "a+2", "join", "output"]
    )


def test_copies_of_copies_have_names_of_their_own():
    forks = balanced("outer", Auto()), balanced("inner", Auto(min=2))
    graph = wired("feed > outer > inner > a > output", *forks)
    names = [node.id for node in widen(graph, 2).graph.processors]

    assert len(set(names)) == len(names) == 1 + 2 * 2


def test_a_fork_in_a_branch_of_one_that_follows_the_load_does_not():
    forks = balanced("outer", Auto()), balanced("inner", Auto(min=2, max=9))
    wide = widen(wired("feed > outer > inner > a > output", *forks), 4)

    assert wide.bounds == {"outer": (1, 4)}
    assert wide.kept == {"inner": (2, "fixed: it lies in a fork that follows the load")}
    assert len(wide.graph.processors) == 1 + 4 * 2


def test_other_forks_can_be_kept_as_they_are():
    graph = wired("feed > fork > a > output", balanced("fork", Auto(min=2)))
    wide = widen(graph, 4, {"fork"})

    assert wide.bounds == {}
    assert wide.kept == {"fork": (2, "fixed: it has a branch without a worker")}
    assert len(wide.graph.out_edges["fork"]) == 2


@given(graphs(), cores)
def test_every_auto_fork_follows_the_load_or_says_why_not(graph, cores):
    autos = {node.id for node in graph.nodes if is_auto(node)}
    wide, still = widen(graph, cores), widen(graph, cores, still="so it is")

    assert wide.bounds.keys() | wide.kept.keys() == autos
    assert not wide.bounds.keys() & wide.kept.keys()
    assert {name: reason for name, (_, reason) in still.kept.items()} == dict.fromkeys(
        autos, "fixed: so it is"
    )


@given(graphs(), cores)
def test_what_a_copy_was_made_of_is_known(graph, cores):
    wide = widen(graph, cores)
    for index, edge in zip(wide.edges, wide.graph.edges, strict=True):
        before = graph.edges[index]
        assert (before.source, before.target) == (wide.nodes[edge.source], wide.nodes[edge.target])
        assert before.capacity == edge.capacity
    assert set(wide.nodes) == set(wide.graph.by_id)
    assert set(wide.nodes.values()) == set(graph.by_id)
