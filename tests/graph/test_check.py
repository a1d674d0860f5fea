"""The structural rules: what keeps them passes, and whatever breaks one is found."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor.errors import GraphError
from conveyor.graph import (
    Auto,
    Edge,
    ForkNode,
    Graph,
    JoinNode,
    Node,
    OutputNode,
    ProcessorNode,
    check,
)
from conveyor.graph.model import StageKind
from tests.graph.strategies import any_graphs, balanced, forks, graphs, replicated, wired

quick = settings(max_examples=20, deadline=None)
data = st.data()


def problems(graph: Graph) -> tuple[str, ...]:
    with pytest.raises(GraphError) as caught:
        check(graph)
    return caught.value.problems


def with_edge(graph: Graph, index: int, *edges: Edge) -> Graph:
    """``graph`` with other edges, or none, in the place of one."""
    return replace(graph, edges=graph.edges[:index] + edges + graph.edges[index + 1 :])


def with_node(graph: Graph, index: int, *nodes: Node) -> Graph:
    return replace(graph, nodes=graph.nodes[:index] + nodes + graph.nodes[index + 1 :])


def indexes(values: tuple[object, ...]) -> st.SearchStrategy[int]:
    return st.integers(0, len(values) - 1)


# -- sound graphs --


@quick
@given(graphs())
def test_every_series_parallel_graph_passes(graph: Graph) -> None:
    assert graph.check() is graph


@quick
@given(graphs(), data)
def test_the_order_of_the_nodes_does_not_matter(graph: Graph, data: st.DataObject) -> None:
    check(replace(graph, nodes=tuple(data.draw(st.permutations(graph.nodes)))))


@quick
@given(any_graphs)
def test_any_graph_passes_or_is_a_graph_error(graph: Graph) -> None:
    with suppress(GraphError):
        check(graph)


SOUND = {
    "a feed alone": wired("feed > output"),
    "a trunk": wired("feed > a > b > output"),
    "a fork of one branch": wired(
        "feed > fork > a > join > output", balanced(), JoinNode("join", "fork")
    ),
    "a fork of identities": wired(
        "feed > fork > join > output | fork > join", replicated(), JoinNode("join", "fork")
    ),
    "an AUTO fork": wired(
        "feed > fork > a > join > output", balanced(auto=Auto(2, 8)), JoinNode("join", "fork")
    ),
    "a fork that the output joins": wired(
        "feed > fork > a > output | fork > b > output", balanced()
    ),
    "a fork in a fork, both joined at once": wired(
        "feed > fork > a > join > output | fork > inner > b > join | inner > c > join",
        replicated(),
        balanced("inner"),
        JoinNode("join", "fork"),
    ),
    "a fork in a fork, joined one by one": wired(
        "feed > fork > a > join > output | fork > inner > b > first > join | inner > c > first",
        replicated(),
        balanced("inner"),
        JoinNode("first", "inner"),
        JoinNode("join", "fork"),
    ),
    "a join that leads into a fork": wired(
        "feed > fork > a > join > next > c > output | fork > b > join | next > d > output",
        replicated(),
        JoinNode("join", "fork"),
        balanced("next"),
    ),
    "a zip over a balanced fork that was joined before": wired(
        "feed > fork > a > zip > output | fork > inner > b > first > zip | inner > c > first",
        replicated(),
        balanced("inner"),
        JoinNode("first", "inner"),
        JoinNode("zip", "fork", "zip"),
    ),
    "a zip inside a balanced fork": wired(
        "feed > fork > inner > a > zip > output | inner > b > zip | fork > c > output",
        balanced(),
        replicated("inner"),
        JoinNode("zip", "inner", "zip"),
    ),
}


@pytest.mark.parametrize("graph", SOUND.values(), ids=SOUND)
def test_sound_is(graph: Graph) -> None:
    check(graph)


# -- names and edges --


@quick
@given(graphs(), data)
def test_two_nodes_of_one_name_are_found(graph: Graph, data: st.DataObject) -> None:
    first, second = data.draw(st.lists(indexes(graph.nodes), min_size=2, max_size=2, unique=True))
    same = replace(graph.nodes[second], id=graph.nodes[first].id)

    assert f"two nodes are called {same.id!r}" in problems(with_node(graph, second, same))


@quick
@given(graphs(), data, st.booleans())
def test_an_edge_with_a_loose_end_is_found(
    graph: Graph, data: st.DataObject, at_start: bool
) -> None:
    index = data.draw(indexes(graph.edges))
    edge = graph.edges[index]
    loose = replace(edge, source="nobody") if at_start else replace(edge, target="nobody")

    assert any(
        "knows no node 'nobody'" in said for said in problems(with_edge(graph, index, loose))
    )


@quick
@given(graphs(), data, st.integers(max_value=0))
def test_a_capacity_below_one_is_found(graph: Graph, data: st.DataObject, capacity: int) -> None:
    index = data.draw(indexes(graph.edges))
    tight = replace(graph.edges[index], capacity=capacity)

    assert problems(with_edge(graph, index, tight)) == (
        f"the edge {tight.source} -> {tight.target} has a capacity below 1",
    )


@quick
@given(graphs(), data)
def test_a_node_without_its_edges_is_found(graph: Graph, data: st.DataObject) -> None:
    problems(with_node(graph, data.draw(indexes(graph.nodes))))


@quick
@given(graphs(), data)
def test_a_missing_edge_is_found(graph: Graph, data: st.DataObject) -> None:
    needed = [i for i, edge in enumerate(graph.edges) if not _is_identity(graph, edge)]
    index = data.draw(st.sampled_from(needed))

    problems(with_edge(graph, index))


def _is_identity(graph: Graph, edge: Edge) -> bool:
    """Whether ``edge`` is a branch by itself, without which a narrower fork is left."""
    source, target = graph.by_id[edge.source], graph.by_id[edge.target]
    return isinstance(source, ForkNode) and isinstance(target, (JoinNode, OutputNode))


@quick
@given(graphs(), data)
def test_a_second_edge_out_of_anything_but_a_fork_is_found(
    graph: Graph, data: st.DataObject
) -> None:
    single = [edge for edge in graph.edges if not isinstance(graph.by_id[edge.source], ForkNode)]
    edge = data.draw(st.sampled_from(single))

    said = problems(replace(graph, edges=(*graph.edges, edge)))

    assert f"{edge.source!r} has 2 edges out" in said


@quick
@given(graphs(), data)
def test_an_edge_that_enters_another_node_is_found(graph: Graph, data: st.DataObject) -> None:
    index = data.draw(indexes(graph.edges))
    edge = graph.edges[index]
    other = data.draw(st.sampled_from([n.id for n in graph.nodes if n.id != edge.target]))

    problems(with_edge(graph, index, replace(edge, target=other)))


@quick
@given(graphs(), data)
def test_an_edge_back_is_found(graph: Graph, data: st.DataObject) -> None:
    way = [data.draw(st.sampled_from([node.id for node in graph.nodes]))]
    for _ in range(data.draw(st.integers(0, 6))):
        if steps := graph.out_edges[way[-1]]:
            way.append(graph.edges[data.draw(st.sampled_from(steps))].target)
    back = Edge(way[-1], way[0])

    assert "the edges run in a circle" in problems(replace(graph, edges=(*graph.edges, back)))


def test_a_circle_of_a_fork_and_a_join_is_found() -> None:
    graph = wired(
        "feed > join > a > fork > b > join | fork > output", balanced(), JoinNode("join", "fork")
    )

    assert problems(graph) == ("the edges run in a circle",)


def test_a_circle_beside_the_graph_is_found() -> None:
    assert problems(wired("feed > output | a > b > a")) == ("the edges run in a circle",)


def test_a_second_graph_beside_the_graph_is_found() -> None:
    other = ProcessorNode("other", "source", "Other()")
    graph = wired("feed > output | other > end", other, OutputNode("end"))

    assert problems(graph) == (
        "one feed or source starts a graph, but there are 2",
        "a graph has one output, but there are 2",
    )


# -- starts and outputs --


def test_an_empty_graph_is_found() -> None:
    assert problems(Graph((), ())) == (
        "one feed or source starts a graph, but there are 0",
        "a graph has one output, but there are 0",
    )


def test_a_start_that_is_a_processor_is_found() -> None:
    assert problems(wired("a > output")) == (
        "'a' has 0 edges in",
        "one feed or source starts a graph, but there are 0",
    )


@quick
@given(graphs(), st.sampled_from(["feed", "source"]))
def test_a_second_start_is_found(graph: Graph, kind: StageKind) -> None:
    second = ProcessorNode("second", kind, "Second()")
    edge = Edge("second", "output")

    said = problems(Graph((*graph.nodes, second), (*graph.edges, edge)))

    assert said == ("one feed or source starts a graph, but there are 2",)


@pytest.mark.parametrize("kind", ["feed", "source"])
def test_a_start_in_the_middle_is_found(kind: StageKind) -> None:
    graph = wired("feed > a > output", ProcessorNode("a", kind, "A()"))

    assert problems(graph) == (
        "'a' has 1 edges in",
        "one feed or source starts a graph, but there are 2",
    )


def test_a_missing_output_is_found() -> None:
    graph = wired("feed > a")

    assert problems(graph) == (
        "'a' has 0 edges out",
        "a graph has one output, but there are 0",
    )


def test_a_second_output_is_found() -> None:
    graph = wired("feed > fork > output | fork > end", replicated(), OutputNode("end"))

    assert problems(graph) == ("a graph has one output, but there are 2",)


def test_an_output_that_leads_on_is_found() -> None:
    graph = wired("feed > output > a")

    assert problems(graph) == ("'output' has 1 edges out", "'a' has 0 edges out")


def test_a_processor_with_two_edges_in_is_found() -> None:
    graph = wired("feed > fork > a > c > output | fork > b > c", replicated())

    assert problems(graph) == ("'c' has 2 edges in",)


# -- forks --


def test_a_fork_without_branches_is_found() -> None:
    assert "'fork' has 0 edges out" in problems(wired("feed > fork", replicated()))


def test_a_fork_with_two_edges_in_is_found() -> None:
    graph = wired(
        "feed > fork > next > output | fork > a > next", replicated(), ForkNode("next", "balanced")
    )

    assert problems(graph) == ("'next' has 2 edges in",)


@quick
@given(graphs(first=forks("replicated")))
def test_a_replicated_fork_that_is_auto_is_found(graph: Graph) -> None:
    auto = replace(graph, nodes=tuple(_as_auto(node) for node in graph.nodes))

    assert "'fork' is AUTO, which only a balanced fork can be" in problems(auto)


def _as_auto(node: Node) -> Node:
    return replace(node, auto=Auto()) if isinstance(node, ForkNode) else node


def test_an_auto_fork_of_two_branches_is_found() -> None:
    graph = wired("feed > fork > a > output | fork > b > output", balanced(auto=Auto()))

    assert problems(graph) == ("'fork' has 2 edges out",)


# -- joins --


@quick
@given(graphs(first=forks("replicated")))
def test_a_join_of_no_fork_is_found(graph: Graph) -> None:
    wrong = [replace(n, fork="start") if isinstance(n, JoinNode) else n for n in graph.nodes]

    assert problems(replace(graph, nodes=tuple(wrong)))[0].endswith("that are not of 'start'")


def _all_zips(graph: Graph) -> Graph:
    zips = [replace(n, how="zip") if isinstance(n, JoinNode) else n for n in graph.nodes]
    return replace(graph, nodes=tuple(zips))


@quick
@given(graphs(first=forks("balanced")))
def test_a_zip_over_a_balanced_fork_is_found(graph: Graph) -> None:
    zips = _all_zips(graph)
    closing = next(n for n in zips.nodes if isinstance(n, JoinNode) and n.fork == "fork")

    assert f"{closing.id!r} is a zip and closes the balanced fork 'fork'" in problems(zips)


UNSOUND: dict[str, tuple[Graph, str]] = {
    "a zip over a nested balanced fork": (
        wired(
            "feed > fork > a > zip > output | fork > inner > b > zip | inner > c > zip",
            replicated(),
            balanced("inner"),
            JoinNode("zip", "fork", "zip"),
        ),
        "'zip' is a zip and closes the balanced fork 'inner'",
    ),
    "a zip over an AUTO fork": (
        wired(
            "feed > fork > a > zip > output",
            balanced(auto=Auto()),
            JoinNode("zip", "fork", "zip"),
        ),
        "'zip' is a zip and closes the balanced fork 'fork'",
    ),
    "a join on the trunk": (
        wired("feed > join > output", JoinNode("join", "fork")),
        "'join' joins branches that are not of 'fork'",
    ),
    "a join of itself": (
        wired("feed > fork > join > output", replicated(), JoinNode("join", "join")),
        "'join' joins branches that are not of 'join'",
    ),
    "a join of a fork that was joined before": (
        wired(
            "feed > fork > a > join > again > output | fork > b > join",
            replicated(),
            JoinNode("join", "fork"),
            JoinNode("again", "fork"),
        ),
        "'again' joins branches that are not of 'fork'",
    ),
    "a join of some branches": (
        wired(
            "feed > fork > a > join > output | fork > b > join | fork > c > output",
            replicated(),
            JoinNode("join", "fork"),
        ),
        "'join' does not join all branches of 'fork'",
    ),
    "a join of some branches of a nested fork": (
        wired(
            "feed > fork > a > join > output | fork > inner > b > join | inner > c > output",
            replicated(),
            balanced("inner"),
            JoinNode("join", "fork"),
        ),
        "'join' does not join all branches of 'fork'",
    ),
    "a join that names the outer fork but joins the inner one": (
        wired(
            "feed > fork > a > output | fork > inner > b > join > output | inner > c > join",
            replicated(),
            balanced("inner"),
            JoinNode("join", "fork"),
        ),
        "'join' does not join all branches of 'fork'",
    ),
    "a join that names the inner fork but joins the outer one": (
        wired(
            "feed > fork > a > join > output | fork > inner > b > join | inner > c > join",
            replicated(),
            balanced("inner"),
            JoinNode("join", "inner"),
        ),
        "'join' joins branches that are not of 'inner'",
    ),
    "a join across two branches, each of another nested fork": (
        wired(
            "feed > fork > left > a > join > output | left > b > output"
            "| fork > right > c > join | right > d > output",
            replicated(),
            balanced("left"),
            balanced("right"),
            JoinNode("join", "fork"),
        ),
        "'join' does not join all branches of 'fork'",
    ),
    "a nested fork that is joined by half, the rest by the outer join": (
        wired(
            "feed > fork > inner > a > half > join > output | inner > b > join | fork > c > join",
            replicated(),
            balanced("inner"),
            JoinNode("half", "inner"),
            JoinNode("join", "fork"),
        ),
        "'half' does not join all branches of 'inner'",
    ),
    "branches that are joined in two halves": (
        wired(
            "feed > fork > a > one > two > output | fork > b > one | fork > c > two",
            replicated(),
            JoinNode("one", "fork"),
            JoinNode("two", "fork"),
        ),
        "'one' does not join all branches of 'fork'",
    ),
    "two forks that the output joins past each other": (
        wired(
            "feed > fork > a > join > output | fork > inner > join | inner > output",
            replicated(),
            replicated("inner"),
            JoinNode("join", "inner"),
        ),
        "'join' joins branches that are not of 'inner'",
    ),
}


@pytest.mark.parametrize(("graph", "sentence"), UNSOUND.values(), ids=UNSOUND)
def test_unsound_is(graph: Graph, sentence: str) -> None:
    assert sentence in problems(graph)


# -- how it is told --


def test_all_that_is_broken_is_told_at_once() -> None:
    graph = wired("feed > a > output | feed > b", ForkNode("a", "replicated", Auto()))

    assert problems(graph) == (
        "'feed' has 2 edges out",
        "'a' is AUTO, which only a balanced fork can be",
        "'b' has 0 edges out",
    )


def test_the_error_has_a_line_for_each_broken_rule() -> None:
    said = str(GraphError(problems(wired("feed > a"))))

    assert said.splitlines() == [
        "this graph is not sound:",
        "  'a' has 0 edges out",
        "  a graph has one output, but there are 0",
    ]


# -- the scopes --

OPEN = wired(
    "feed > fork > a > output | fork > inner > b > join > c > output | inner > join",
    replicated(),
    balanced("inner"),
    JoinNode("join", "inner"),
)


def place(graph: Graph, source: str, target: str) -> tuple[tuple[str, int], ...]:
    return check(graph).place[graph.edges.index(Edge(source, target))]


def test_an_edge_on_the_trunk_lies_in_no_fork() -> None:
    assert place(OPEN, "feed", "fork") == ()


def test_an_edge_in_a_nested_fork_lies_in_both_the_outer_one_first() -> None:
    assert place(OPEN, "b", "join") == (("fork", 1), ("inner", 0))


def test_an_identity_branch_lies_in_its_fork() -> None:
    assert place(OPEN, "inner", "join") == (("fork", 1), ("inner", 1))


def test_an_edge_behind_a_join_lies_where_the_fork_did() -> None:
    assert place(OPEN, "join", "c") == place(OPEN, "fork", "inner") == (("fork", 1),)


def test_a_join_closes_its_fork_and_the_output_what_is_open() -> None:
    assert check(OPEN).closes == {"join": "inner", "output": "fork"}


def test_an_output_behind_a_join_closes_nothing() -> None:
    graph = wired("feed > fork > a > join > output", balanced(), JoinNode("join", "fork"))

    assert check(graph).closes == {"join": "fork"}


def test_inside_a_join_are_the_forks_that_it_closes() -> None:
    scopes = check(OPEN)
    edge = OPEN.edges.index(Edge("b", "join"))

    assert scopes.inner(edge, "join") == (("inner", 0),)


def test_inside_a_node_that_closes_nothing_is_no_fork() -> None:
    assert check(OPEN).inner(OPEN.edges.index(Edge("join", "c")), "c") == ()


@quick
@given(graphs())
def test_no_two_edges_into_a_join_lie_in_the_same_place(graph: Graph) -> None:
    scopes = check(graph)

    for name in scopes.closes:
        places = [scopes.place[index] for index in graph.in_edges[name]]
        assert len({*places}) == len(places)


@quick
@given(graphs())
def test_every_fork_is_closed_by_what_its_branches_lead_to(graph: Graph) -> None:
    scopes = check(graph)
    last = next(node.id for node in graph.nodes if isinstance(node, OutputNode))

    closed = {
        f for name in scopes.closes for i in graph.in_edges[name] for f, _ in scopes.inner(i, name)
    }
    assert closed == {node.id for node in graph.nodes if isinstance(node, ForkNode)}
    assert last in scopes.closes or scopes.place[graph.in_edges[last][0]] == ()
