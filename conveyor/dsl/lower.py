"""From the expression to the graph, and the rules that only a whole pipeline can break."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from conveyor.dsl.calls import uncallable
from conveyor.dsl.element import Element
from conveyor.dsl.links import Fork, Join, Pipe
from conveyor.dsl.names import full_label, node_name
from conveyor.dsl.normal import Atoms, atoms_of, begins_with_join, without_plain_pipe
from conveyor.dsl.processor import Feed, Processor, Source
from conveyor.dsl.rules import Broken, Fault, refuse
from conveyor.dsl.seams import misfits
from conveyor.dsl.site import caller
from conveyor.dsl.text import Path, walk, written
from conveyor.graph import Edge, ForkNode, Graph, JoinNode, Node, OutputNode, ProcessorNode
from conveyor.graph.model import StageKind


def compiled(element: Element[Any, Any]) -> Graph:
    """The checked graph of a whole pipeline.

    Raises:
        ConstructionError: it breaks construction rules; all of them are told.
    """
    atoms = atoms_of(element)
    broken = [*_start(atoms), *_uncallable(atoms), *misfits(atoms)]
    if broken:
        text = written(atoms)
        # What is laid on several branches breaks a rule in each of them; it is told once.
        told: dict[tuple[str, str, int], Fault] = {}
        for path, rule in broken:
            fault = rule.at(text.text, text.span(path))
            told.setdefault((rule.rule, rule.message, id(rule.culprit)), fault)
        refuse([*told.values()], caller()[0])
    return lower(atoms).check()


def _start(atoms: Atoms) -> list[tuple[Path, Broken]]:
    if isinstance(atoms[0], Processor):
        return []
    names: Mapping[type, str] = {Pipe: "a pipe", Join: "a join"}
    what = names.get(type(atoms[0]), "a fork")
    if begins_with_join(atoms):
        hint = f"start with Feed() and open a fork: Feed() >> a * b >> {written(atoms).text}"
    else:
        hint = f"write Feed() >> {written(without_plain_pipe(atoms) or atoms).text}"
    return [((0,), Broken("start", f"a pipeline starts with a processor, not with {what}", hint))]


def _uncallable(atoms: Atoms) -> list[tuple[Path, Broken]]:
    processors = [(path, atom) for path, atom in walk(atoms) if isinstance(atom, Processor)]
    found = [(path, uncallable(processor)) for path, processor in processors]
    return [(path, broken) for path, broken in found if broken is not None]


def lower(atoms: Atoms) -> Graph:
    """The graph of a sequence in normal form that starts with no join."""
    lay = _Layer()
    tails = [lay.tail(None)]
    if not isinstance(atoms[0], (Source, Feed)):
        # What the user calls a stage goes before: this node is nowhere in the expression.
        named = {node_name(atom) for _, atom in walk(atoms) if isinstance(atom, Processor)}
        tails = [lay.node(ProcessorNode(lay.name("feed", named), "feed", "Feed()"), tails)]
    tails = lay.sequence(atoms, tails)
    lay.node(OutputNode(), tails)
    edges = tuple(edge for _, edge in sorted(lay.edges, key=lambda pair: pair[0]))
    return Graph(tuple(lay.nodes), edges)


@dataclass(frozen=True, slots=True)
class _Tail:
    """An open end: the node it leaves, the capacity so far, and its rank from left to right."""

    node: str | None
    rank: int
    capacity: int | None = None


class _Layer:
    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.edges: list[tuple[int, Edge]] = []
        self._ids = {"output"}
        self._ranks = 0

    def tail(self, node: str | None) -> _Tail:
        self._ranks += 1
        return _Tail(node, self._ranks)

    def name(self, wanted: str, besides: Collection[str] = ()) -> str:
        """An id that no other node has, and that is none of ``besides``."""
        name, number = wanted, 1
        while name in self._ids or name in besides:
            number += 1
            name = f"{wanted}.{number}"
        self._ids.add(name)
        return name

    def node(self, node: Node, tails: list[_Tail]) -> _Tail:
        self.nodes.append(node)
        for end in tails:
            if end.node is not None:
                self.edges.append((end.rank, Edge(end.node, node.id, end.capacity)))
        return self.tail(node.id)

    def sequence(self, atoms: Atoms, tails: list[_Tail]) -> list[_Tail]:
        fork = ""
        for atom in atoms:
            match atom:
                case Pipe(capacity=capacity):
                    # Pipes in a row are one pipe, which holds what the smallest of them does.
                    bounds = [n for n in (tails[0].capacity, capacity) if n is not None]
                    tails = [replace(tails[0], capacity=min(bounds, default=None))]
                case Join(how=how):
                    name = self.name("zip" if how == "zip" else "join")
                    tails = [self.node(JoinNode(name, fork, how), tails)]
                case Fork():
                    fork, tails = self.fork(atom, tails)
                case Processor():
                    tails = [self.processor(atom, tails)]
                case _:
                    raise TypeError(f"{type(atom).__name__} has no node")
        return tails

    def processor(self, atom: Processor[Any, Any], tails: list[_Tail]) -> _Tail:
        name = self.name(node_name(atom))
        kind: StageKind = "processor"
        if isinstance(atom, (Feed, Source)):
            kind = "feed" if isinstance(atom, Feed) else "source"
        settings = atom._conveyor.settings
        return self.node(ProcessorNode(name, kind, full_label(atom), settings, atom), tails)

    def fork(self, atom: Fork[Any, Any], tails: list[_Tail]) -> tuple[str, list[_Tail]]:
        name = self.name("fork")
        self.node(ForkNode(name, atom.kind, atom.auto), tails)
        ends: list[_Tail] = []
        for branch in atom.branches:
            ends += self.sequence(branch, [self.tail(name)])
        return name, ends
