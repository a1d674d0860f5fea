"""Dead letters that are run again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from conveyor.engines.inline import Inline, copied_item
from conveyor.engines.letters import DeadLetter
from conveyor.errors import UsageError
from conveyor.graph import Graph, ProcessorNode


class Replay(Inline):
    """Dead letters again: each enters at the stage where it failed.

    Only those stages, and what lies behind them, are set up and come to their end.

    Args:
        graph: the pipeline.
        letters: what to run again.

    Raises:
        UsageError: something is no dead letter, or its stage is not in this pipeline.
    """

    def __init__(self, graph: Graph, letters: Iterable[DeadLetter]) -> None:
        super().__init__(graph, warm=False)
        if not isinstance(letters, Iterable):
            raise UsageError(
                f"replay() takes an iterable of dead letters, not {type(letters).__name__}"
            )
        self._letters = [(self._stage_of(letter), letter) for letter in letters]
        self._entered = Counter(stage for stage, _ in self._letters)

    def _input(self, items: Iterable[Any] | None) -> Iterable[Any]:
        """The letters, whatever the pipeline starts with."""
        assert items is None
        return self._letters

    def _stage_of(self, letter: object) -> str:
        if not isinstance(letter, DeadLetter):
            raise UsageError(f"replay() takes dead letters, not {type(letter).__name__}")
        node = self.graph.by_id.get(letter.stage)
        if not isinstance(node, ProcessorNode) or node.kind != "processor":
            stages = ", ".join(n.id for n in self.graph.processors if n.kind == "processor")
            raise UsageError(
                f"a dead letter is from stage {letter.stage!r}, and this pipeline has none of that "
                f"name: it has {stages}. Replay it on the pipeline that it comes from, or give the "
                "stage its old name with options(name=...)"
            )
        return letter.stage

    def _processors(self) -> Iterator[ProcessorNode]:
        reached: set[str] = set()
        todo = [stage for stage, _ in self._letters]
        while todo:
            name = todo.pop()
            if name not in reached:
                reached.add(name)
                todo += [self.graph.edges[edge].target for edge in self.graph.out_edges[name]]
        return (node for node in self.graph.processors if node.id in reached)

    def _entering(self, items: Iterable[Any]) -> Iterator[Any]:
        for stage, letter in items:
            self._let_in()
            if self.watch is not None:
                self.watch.look()
            yield from self._process(stage, copied_item(stage, letter.item))
            for join in self._zips:
                # Its other parts are not there, so it leaves this one out, as always.
                yield from self._zipped(join)
