"""The inline engine: in the calling process, one item at a time. It is the oracle.

Depth first: an item goes all the way to the output before the next one starts; the branches of
a fork take their turn from left to right. That order is also what an ordered join restores, so
here it has nothing to do. A balanced fork takes its branches in turn, since all are ready.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter_ns
from types import FrameType
from typing import TYPE_CHECKING, Any

from conveyor.dsl.copies import another, instance_state
from conveyor.engines.account import COUNTS, Account
from conveyor.engines.base import Live
from conveyor.engines.careful import copied, stage_for
from conveyor.engines.ended import account
from conveyor.engines.histogram import Histogram, Times
from conveyor.engines.letters import DeadLetter, Failures
from conveyor.engines.running import so_far
from conveyor.engines.stage import SAMPLE, Stage, is_given
from conveyor.engines.stats import Stats, Width
from conveyor.engines.tape import Span, Tape, timed
from conveyor.engines.telling import reason, short
from conveyor.engines.traced import Lane, Traced
from conveyor.errors import ConveyorError, JoinError, NotPicklable, UsageError
from conveyor.graph import ForkNode, Graph, JoinNode, Node, OutputNode, ProcessorNode
from conveyor.graph.check import check

if TYPE_CHECKING:
    from conveyor.engines.figures import Figures


CALLS, SPARE_CALLS = 2, 100
"""Calls that are open for each node that an item is in, and for the user's code in the last."""


@dataclass(frozen=True, slots=True)
class Timed:
    """What a stage counted: it never waits, so it is busy for as long as its items take."""

    element: str
    account: Account
    service: Histogram
    elapsed: float

    process = -1

    @property
    def worker(self) -> str:
        """The name of the element: there is one worker for each."""
        return self.element

    def figures(self) -> Figures:
        """What it counted."""
        from conveyor.engines.figures import Figures  # slow to import

        counts = {name: getattr(self.account, name) for name in COUNTS}
        elsewhere = max(0.0, self.elapsed - self.service.total)
        return Figures(**counts, busy=self.service.total, elsewhere=elsewhere, service=self.service)


class _Zip:
    """The parts of the tuple that is being made, for one source item or the end of the stream."""

    def __init__(self, node: JoinNode, places: tuple[str, ...]) -> None:
        self.node = node
        self.places = places
        self.parts: dict[int, Any] = {}
        self.items_in = self.items_out = self.filtered = self.merged = 0

    def put(self, place: int, item: Any) -> None:
        if place in self.parts:
            raise JoinError(self.node.id, self.places[place], short(item))
        self.parts[place] = item
        self.items_in += 1

    def take(self) -> Iterator[tuple[Any, ...]]:
        parts, self.parts = self.parts, {}
        if len(parts) == len(self.places):
            self.items_out += 1
            self.merged += len(parts) - 1
            yield tuple(parts[place] for place in range(len(parts)))
        else:
            self.filtered += len(parts)

    @property
    def account(self) -> Account:
        return Account(self.items_in, self.items_out, filtered=self.filtered, merged=self.merged)


def _see_that_it_fits(graph: Graph) -> None:
    """See that an item may pass all elements, one inside of the other.

    Raises:
        UsageError: Python allows fewer calls.
    """
    limit, calls = sys.getrecursionlimit(), CALLS * graph.length + SPARE_CALLS
    frame: FrameType | None = sys._getframe()
    while frame is not None and calls <= limit:
        calls, frame = calls + 1, frame.f_back
    if calls > limit:
        raise UsageError(
            f"items pass {graph.length} elements, each inside of the one before where they run in "
            f"the calling process, and Python allows {limit} calls: set sys.setrecursionlimit(), "
            "or use engine='processes'"
        )


class Inline(Live[Any]):
    """A pipeline in the calling process."""

    def __init__(self, graph: Graph, *, warm: bool) -> None:
        super().__init__(graph)
        self._warm = warm
        self._stages: dict[str, Stage] = {}
        closes = check(graph).closes
        self._zip_of_fork = {
            fork: join
            for join, fork in closes.items()
            if isinstance(node := graph.by_id[join], JoinNode) and node.how == "zip"
        }
        self._zips: dict[str, _Zip] = {}
        self._turn: dict[str, int] = {}
        self._taken: dict[int, int] = {}
        self._ended: dict[str, int] = {}
        self._failures = Failures()
        self._fed = 0
        self._entered: Mapping[str, int] | None = None
        self._tapes: dict[str, Tape] = {}
        self._setups: dict[str, Span] = {}
        self._process = self._processed
        """Lets a stage process an item; a traced run has it kept on a tape."""

    def start(self) -> None:
        """Set all processors up."""
        if self._stages or self._is_closed:
            return
        _see_that_it_fits(self.graph)
        try:
            for node in self._processors():
                stage = stage_for(
                    node.settings,
                    node.id,
                    partial(_own_copy, node.processor),
                    warm=self._warm,
                    passes=KeyboardInterrupt,
                    failed=self._on_failed,
                    is_source=node.kind == "source",
                )
                self._stages[node.id] = stage
                started = perf_counter_ns()
                stage.setup()
                self._setups[node.id] = Span("setup", started, perf_counter_ns())
        except BaseException:
            self._break_off()
            raise

    def _processors(self) -> Iterator[ProcessorNode]:
        """The nodes that need a stage."""
        return (node for node in self.graph.processors if not is_given(node))

    def _on_failed(self, error: ConveyorError, letter: DeadLetter | None) -> None:
        excess = self._failures.add(error, letter, self._fed)
        if excess is not None:
            raise excess

    def _clear_away(self) -> None:
        """Let all processors clear up; the first error among them is raised at the end."""
        error = self._teardown()
        if error is not None:
            raise error

    def _break_off(self) -> None:
        # An error is on its way already, or the caller has left: one in teardown adds nothing.
        self._teardown()

    def _teardown(self) -> ConveyorError | None:
        error: ConveyorError | None = None
        other: BaseException | None = None
        stages, self._stages = self._stages, {}
        for stage in stages.values():
            try:
                stage.teardown()
            except ConveyorError as raised:
                error = error or raised
            except BaseException as raised:  # Ctrl-C: the others clear up all the same
                other = other or raised
        if other is not None:
            raise other
        return error

    def _batches(
        self, items: Iterable[Any], failures: Failures
    ) -> Generator[list[Any], None, None]:
        self._failures = failures
        for output in self._outputs(items):
            yield [output]

    def _outputs(self, items: Iterable[Any]) -> Iterator[Any]:
        self.start()
        graph = self.graph
        self._turn = {node.id: 0 for node in graph.nodes}
        self._ended = {node.id: 0 for node in graph.nodes}
        self._taken = {}
        self._fed = 0
        self._zips = {
            node.id: _Zip(node, tuple(graph.edges[i].source for i in graph.in_edges[node.id]))
            for node in graph.nodes
            if isinstance(node, JoinNode) and node.how == "zip"
        }
        for stage in self._stages.values():
            stage.begin()
            stage.times = Times()
        self._tapes, self._process = {}, self._processed
        if self._is_traced:
            self._trace()
        self._setups = {}
        yield from self._entering(items)
        start = self.graph.start
        (first,) = graph.out_edges[start.id]
        yield from self._finished(start, first)
        yield from self._end(first)

    def _trace(self) -> None:
        """Let each stage keep what it does in this run."""
        self._process = self._processed_on_tape
        for number, lane in self._lanes().items():
            if lane.name in self._stages:
                tape = self._tapes[lane.name] = Tape(number)
                if lane.name in self._setups:
                    tape.add(*self._setups[lane.name])

    def _processed_on_tape(self, stage: str, item: Any) -> Iterator[Any]:
        (onwards,) = self.graph.out_edges[stage]
        at = self._stages[stage]
        outputs = at.outputs(item) if at.samples and at.items_in % SAMPLE else at.timed(item)
        for output in timed(self._tapes[stage], outputs, lambda: (2 * self._fed - 1,)):
            yield from self._through(onwards, output)

    def _generated(self, source: str) -> Iterator[Any]:
        items = self._stages[source].generate()
        tape = self._tapes.get(source)
        return items if tape is None else timed(tape, items, lambda: (2 * self._fed + 1,))

    def _lanes(self) -> dict[int, Lane]:
        graph = self.graph
        numbers = {node.id: number for number, node in enumerate(graph.processors)}
        return {
            number: Lane(
                name,
                name,
                sorted(numbers[sender] for sender in set(graph.senders(name))),
                gathers=any(graph.edges[index].source in self._zips for index in entering),
            )
            for name, number in numbers.items()
            for entering in (graph.in_edges[name],)
        }

    def _traced(self) -> Traced:
        return Traced(self._lanes(), list(self._tapes.values()), has_pipes=False)

    def _entering(self, items: Iterable[Any]) -> Iterator[Any]:
        """Let the items in at the start of the graph, and give what comes out at its end."""
        start = self.graph.start
        (first,) = self.graph.out_edges[start.id]
        is_source = start.kind == "source"
        for item in self._generated(start.id) if is_source else self._fed_items(items):
            self._let_in()
            yield from self._through(first, item)
            if self.watch is not None:
                self.watch.look()

    def _let_in(self) -> None:
        """One more item enters, unless the run is to end."""
        self.see_that_wanted()
        self._fed += 1

    def _fed_items(self, items: Iterable[Any]) -> Iterator[Any]:
        """The caller's items, each as a copy: what a processor changes is not the caller's."""
        for item in items:
            yield copied_item("feed", item)

    def _through(self, edge: int, item: Any) -> Iterator[Any]:
        """Take one item along an edge and give what comes out at the end."""
        target = self.graph.by_id[self.graph.edges[edge].target]
        match target:
            case OutputNode():
                yield item
            case ProcessorNode():
                yield from self._process(target.id, item)
            case ForkNode(kind="replicated"):
                yield from self._replicated(target, item)
            case ForkNode():
                branches = self.graph.out_edges[target.id]
                chosen = branches[self._choice(target.id, len(branches))]
                self._taken[chosen] = self._taken.get(chosen, 0) + 1
                yield from self._through(chosen, item)
            case JoinNode(how="zip"):
                self._zips[target.id].put(self.graph.in_edges[target.id].index(edge), item)
            case JoinNode():
                (onwards,) = self.graph.out_edges[target.id]
                yield from self._through(onwards, item)

    def _processed(self, stage: str, item: Any) -> Iterator[Any]:
        (onwards,) = self.graph.out_edges[stage]
        at = self._stages[stage]
        untimed = at.samples and at.items_in % SAMPLE
        for output in at.outputs(item) if untimed else at.timed(item):
            yield from self._through(onwards, output)

    def _replicated(self, fork: ForkNode, item: Any) -> Iterator[Any]:
        branches = self.graph.out_edges[fork.id]
        copies = [item, *(copied_item(fork.id, item) for _ in branches[1:])]
        for number in self._in_turn(len(branches)):
            yield from self._through(branches[number], copies[number])
        if fork.id in self._zip_of_fork:
            yield from self._zipped(self._zip_of_fork[fork.id])

    def _zipped(self, join: str) -> Iterator[Any]:
        (onwards,) = self.graph.out_edges[join]
        for item in self._zips[join].take():
            yield from self._through(onwards, item)

    def _finished(self, node: ProcessorNode, onwards: int) -> Iterator[Any]:
        if node.id in self._stages:
            for output in self._stages[node.id].finish():
                yield from self._through(onwards, output)

    def _end(self, edge: int) -> Iterator[Any]:
        """Take the end of the stream along an edge: what ``finish`` gives goes before it.

        For a zip it counts as one more item, so that a tuple of what the branches gave at
        their end is made.
        """
        graph = self.graph
        target = graph.by_id[graph.edges[edge].target]
        self._ended[target.id] += 1
        if self._ended[target.id] < len(graph.in_edges[target.id]):
            return
        yield from self._at_end(target)
        edges = graph.out_edges[target.id]
        for onwards in map(edges.__getitem__, self._in_turn(len(edges))):
            if isinstance(target, ProcessorNode):
                yield from self._finished(target, onwards)
            yield from self._end(onwards)

    # -- what is free to be otherwise: see `Shuffled` --

    def _choice(self, fork: str, branches: int) -> int:
        """The branch of a balanced fork that takes the next item: each in turn."""
        turn = self._turn[fork]
        self._turn[fork] += 1
        return turn % branches

    def _in_turn(self, branches: int) -> Sequence[int]:
        """The order in which branches that all get something are run: left to right."""
        return range(branches)

    def _at_end(self, node: Node) -> Iterator[Any]:
        """Let through what a join still holds when the end has come by all edges into it."""
        if isinstance(node, JoinNode) and node.how == "zip":
            yield from self._zipped(node.id)

    def _account(self, elapsed: float, given: int) -> Stats:
        return account(
            self.bare_graph,
            self._measured(),
            self._taken,
            elapsed=elapsed,
            given=given,
            entered=self._entered,
            counted=self._counted(elapsed),
            widths={
                node.id: [Width(0.0, 1, "fixed: the inline engine does one item at a time")]
                for node in self.graph.nodes
                if isinstance(node, ForkNode) and node.auto is not None
            },
        )

    def _so_far(self, elapsed: float, given: int) -> Stats:
        return so_far(
            self.bare_graph,
            self._measured(),
            elapsed=elapsed,
            given=given,
            counted=self._counted(elapsed),
        )

    def _measured(self) -> dict[str, Account]:
        measured = {name: stage.account for name, stage in self._stages.items()}
        measured |= {name: join.account for name, join in self._zips.items()}
        if self._entered is None:
            for node in self.graph.processors:
                if is_given(node):
                    measured[node.id] = Account(self._fed, self._fed)
        return measured

    def _counted(self, elapsed: float) -> list[Timed]:
        return [
            Timed(name, stage.account, stage.times.histogram(), elapsed)
            for name, stage in self._stages.items()
            if not self._is_source(name)
        ]

    def _is_source(self, name: str) -> bool:
        node = self.graph.by_id[name]
        return isinstance(node, ProcessorNode) and node.kind == "source"


def _own_copy(processor: Any) -> Any:
    """A copy of a processor that shares no state with it, as far as its state can be copied."""
    try:
        return copy.deepcopy(processor)
    except Exception:
        shallow = another(processor)
        for name, value in instance_state(processor).items():
            try:
                object.__setattr__(shallow, name, copy.deepcopy(value))
            except Exception:
                object.__setattr__(shallow, name, value)
        return shallow


def copied_item(stage: str, item: Any) -> Any:
    """An item of its own for somebody, by the stage that is told of where there can be none.

    Raises:
        NotPicklable: it can't be copied.
    """
    try:
        return copied(item)
    except Exception as error:
        hint = "between processes it would have to be pickled"
        raise NotPicklable(stage, short(item), "it can't be copied", reason(error), hint) from error
