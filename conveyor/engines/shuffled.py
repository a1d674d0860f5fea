"""The inline engine in another order: one that a pipeline must bear, drawn by a seed.

What is free in a pipeline is which branch of a balanced fork takes an item, when the branches of
a fork run, and what overtakes what on the way to a join that takes items as they come. The inline
engine has one answer to each of these, and worker processes a new one in every run. This engine
draws its answers from a seed, so code that depends on them can be found and made to fail again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from conveyor.engines.inline import Inline
from conveyor.graph import ForkNode, Graph, JoinNode, Node, OutputNode
from conveyor.graph.check import check

MOST_HELD = 16
"""So many items wait in front of a join to be overtaken, at most."""

HASTE = (0.1, 0.5, 0.8)
"""How likely an item in front of a join goes on at once; one of these for a run. Some orders come
of joins that are full, and some of joins that are nearly empty."""

_Key = tuple[tuple[int, int], ...]
"""Where an item stands in the order that the inline engine gives: the edges that it came by, each
with the time when it took it. Items part at a fork, where the edge tells, or behind what gave one
of them before the other, where the time does."""


class Shuffled(Inline):
    """A pipeline in the calling process, in an order that a seed decides.

    Each run begins with the seed, so it makes of the same items the same again.

    Args:
        graph: the pipeline.
        ordered: whether the outputs come in the order of the inline engine. What runs before them
            is shuffled all the same.
        warm: whether there may be more than one run.
        seed: decides what is free.
    """

    def __init__(self, graph: Graph, *, ordered: bool, warm: bool, seed: int) -> None:
        super().__init__(graph, warm=warm)
        self._seed = seed
        self._random = Random(seed)
        self._haste = HASTE[0]
        self._scopes = check(graph)
        self._how = {join: self._joins_how(join, ordered) for join in self._scopes.closes}
        self._matching = {
            fork: join
            for join, fork in self._scopes.closes.items()
            if self._how[join] != "interleave"
        }
        """For each fork that is closed by a join which matches items or restores order, that."""
        self._zip_of_fork = {}  # they are seen to in `_passed`
        self._inside = {fork: self._held_inside(fork) for fork in self._matching}
        self._waiting: dict[str, dict[int, deque[tuple[_Key, Any]]]] = {}
        self._at_join: dict[str, list[tuple[_Key, Any]]] = {}
        self._key: _Key = ()
        self._time = 0

    def _joins_how(self, join: str, ordered: bool) -> str:  # noqa: FBT001
        node = self.graph.by_id[join]
        how = node.how if isinstance(node, JoinNode) else "interleave"
        return "ordered" if ordered and how == "interleave" else how

    def _held_inside(self, fork: str) -> list[str]:
        """The joins in the branches of a fork that let items wait, those first that come first."""
        graph, place = self.graph, self._scopes.place
        return [
            name
            for name in graph.order
            if self._how.get(name) == "interleave"
            and fork in {around for edge in graph.out_edges[name] for around, _ in place[edge]}
        ]

    def _outputs(self, items: Any) -> Iterator[Any]:
        self._random = Random(self._seed)
        self._haste = self._random.choice(HASTE)
        self._waiting = {name: {} for name in self._how}
        self._at_join = {name: [] for name in self._how}
        self._key, self._time = (), 0
        return super()._outputs(items)

    # -- the way of an item --

    def _through(self, edge: int, item: Any) -> Iterator[Any]:
        key = self._key
        self._time += 1
        self._key = (*key, (edge, self._time))
        target = self.graph.by_id[self.graph.edges[edge].target]
        how = self._how.get(target.id)
        if how == "interleave":
            yield from self._overtaking(edge, target, item)
        elif how == "ordered":
            self._at_join[target.id].append((self._key, item))
        else:
            yield from super()._through(edge, item)
        if isinstance(target, ForkNode):
            yield from self._passed(target.id)
        self._key = key

    def _overtaking(self, edge: int, join: Node, item: Any) -> Iterator[Any]:
        """Let an item wait at a join, and some others go on: of those of an edge the first."""
        waiting = self._waiting[join.id]
        waiting.setdefault(edge, deque()).append((self._key, item))
        while sum(map(len, waiting.values())) > MOST_HELD or (
            any(waiting.values()) and self._random.random() < self._haste
        ):
            yield from self._released(join)

    def _released(self, join: Node) -> Iterator[Any]:
        queues = [queue for _, queue in sorted(self._waiting[join.id].items()) if queue]
        yield from self._onwards(join, *self._random.choice(queues).popleft())

    def _onwards(self, join: Node, key: _Key, item: Any) -> Iterator[Any]:
        if isinstance(join, OutputNode):
            yield item
            return
        before, self._key = self._key, key
        (onwards,) = self.graph.out_edges[join.id]
        yield from self._through(onwards, item)
        self._key = before

    def _passed(self, fork: str) -> Iterator[Any]:
        """An item is through a whole fork, and a join behind may have waited for that."""
        if (join := self._matching.get(fork)) is not None:
            for inner in self._inside[fork]:
                yield from self._at_end(self.graph.by_id[inner])
            yield from self._at_end(self.graph.by_id[join])

    def _at_end(self, node: Node) -> Iterator[Any]:
        how = self._how.get(node.id)
        if how == "interleave":
            while any(self._waiting[node.id].values()):
                yield from self._released(node)
        elif how == "ordered":
            gathered, self._at_join[node.id] = self._at_join[node.id], []
            for key, item in sorted(gathered, key=lambda one: one[0]):
                yield from self._onwards(node, key, item)
        else:
            yield from super()._at_end(node)

    # -- what is free --

    def _choice(self, fork: str, branches: int) -> int:  # noqa: ARG002
        return self._random.randrange(branches)

    def _in_turn(self, branches: int) -> Sequence[int]:
        return self._random.sample(range(branches), branches)
