"""The drawings of a graph, and its JSON."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from conveyor.errors import GraphError
from conveyor.graph import Auto, Edge, ForkNode, Graph, JoinNode, OutputNode, ProcessorNode
from conveyor.graph.render import dot, from_json, mermaid, text, to_json
from tests.graph.strategies import any_graphs, balanced, graphs, replicated, stage, texts, wired

quick = settings(max_examples=20, deadline=None)

# Load() >> Clean() >> ModelA() * (ModelB() % 2) & Report()
MODELS = wired(
    "load > clean > fork > model_a > join > report > output"
    "| fork > fork.2 > model_b > join | fork.2 > model_b.2 > join",
    ProcessorNode("load", "source", "Load()"),
    replicated(),
    stage("model_a", "ModelA()"),
    balanced("fork.2"),
    stage("model_b", "ModelB()"),
    stage("model_b.2", "ModelB()"),
    JoinNode("join", "fork"),
)


def drawn(picture: str) -> str:
    """A picture in a test, without the first and last line break and the indentation."""
    lines = picture.strip("\n").splitlines()
    return "\n".join(line[4:] for line in lines if line.strip())


def with_capacity(graph: Graph, source: str, target: str, capacity: int) -> Graph:
    edge = Edge(source, target)
    edges = [replace(e, capacity=capacity) if e == edge else e for e in graph.edges]
    return replace(graph, edges=tuple(edges))


def wide(width: int) -> Graph:
    ids = ["parse", *(f"parse.{number}" for number in range(2, width + 1))]
    chains = [f"fork > {name} > output" for name in ids]
    parsers = [stage(name, "Parse()") for name in ids]
    return wired(" | ".join(["feed > fork", *chains]), balanced(), *parsers)


def as_label(label: str) -> Graph:
    return wired("feed > a > output", stage("a", label))


# -- text --


def test_a_tree_reads_like_the_expression() -> None:
    assert text(MODELS) == drawn("""
    Load()
    │
    Clean()
    │
    * each item to every branch
    ├─ ModelA()
    └─ % each item to one branch  [fork.2]
       ├─ ModelB()
       └─ ModelB()  [model_b.2]
    & items as they come
    │
    Report()
    │
    output
    """)


def test_a_trunk_runs_down() -> None:
    assert text(wired("feed > a > output")) == drawn("""
    Feed()
    │
    A()
    │
    output
    """)


def test_what_follows_in_a_branch_stands_below_it() -> None:
    graph = wired(
        "feed > fork > a > b > join > output | fork > c > d > join",
        replicated(),
        JoinNode("join", "fork"),
    )

    assert text(graph) == drawn("""
    Feed()
    │
    * each item to every branch
    ├─ A()
    │  │
    │  B()
    └─ C()
       │
       D()
    & items as they come
    │
    output
    """)


def test_a_nested_join_stands_in_its_branch() -> None:
    graph = wired(
        "feed > fork > inner > a > in > join > output | inner > b > in | fork > c > join",
        replicated(),
        balanced("inner"),
        JoinNode("in", "inner", "ordered"),
        JoinNode("join", "fork", "zip"),
    )

    assert text(graph) == drawn("""
    Feed()
    │
    * each item to every branch
    ├─ % each item to one branch  [inner]
    │  ├─ A()
    │  └─ B()
    │  & items in order (ordered)  [in]
    └─ C()
    & one tuple per item (zip)  [join]
    │
    output
    """)


def test_an_output_that_joins_stands_where_a_join_would() -> None:
    graph = wired("feed > fork > a > output | fork > b > output", balanced())

    assert text(graph).endswith("├─ A()\n└─ B()\n& output")


def test_an_identity_branch_is_a_bare_pipe() -> None:
    graph = wired("feed > fork > output | fork > a > output | fork > output", replicated())

    assert text(graph) == drawn("""
    Feed()
    │
    * each item to every branch
    ├─ │ Pipe()
    ├─ A()
    └─ │ Pipe()
    & output
    """)


def test_a_capacity_stands_at_its_pipe() -> None:
    graph = wired("feed > a > fork > b > output | fork > output", replicated())
    for source, target, capacity in [
        ("feed", "a", 1),
        ("a", "fork", 2),
        ("fork", "b", 3),
        ("b", "output", 4),
        ("fork", "output", 5),
    ]:
        graph = with_capacity(graph, source, target, capacity)

    assert text(graph) == drawn("""
    Feed()
    │ Pipe(capacity=1)
    A()
    │ Pipe(capacity=2)
    * each item to every branch
    ├─ │ Pipe(capacity=3)
    │  B()
    │  │ Pipe(capacity=4)
    └─ │ Pipe(capacity=5)
    & output
    """)


@pytest.mark.parametrize(
    ("auto", "shown"), [(Auto(), "AUTO × A()"), (Auto(2, 8), "Auto(min=2, max=8) × A()")]
)
def test_an_auto_fork_says_so(auto: Auto, shown: str) -> None:
    graph = wired("feed > fork > a > output", balanced(auto=auto))

    assert f"% each item to one branch\n└─ {shown}\n" in text(graph)


def test_many_branches_that_look_the_same_are_drawn_once() -> None:
    assert text(wide(16)) == drawn("""
    Feed()
    │
    % each item to one branch
    └─ 16 × Parse()  [parse … parse.16]
    & output
    """)


def test_three_branches_that_look_the_same_are_drawn_each() -> None:
    assert text(wide(3)) == drawn("""
    Feed()
    │
    % each item to one branch
    ├─ Parse()
    ├─ Parse()  [parse.2]
    └─ Parse()  [parse.3]
    & output
    """)


def test_a_branch_of_another_capacity_is_drawn_by_itself() -> None:
    graph = with_capacity(wide(9), "fork", "parse.5", 10)

    assert text(graph) == drawn("""
    Feed()
    │
    % each item to one branch
    ├─ 4 × Parse()  [parse … parse.4]
    ├─ │ Pipe(capacity=10)
    │  Parse()  [parse.5]
    └─ 4 × Parse()  [parse.6 … parse.9]
    & output
    """)


@pytest.mark.parametrize(
    ("label", "name"),
    [("Clean()", "clean"), ("ModelA(x=1)", "model_a"), ("parse", "parse"), ("HTTP()", "http")],
)
def test_an_id_that_follows_from_the_label_is_left_out(label: str, name: str) -> None:
    graph = wired(f"feed > {name} > output", stage(name, label))

    assert f"\n{label}\n" in text(graph)


@pytest.mark.parametrize(
    ("label", "name"),
    [("Clean()", "clean.2"), ("Clean2()", "clean.2"), ("Clean()", "scrub"), ("ModelA()", "model")],
)
def test_an_id_that_differs_from_the_label_is_shown(label: str, name: str) -> None:
    graph = wired(f"feed > {name} > output", stage(name, label))

    assert f"\n{label}  [{name}]\n" in text(graph)


def test_a_label_of_many_lines_stands_on_one() -> None:
    assert "\nA( x, y)" in text(as_label("A(\n   x,\ty)"))


def test_a_label_gives_no_orders_to_the_terminal() -> None:
    assert r"A('\x1b[31m')" in text(as_label("A('\x1b[31m')"))


@quick
@given(graphs(labels=texts))
def test_a_tree_has_a_line_for_every_node(graph: Graph) -> None:
    # Labels that differ keep branches from being drawn as one.
    nodes = [
        replace(node, label=f"stage {node.id} {node.label}")
        if isinstance(node, ProcessorNode)
        else node
        for node in graph.nodes
    ]
    lines = text(replace(graph, nodes=tuple(nodes))).splitlines()

    assert len([line for line in lines if line.strip("│ ├└─") and "Pipe(" not in line]) == len(
        nodes
    )


@quick
@given(graphs())
def test_every_capacity_is_in_the_tree(graph: Graph) -> None:
    numbered = replace(
        graph, edges=tuple(replace(edge, capacity=i) for i, edge in enumerate(graph.edges, 1))
    )

    shown = re.findall(r"capacity=(\d+)", text(numbered))

    assert sorted(map(int, shown)) == [edge.capacity for edge in numbered.edges]


def test_a_graph_that_is_not_sound_is_listed_with_what_is_wrong() -> None:
    graph = wired(
        "feed > fork > a > nobody",
        balanced(auto=Auto()),
        JoinNode("nobody", "fork", "ordered"),
        OutputNode(),
    )
    graph = with_capacity(replace(graph, nodes=graph.nodes[:-1]), "fork", "a", 5)
    lost = JoinNode("join", "fork", "ordered")

    assert text(replace(graph, nodes=(*graph.nodes, lost, OutputNode()))) == drawn("""
    this graph is not sound:
      the edge a -> nobody knows no node 'nobody'
    nodes:
      feed: feed Feed()
      fork: balanced fork AUTO
      a: processor A()
      join: ordered join of fork
      output: output
    edges:
      feed -> fork
      fork -> a  Pipe(capacity=5)
      a -> nobody
    """)


def test_a_graph_too_deep_for_a_tree_is_listed() -> None:
    chain = " > ".join(["feed", *(f"fork.{i}" for i in range(2000)), "output"])
    graph = wired(chain, *(replicated(f"fork.{i}") for i in range(2000)))

    assert "\n  fork.1999: replicated fork\n" in text(graph)


@quick
@given(any_graphs)
def test_any_graph_can_be_drawn(graph: Graph) -> None:
    assert text(graph)
    assert mermaid(graph)
    assert dot(graph)


# -- Mermaid --


def test_mermaid_draws_the_expression() -> None:
    assert mermaid(MODELS).splitlines() == [
        "flowchart LR",
        '  n0_load[("Load()")]',
        '  n1_clean["Clean()"]',
        '  n2_fork(("∗"))',
        '  n3_model_a["ModelA()"]',
        '  n4_join(("#38;"))',
        '  n5_report["Report()"]',
        '  n6_output(["output"])',
        '  n7_fork_2(("%"))',
        '  n8_model_b["ModelB()"]',
        '  n9_model_b_2["ModelB()<br/>model_b.2"]',
        "  n0_load --> n1_clean",
        "  n1_clean --> n2_fork",
        "  n2_fork --> n3_model_a",
        "  n3_model_a --> n4_join",
        "  n4_join --> n5_report",
        "  n5_report --> n6_output",
        "  n2_fork --> n7_fork_2",
        "  n7_fork_2 --> n8_model_b",
        "  n8_model_b --> n4_join",
        "  n7_fork_2 --> n9_model_b_2",
        "  n9_model_b_2 --> n4_join",
    ]


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ('say("hi")', "say(#34;hi#34;)"),
        ("<b>", "#60;b#62;"),
        ("#1;", "#35;1;"),
        ("&lt;", "#38;lt;"),
        ("`a`", "#96;a#96;"),
        ("a * b", "a ∗ b"),
        ("%%{init}%%", "#37;%{init}#37;%"),
        ("'\\d'", "'#92;d'"),
        ("'\\n'", "'#92;\u200bn'"),
        ("$$x$$", "#36;\u200b#36;x#36;\u200b#36;"),
        ("größe(…)", "größe(…)"),
        ("a\nb", "a b"),
    ],
)
def test_mermaid_shows_a_label_as_it_is(label: str, shown: str) -> None:
    graph = wired("feed > a > output", replace(stage("a"), label=label))

    assert re.search(rf'n1_a\["{re.escape(shown)}(<br/>a)?"\]', mermaid(graph))


def test_mermaid_writes_capacity_and_auto_at_the_arrow() -> None:
    graph = wired("feed > fork > a > output", balanced(auto=Auto()))
    graph = with_capacity(with_capacity(graph, "feed", "fork", 5), "fork", "a", 6)

    assert 'n0_feed -->|"Pipe(capacity=5)"| n1_fork' in mermaid(graph)
    assert 'n1_fork -->|"AUTO, Pipe(capacity=6)"| n2_a' in mermaid(graph)


def test_mermaid_names_how_a_join_joins() -> None:
    graph = wired("feed > fork > a > z > output", replicated(), JoinNode("z", "fork", "zip"))

    assert '(("#38; zip"))' in mermaid(graph)


_NODE = re.compile(r"""  n\d+_[a-z0-9_]*(\[\(|\(\[|\(\(|\[)"[^"]+"(\)\]|\]\)|\)\)|\])""")
_ARROW = re.compile(r"""  n\d+_[a-z0-9_]* -->(\|"[^"|]+"\|)? n\d+_[a-z0-9_]*""")


@quick
@given(any_graphs | graphs(labels=texts))
def test_mermaid_has_a_line_for_every_node_and_edge(graph: Graph) -> None:
    head, *lines = mermaid(graph).splitlines()

    assert head == "flowchart LR"
    assert len(lines) == len(graph.nodes) + len(graph.edges)
    assert all(_NODE.fullmatch(line) for line in lines[: len(graph.nodes)])
    assert all(_ARROW.fullmatch(line) for line in lines[len(graph.nodes) :])


# -- DOT --


def test_dot_draws_the_expression() -> None:
    graph = wired("feed > fork > a > join > output", replicated(), JoinNode("join", "fork", "zip"))

    assert (
        dot(graph)
        == """\
digraph conveyor {
  rankdir=LR
  ordering=out
  node [fontname="sans-serif"]
  edge [fontname="sans-serif", fontsize=10]
  "feed" [label="Feed()", shape=oval]
  "fork" [label="*", shape=oval, width=0.3, height=0.3, margin=0.02]
  "a" [label="A()", shape=box, style=rounded]
  "join" [label="&amp; zip", shape=oval, width=0.3, height=0.3, margin=0.02]
  "output" [label="output", shape=oval]
  "feed" -> "fork"
  "fork" -> "a"
  "a" -> "join"
  "join" -> "output"
}
"""
    )


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ('say("hi")', r"say(\"hi\")"),
        ("'\\d'", r"'\\d'"),
        ("'\\\\'", r"'\\\\'"),
        ("&lt;", "&amp;lt;"),
        ("<b>", "<b>"),
        ("größe(…)", "größe(…)"),
        ("a\nb", "a b"),
    ],
)
def test_dot_shows_a_label_as_it_is(label: str, shown: str) -> None:
    assert f'  "a" [label="{shown}\\na", shape=box' in dot(as_label(label))


def test_dot_quotes_an_id() -> None:
    graph = wired("feed > a > output", stage("a"))
    odd = replace(graph, nodes=(stage('say "a\\'),), edges=())

    assert r'"say \"a\\" [label="' in dot(odd)


def test_dot_writes_capacity_and_auto_at_the_arrow() -> None:
    graph = wired("feed > fork > a > output", balanced(auto=Auto(2, 3)))
    graph = with_capacity(graph, "fork", "a", 6)

    assert '"fork" -> "a" [label="Auto(min=2, max=3), Pipe(capacity=6)"]' in dot(graph)


_QUOTED = r'"(?:[^"\\]|\\.)*"'
_DOT_NODE = re.compile(rf"  {_QUOTED} \[label={_QUOTED}, shape=[^\"]+\]")
_DOT_ARROW = re.compile(rf"  {_QUOTED} -> {_QUOTED}( \[label={_QUOTED}\])?")


@quick
@given(any_graphs | graphs(labels=texts))
def test_dot_has_a_line_for_every_node_and_edge(graph: Graph) -> None:
    lines = dot(graph).splitlines()[5:-1]

    assert len(lines) == len(graph.nodes) + len(graph.edges)
    assert all(_DOT_NODE.fullmatch(line) for line in lines[: len(graph.nodes)])
    assert all(_DOT_ARROW.fullmatch(line) for line in lines[len(graph.nodes) :])


# -- JSON --


@quick
@given(any_graphs | graphs(labels=texts))
def test_json_there_and_back_gives_an_equal_graph(graph: Graph) -> None:
    assert Graph.from_json(graph.to_json()) == graph


def test_json_leaves_the_processor_out() -> None:
    node = replace(stage("a"), processor=object())
    graph = wired("feed > a > output", node)

    assert from_json(to_json(graph)).processors[1].processor is None


def test_json_is_for_reading() -> None:
    graph = Graph((ForkNode("größe", "balanced", Auto(2)),), (Edge("größe", "a", 5),))

    assert (
        to_json(graph)
        == """\
{
  "format": "conveyor-graph/1",
  "nodes": [
    {
      "type": "fork",
      "id": "größe",
      "kind": "balanced",
      "auto": {
        "min": 2,
        "max": null
      }
    }
  ],
  "edges": [
    {
      "source": "größe",
      "target": "a",
      "capacity": 5
    }
  ]
}
"""
    )


def test_json_of_a_graph_that_is_not_sound_is_read() -> None:
    assert from_json(to_json(Graph((), ()))) == Graph((), ())


def problems(json_text: str) -> tuple[str, ...]:
    with pytest.raises(GraphError) as caught:
        from_json(json_text)
    return caught.value.problems


@pytest.mark.parametrize("nonsense", ["", "{", "graph", "[" * 100_000, '{"format": 1}}'])
def test_what_is_no_json_is_said_so(nonsense: str) -> None:
    (sentence,) = problems(nonsense)

    assert sentence.startswith("the text is no JSON: ")


@pytest.mark.parametrize("value", [None, 1, "graph", [], True])
def test_json_that_is_no_object_is_no_graph(value: object) -> None:
    assert problems(json.dumps(value)) == (f"the graph is {value!r}, not an object",)


def changed(path: str, value: object) -> tuple[str, ...]:
    """What is wrong with a good graph in which one field was changed; ``...`` takes it out."""
    graph = wired(
        "feed > fork > a > join > output", balanced(auto=Auto()), JoinNode("join", "fork")
    )
    top: Any = json.loads(to_json(graph))
    row = top
    *way, field = [int(step) if step.isdecimal() else step for step in path.split(".")]
    for step in way:
        row = row[step]
    if value is ...:
        del row[field]
    else:
        row[field] = value
    return problems(json.dumps(top))


# The nodes are 0 a feed, 1 an AUTO fork, 2 a processor, 3 a join and 4 the output.
ILL_TYPED: list[tuple[str, object, str]] = [
    (
        "format",
        "conveyor-graph/2",
        "the graph: format is 'conveyor-graph/2', not 'conveyor-graph/1'",
    ),
    ("nodes", {}, "the graph: nodes is {}, not a list"),
    ("edges", None, "the graph: edges is None, not a list"),
    ("nodes.0", "feed", "nodes[0] is 'feed', not an object"),
    (
        "nodes.0.type",
        "pipe",
        "nodes[0]: type is 'pipe', not 'processor' or 'fork' or 'join' or 'output'",
    ),
    ("nodes.0.type", [], "nodes[0]: type is [], not 'processor' or 'fork' or 'join' or 'output'"),
    ("nodes.0.id", 1, "nodes[0]: id is 1, not a string"),
    ("nodes.0.kind", "sink", "nodes[0]: kind is 'sink', not 'feed' or 'source' or 'processor'"),
    ("nodes.0.label", None, "nodes[0]: label is None, not a string"),
    ("nodes.0.settings", None, "nodes[0]: settings is None, not an object"),
    ("nodes.2.settings.name", 1, "nodes[2].settings: name is 1, not a string or null"),
    ("nodes.2.settings.retries", 1.0, "nodes[2].settings: retries is 1.0, not a whole number"),
    ("nodes.2.settings.restarts", True, "nodes[2].settings: restarts is True, not a whole number"),
    (
        "nodes.2.settings.timeout",
        "1 s",
        "nodes[2].settings: timeout is '1 s', not a number or null",
    ),
    (
        "nodes.2.settings.on_error",
        None,
        "nodes[2].settings: on_error is None, not 'fail' or 'skip' or 'dead_letter'",
    ),
    ("nodes.1.kind", "even", "nodes[1]: kind is 'even', not 'replicated' or 'balanced'"),
    ("nodes.1.auto", True, "nodes[1]: auto is True, not an object or null"),
    ("nodes.1.auto.min", None, "nodes[1].auto: min is None, not a whole number"),
    ("nodes.1.auto.max", "2", "nodes[1].auto: max is '2', not a whole number or null"),
    ("nodes.1.auto.min", 0, "nodes[1].auto: Auto(min=...) takes an int of 1 or more, not 0"),
    ("nodes.3.fork", None, "nodes[3]: fork is None, not a string"),
    ("nodes.3.how", "race", "nodes[3]: how is 'race', not 'interleave' or 'ordered' or 'zip'"),
    ("nodes.4.id", ["output"], "nodes[4]: id is ['output'], not a string"),
    ("edges.0", [], "edges[0] is [], not an object"),
    ("edges.0.source", 0, "edges[0]: source is 0, not a string"),
    ("edges.0.target", None, "edges[0]: target is None, not a string"),
    ("edges.0.capacity", 1.5, "edges[0]: capacity is 1.5, not a whole number or null"),
]


@pytest.mark.parametrize(("path", "value", "sentence"), ILL_TYPED)
def test_a_field_of_a_wrong_type_is_said_so(path: str, value: object, sentence: str) -> None:
    assert changed(path, value) == (sentence,)


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("format", "the graph"),
        ("nodes", "the graph"),
        ("nodes.0.id", "nodes[0]"),
        ("nodes.0.settings", "nodes[0]"),
        ("nodes.0.settings.name", "nodes[0].settings"),
        ("nodes.1.auto", "nodes[1]"),
        ("nodes.1.auto.max", "nodes[1].auto"),
        ("nodes.3.how", "nodes[3]"),
        ("nodes.4.id", "nodes[4]"),
        ("edges.0.capacity", "edges[0]"),
    ],
)
def test_a_missing_field_is_said_so(path: str, where: str) -> None:
    assert changed(path, ...) == (f"{where} has no field {path.rsplit('.', maxsplit=1)[-1]!r}",)


def test_a_missing_type_is_said_so() -> None:
    assert changed("nodes.0.type", ...)[0].startswith("nodes[0]: type is None, not 'processor'")


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("color", "the graph"),
        ("nodes.0.color", "nodes[0]"),
        ("nodes.0.settings.color", "nodes[0].settings"),
        ("nodes.1.auto.color", "nodes[1].auto"),
        ("edges.3.color", "edges[3]"),
    ],
)
def test_an_unknown_field_is_said_so(path: str, where: str) -> None:
    assert changed(path, "red") == (f"{where} has a field 'color', which is unknown",)


def test_all_that_is_wrong_with_json_is_said_at_once() -> None:
    rows = [{"type": "output"}, {"type": "output", "id": 1, "x": 2}]

    assert problems(json.dumps({"format": "conveyor-graph/1", "nodes": rows, "edges": [0]})) == (
        "nodes[0] has no field 'id'",
        "nodes[1] has a field 'x', which is unknown",
        "nodes[1]: id is 1, not a string",
        "edges[0] is 0, not an object",
    )


jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@quick
@given(jsons, st.sampled_from(["", "nodes.0", "nodes.1.auto", "nodes.2.settings", "edges.0"]))
def test_any_other_json_is_a_graph_error(value: object, path: str) -> None:
    assume(value is not None or path != "nodes.1.auto")  # no AUTO is as well a fork
    if path:
        assert changed(path, value)
    else:
        assert problems(json.dumps(value))
