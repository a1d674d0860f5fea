"""The picture of a graph: read as a browser would, and its layout by its boxes and lines."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.errors import GraphError, UsageError
from conveyor.graph import Auto, Edge, Graph, JoinNode, ProcessorNode, Settings
from conveyor.graph.draw import PICTURES, picture
from conveyor.graph.svg import Figure, svg
from tests.graph.strategies import balanced, graphs, replicated, stage, texts, wired

pytestmark = pytest.mark.quick

SVG = "{http://www.w3.org/2000/svg}"

FORKED = wired(
    "load > fork > a > join > end > output | fork > b > join",
    ProcessorNode("load", "source", "Load()"),
    replicated(),
    JoinNode("join", "fork", "zip"),
)


def read(text: str) -> ET.Element:
    return ET.fromstring(text)


def groups(text: str, what: str) -> dict[str, ET.Element]:
    """The groups of the nodes, or of the edges, by their names; each stands there once."""
    found = [(g.get(f"data-{what}"), g) for g in read(text).iter(f"{SVG}g")]
    named = [(name, g) for name, g in found if name is not None]
    assert len(dict(named)) == len(named)
    return dict(named)


def words(group: ET.Element) -> str:
    return " ".join("".join(text.itertext()) for text in group.iter(f"{SVG}text"))


def title(element: ET.Element) -> str:
    found = element.find(f"{SVG}title")
    assert found is not None
    return found.text or ""


def box(group: ET.Element) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the shape of a node; of the last of a stack."""
    found = [0.0, 0.0, 0.0, 0.0]
    for shape in group:
        if shape.get("class") in ("box", "end", "join"):
            x, y, wide, tall = (float(shape.get(k, "")) for k in ("x", "y", "width", "height"))
            found = [x, y, x + wide, y + tall]
        elif shape.get("class") == "replicated":
            x, y, r = (float(shape.get(k, "")) for k in ("cx", "cy", "r"))
            found = [x - r, y - r, x + r, y + r]
        elif shape.get("class") in ("balanced", "source"):
            corners = points(shape)
            xs, ys = [x for x, _ in corners], [y for _, y in corners]
            found = [min(xs), min(ys), max(xs), max(ys)]
    left, top, right, bottom = found
    return left, top, right, bottom


def points(path: ET.Element) -> list[tuple[float, float]]:
    """The points that a path names, in order."""
    found: list[tuple[float, float]] = []
    for letter, numbers in re.findall(r"([MLQHZ])([^MLQHZ]*)", path.get("d", "")):
        values = [float(number) for number in numbers.split()]
        if letter == "H":
            values.append(found[-1][1])
        found += list(zip(values[::2], values[1::2], strict=True))
    return found


def paths(text: str) -> list[list[tuple[float, float]]]:
    return [points(g.findall(f"{SVG}path")[0]) for g in groups(text, "edge").values()]


# -- laws --


@given(graphs())
def test_every_node_and_edge_is_drawn_once(graph):
    drawn = svg(graph)

    assert set(groups(drawn, "node")) == {node.id for node in graph.nodes}
    assert len(groups(drawn, "edge")) == len(graph.edges)


@given(graphs())
def test_no_two_boxes_overlap(graph):
    boxes = [box(group) for group in groups(svg(graph), "node").values()]

    for (left, top, right, bottom), other in combinations(boxes, 2):
        beside = right <= other[0] or other[2] <= left
        assert beside or bottom <= other[1] or other[3] <= top


@given(graphs())
def test_every_line_goes_from_left_to_right(graph):
    for line in paths(svg(graph)):
        assert all(before[0] <= behind[0] for before, behind in pairwise(line))
        assert line[0][0] < line[-1][0]


@given(graphs())
def test_a_line_goes_from_its_node_to_its_node(graph):
    drawn = svg(graph)
    boxes = {name: box(group) for name, group in groups(drawn, "node").items()}

    for edge, line in zip(graph.edges, paths(drawn), strict=True):
        for name, (x, y) in ((edge.source, line[0]), (edge.target, line[-1])):
            left, top, right, bottom = boxes[name]
            assert left - 0.2 <= x <= right + 0.2
            assert top <= y <= bottom


@given(graphs())
def test_no_line_crosses_a_box(graph):
    drawn = svg(graph)
    boxes = {name: box(group) for name, group in groups(drawn, "node").items()}

    for edge, line in zip(graph.edges, paths(drawn), strict=True):
        for name, (left, top, right, bottom) in boxes.items():
            if name not in (edge.source, edge.target):
                for (x, y), (to_x, to_y) in pairwise(line):
                    beside = max(x, to_x) < left or min(x, to_x) > right
                    assert beside or max(y, to_y) < top or min(y, to_y) > bottom


@given(graphs())
def test_all_of_it_is_on_the_paper(graph):
    drawn = svg(graph)
    wide, tall = (float(read(drawn).get(side, "")) for side in ("width", "height"))

    for left, top, right, bottom in map(box, groups(drawn, "node").values()):
        assert 0 < left < right < wide
        assert 0 < top < bottom < tall


@given(texts, texts)
def test_any_label_and_any_id_is_drawn_as_it_is(label, name):
    graph = wired("feed > a > output", stage("a", label))
    nodes = [graph.nodes[0], ProcessorNode(name or "a", "processor", label), *graph.nodes[2:]]
    ends = [("feed", name or "a"), (name or "a", "output")]
    named = Graph(tuple(nodes), tuple(Edge(*pair) for pair in ends))
    if name in ("feed", "output"):
        return

    (group,) = [g for g in groups(svg(named), "node").values() if "processor" in title(g)]
    if label.isprintable() and len(label.split()) == 1 and len(label) < 20:
        assert words(group).startswith(label.strip())


# -- what is shown --


def test_forks_and_joins_say_what_they_do():
    nodes = groups(svg(FORKED), "node")

    assert nodes["fork"].find(f"{SVG}circle") is not None
    assert words(nodes["join"]) == "& zip"
    assert words(groups(svg(wired("feed > fork > a > output", balanced())), "node")["fork"]) == "%"


def test_what_starts_and_ends_the_stream_has_a_shape_of_its_own():
    nodes = groups(svg(FORKED), "node")
    shapes = {name: {shape.get("class") for shape in group} for name, group in nodes.items()}

    assert "source" in shapes["load"]
    assert "box" in shapes["a"]
    assert "end" in shapes["output"]


def test_a_pipe_shows_its_capacity():
    graph = wired("feed > a > output")
    graph = Graph(graph.nodes, (Edge("feed", "a", 7), graph.edges[1]))

    first, second = groups(svg(graph), "edge").values()

    assert words(first) == "≤ 7"
    assert title(first) == "Pipe(capacity=7) from feed to a"
    assert words(second) == ""


@pytest.mark.parametrize(("auto", "shown"), [(Auto(), "AUTO"), (Auto(2, 4), "Auto(min=2, max=4)")])
def test_a_fork_that_follows_the_load_says_so_and_its_branch_is_a_stack(auto, shown):
    drawn = svg(wired("feed > fork > a > b > output", balanced("fork", auto)))

    assert words(groups(drawn, "edge")["1"]) == shown
    stacked = {
        name: len(group.findall(f"{SVG}rect")) for name, group in groups(drawn, "node").items()
    }
    assert stacked == {"feed": 1, "fork": 0, "a": 3, "b": 3, "output": 1}


def test_a_long_label_is_short_and_its_title_has_it_whole():
    label = "Post(url='https://example.org/a?b=1&c=<d>')"

    group = groups(svg(wired("feed > post > output", stage("post", label))), "node")["post"]

    assert words(group) == "Post(url='https://example.o…"
    assert title(group) == f"post: processor {label}"


@pytest.mark.parametrize("node", ["load", "load.2"])
def test_who_has_been_given_a_name_is_shown_by_it(node):
    named = ProcessorNode(node, "processor", "Processor(lambda)", Settings(name="load"))

    group = groups(svg(wired(f"feed > {node} > output", named)), "node")[node]

    assert words(group) == node
    assert title(group) == f"{node}: processor Processor(lambda)"


def test_wide_letters_get_the_room_of_two():
    def width(label):
        graph = wired("feed > a > output", stage("a", label))
        left, _, right, _ = box(groups(svg(graph), "node")["a"])
        return right - left

    assert width("数据数据数据") > width("datada") + 40


@pytest.mark.parametrize(
    ("name", "shown"), [("parse", "Parse()"), ("parse.2", "Parse().2"), ("tidy", "Parse() tidy")]
)
def test_an_id_is_shown_where_the_label_does_not_say_it(name, shown):
    graph = wired(f"feed > {name} > output", stage(name, "Parse()"))

    assert words(groups(svg(graph), "node")[name]) == shown


def test_the_picture_has_a_title_for_those_who_do_not_see_it():
    root = read(svg(FORKED))

    assert root.get("role") == "img"
    assert title(root) == "A pipeline that starts with Load(): 4 processors"


def test_a_graph_that_is_not_sound_has_no_picture():
    with pytest.raises(GraphError, match="2 edges out"):
        svg(wired("feed > a > output | a > b > output"))


def test_a_nest_of_hundreds_of_forks_is_drawn():
    chain = " > ".join(f"f{n}" for n in range(400))
    graph = wired(f"feed > {chain} > a > output", *(replicated(f"f{n}") for n in range(400)))

    assert len(groups(svg(graph), "node")) == 403


# -- figures --


def test_figures_of_a_run_stand_at_nodes_and_edges():
    drawn = svg(FORKED, nodes={"a": Figure("90 %", 0.9)}, edges={0: Figure("12/s", 0.5)})

    node, edge = groups(drawn, "node")["a"], groups(drawn, "edge")["0"]
    assert "90 %" in words(node)
    assert [shape.get("class") for shape in node][-1] == "share"
    assert words(edge) == "12/s"
    assert "stroke-width: 2.8" in (edge.findall(f"{SVG}path")[0].get("style") or "")


@given(graphs(), st.data())
def test_figures_make_room_for_themselves(graph, data):
    figure = st.builds(Figure, st.sampled_from(["1", "1,200/s, busy 98 %"]), st.none() | st.just(1))
    nodes = data.draw(st.dictionaries(st.sampled_from([n.id for n in graph.nodes]), figure))
    edges = data.draw(st.dictionaries(st.integers(0, len(graph.edges) - 1), figure))

    boxes = [box(g) for g in groups(svg(graph, nodes=nodes, edges=edges), "node").values()]

    for (left, top, right, bottom), other in combinations(boxes, 2):
        beside = right <= other[0] or other[2] <= left
        assert beside or bottom <= other[1] or other[3] <= top


# -- by suffix --


@pytest.mark.parametrize(
    ("suffix", "start"),
    [(".svg", "<svg "), (".SVG", "<svg "), (".mmd", "flowchart LR\n"), (".dot", "digraph ")],
)
def test_the_suffix_says_what_is_drawn(suffix, start):
    assert picture(FORKED, suffix).startswith(start)


def test_a_text_ends_with_its_line():
    assert picture(FORKED, ".txt") == FORKED.to_text() + "\n"


@pytest.mark.parametrize("suffix", ["", ".png"])
def test_another_suffix_is_refused_with_those_that_there_are(suffix):
    with pytest.raises(UsageError, match=re.escape(", ".join(PICTURES))):
        picture(FORKED, suffix)
