"""The base of everything in a pipeline: the operators, equality, repr, and the ways to run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self

from conveyor.dsl.variables import Ends, In, Out
from conveyor.errors import ConstructionError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Literal, Never, SupportsIndex, Unpack, overload

    from typing_extensions import TypeIs

    from conveyor.dsl.links import BalancedFork, Pipe, ReplicatedFork
    from conveyor.dsl.options import Options
    from conveyor.dsl.pipeline import Pipeline
    from conveyor.dsl.variables import (
        A,
        B,
        C,
        Closed,
        D,
        E,
        End,
        I,
        Joined,
        Joining,
        O,
        Open,
        Passing,
        Places,
        Some,
        Unknown,
        Unzippable,
        Zipped,
        Zipping,
    )
    from conveyor.engines.base import Live
    from conveyor.engines.letters import DeadLetter
    from conveyor.engines.opening import EngineName
    from conveyor.engines.results import Results, Stream
    from conveyor.engines.snapshot import Snapshot
    from conveyor.graph import Auto, Graph


_SVG = "image/svg+xml"


class Element(Generic[In, Out, Ends]):
    """A part of a pipeline, from one processor to a whole expression.

    Elements are immutable values: an operator returns a new element and changes neither
    operand. Using one element twice makes two nodes. In a subclass all private names are the
    user's, but for ``_conveyor``.

    ``a >> b`` is a pipe, ``a * b`` a replicated fork, ``a % b`` a balanced fork and ``a & b``
    a join. ``==`` is equality of meaning: ``(a >> b) >> c == a >> (b >> c)``.
    """

    # Numpy would take `array >> element` for itself, item by item, without this.
    __array_ufunc__ = None

    # -- the operators: one line each, all decided in `compose` --

    if TYPE_CHECKING:
        # Of overloads the first that fits counts. What an element is open to, its `Ends`, tells
        # them apart; where that is not known, the first of each operator fits.
        #
        # Checkers take a reflected form where the other does not fit: where the left branch of a
        # fork accepts more than the right one. mypy finds that the two overlap; they do, and agree.

        @overload
        def __rshift__(self, other: Pipe[Any]) -> Pipeline[In, Out, Ends]: ...
        @overload
        def __rshift__(
            self: Element[I, A, Unknown], other: Element[A, O, Any]
        ) -> Pipeline[I, O, Any]: ...
        @overload  # it may be a fork, which a join closes
        def __rshift__(
            self: Element[I, A, Unknown], other: Element[Joined, Any, Joining]
        ) -> Pipeline[I, A, Closed]: ...
        @overload
        def __rshift__(
            self: Element[I, Any, Unknown], other: Element[Zipped[Never], Any, Zipping]
        ) -> Pipeline[I, tuple[Any, ...], Closed]: ...
        @overload
        def __rshift__(
            self: Element[I, Any, Unknown], other: Element[Zipped[Any], O, Some]
        ) -> Pipeline[I, O, Any]: ...
        @overload  # a pipe or a join takes what the element takes that it leads into
        def __rshift__(
            self: Element[Never, Any, Passing], other: Element[I, O, End]
        ) -> Pipeline[I, O, End]: ...
        @overload
        def __rshift__(
            self: Element[Never, Any, Joining], other: Element[I, O, E]
        ) -> Pipeline[I, O, E]: ...
        @overload
        def __rshift__(
            self: Element[Never, Any, Zipping], other: Element[I, O, E]
        ) -> Pipeline[Zipped[I], O, E]: ...
        @overload
        def __rshift__(
            self: Element[I, A, Closed], other: Element[A, O, E]
        ) -> Pipeline[I, O, E]: ...
        @overload
        def __rshift__(
            self: Element[I, A, Unzippable], other: Element[A, O, Some]
        ) -> Pipeline[I, O, Unzippable]: ...
        @overload  # what follows an open fork is laid on every branch; five of them and more
        def __rshift__(
            self: Element[I, A, tuple[Any, Any, Any, Any, Any, *tuple[Any, ...]]],
            other: Element[A, O, Closed],
        ) -> Pipeline[I, O, tuple[Any, ...]]: ...
        @overload
        def __rshift__(
            self: Element[I, A, tuple[Any, Any, Any, Any]], other: Element[A, O, Closed]
        ) -> Pipeline[I, O, tuple[O, O, O, O]]: ...
        @overload
        def __rshift__(
            self: Element[I, A, tuple[Any, Any, Any]], other: Element[A, O, Closed]
        ) -> Pipeline[I, O, tuple[O, O, O]]: ...
        @overload
        def __rshift__(
            self: Element[I, A, tuple[Any, Any]], other: Element[A, O, Closed]
        ) -> Pipeline[I, O, tuple[O, O]]: ...
        @overload
        def __rshift__(
            self: Element[I, A, tuple[object, ...]], other: Element[A, O, Closed]
        ) -> Pipeline[I, O, tuple[O, ...]]: ...
        @overload
        def __rshift__(
            self: Element[I, A, tuple[object, ...]], other: Element[A, O, tuple[object, ...]]
        ) -> Pipeline[I, O, tuple[Any, ...]]: ...
        @overload
        def __rshift__(
            self: Element[I, A, tuple[object, ...]], other: Element[A, O, Unzippable]
        ) -> Pipeline[I, O, Unzippable]: ...
        @overload
        def __rshift__(
            self: Element[I, Any, tuple[*Places]], other: Element[Zipped[Never], Any, Zipping]
        ) -> Pipeline[I, tuple[*Places], Closed]: ...
        @overload
        def __rshift__(
            self: Element[I, Any, tuple[*Places]],
            other: Element[Zipped[tuple[*Places]], O, Some],
        ) -> Pipeline[I, O, Any]: ...
        @overload
        def __rshift__(
            self: Element[I, A, Open], other: Element[Joined, Any, Joining]
        ) -> Pipeline[I, A, Closed]: ...
        @overload
        def __rshift__(self, other: Element[Any, Any, Passing]) -> Pipeline[In, Out, Ends]: ...
        def __rshift__(self, other: object) -> Any: ...

        @overload
        def __mul__(
            self: Element[I, A, Unknown], other: Element[I, B, Any]
        ) -> ReplicatedFork[I, A | B, Any]: ...
        @overload
        def __mul__(
            self: Element[I, A, Closed], other: Literal[2]
        ) -> ReplicatedFork[I, A, tuple[A, A]]: ...
        @overload
        def __mul__(
            self: Element[I, A, Closed], other: Literal[3]
        ) -> ReplicatedFork[I, A, tuple[A, A, A]]: ...
        @overload
        def __mul__(
            self: Element[I, A, Closed], other: Literal[4]
        ) -> ReplicatedFork[I, A, tuple[A, A, A, A]]: ...
        @overload
        def __mul__(
            self: Element[I, A, Closed], other: SupportsIndex
        ) -> ReplicatedFork[I, A, tuple[A, ...]]: ...
        @overload
        def __mul__(self, other: SupportsIndex) -> ReplicatedFork[In, Out, Any]: ...
        @overload  # a pipe as a branch gives what it takes
        def __mul__(
            self: Element[Never, Any, Passing], other: Element[I, B, Closed]
        ) -> ReplicatedFork[I, I | B, tuple[I, B]]: ...
        @overload
        def __mul__(
            self: Element[Never, Any, Passing], other: Element[I, B, tuple[*Places]]
        ) -> ReplicatedFork[I, I | B, tuple[I, *Places]]: ...
        @overload
        def __mul__(
            self: Element[I, A, Closed], other: Pipe[Any]
        ) -> ReplicatedFork[I, A | I, tuple[A, I]]: ...
        @overload
        def __mul__(
            self: Element[I, A, tuple[*Places]], other: Pipe[Any]
        ) -> ReplicatedFork[I, A | I, tuple[*Places, I]]: ...
        @overload
        def __mul__(
            self: Element[I, A, Closed], other: Element[I, B, Closed]
        ) -> ReplicatedFork[I, A | B, tuple[A, B]]: ...
        @overload
        def __mul__(
            self: Element[I, A, tuple[*Places]], other: Element[I, B, Closed]
        ) -> ReplicatedFork[I, A | B, tuple[*Places, B]]: ...
        @overload
        def __mul__(
            self: Element[I, A, Closed], other: Element[I, B, tuple[*Places]]
        ) -> ReplicatedFork[I, A | B, tuple[A, *Places]]: ...
        @overload
        def __mul__(
            self: Element[I, A, tuple[*Places]], other: Element[I, B, tuple[C, D]]
        ) -> ReplicatedFork[I, A | B, tuple[*Places, C, D]]: ...
        @overload
        def __mul__(
            self: Element[I, A, tuple[object, ...]], other: Element[I, B, tuple[object, ...]]
        ) -> ReplicatedFork[I, A | B, tuple[Any, ...]]: ...
        @overload
        def __mul__(
            self: Element[I, A, Unzippable], other: Element[I, B, Some]
        ) -> ReplicatedFork[I, A | B, Unzippable]: ...
        @overload
        def __mul__(
            self: Element[I, A, Some], other: Element[I, B, Unzippable]
        ) -> ReplicatedFork[I, A | B, Unzippable]: ...
        def __mul__(self, other: object) -> Any: ...

        @overload
        def __rmul__(  # type: ignore[misc]
            self: Element[I, B, Closed], other: Element[I, A, Closed]
        ) -> ReplicatedFork[I, A | B, tuple[A, B]]: ...
        @overload
        def __rmul__(  # type: ignore[misc]
            self: Element[I, B, Closed], other: Element[I, A, tuple[*Places]]
        ) -> ReplicatedFork[I, A | B, tuple[*Places, B]]: ...
        @overload
        def __rmul__(  # type: ignore[misc]
            self: Element[I, B, Some], other: Element[I, A, Closed | tuple[object, ...]]
        ) -> ReplicatedFork[I, A | B, Any]: ...
        def __rmul__(self, other: object) -> Any: ...

        @overload
        def __mod__(self, other: SupportsIndex | Auto) -> BalancedFork[In, Out]: ...
        @overload
        def __mod__(
            self: Element[Never, Any, Passing], other: Element[I, B, Some]
        ) -> BalancedFork[I, I | B]: ...
        @overload
        def __mod__(self: Element[I, A, Some], other: Pipe[Any]) -> BalancedFork[I, A | I]: ...
        @overload
        def __mod__(
            self: Element[I, A, Some], other: Element[I, B, Some]
        ) -> BalancedFork[I, A | B]: ...
        def __mod__(self, other: object) -> Any: ...

        @overload
        def __rmod__(  # type: ignore[misc]
            self: Element[I, B, Some], other: Element[I, A, Closed]
        ) -> BalancedFork[I, A | B]: ...
        @overload
        def __rmod__(  # type: ignore[misc]
            self: Element[I, B, Some], other: BalancedFork[I, A]
        ) -> BalancedFork[I, A | B]: ...
        def __rmod__(self, other: object) -> Any: ...

        @overload
        def __and__(
            self: Element[I, Any, Unknown], other: Element[Zipped[Never], Any, Zipping]
        ) -> Pipeline[I, tuple[Any, ...], Closed]: ...
        @overload
        def __and__(
            self: Element[I, Any, Unknown], other: Element[Zipped[Any], O, E]
        ) -> Pipeline[I, O, E]: ...
        @overload
        def __and__(self: Element[I, A, Open], other: Pipe[Any]) -> Pipeline[I, A, Closed]: ...
        @overload
        def __and__(
            self: Element[I, A, Open], other: Element[Joined, Any, Joining]
        ) -> Pipeline[I, A, Closed]: ...
        @overload
        def __and__(
            self: Element[I, Any, tuple[*Places]], other: Element[Zipped[Never], Any, Zipping]
        ) -> Pipeline[I, tuple[*Places], Closed]: ...
        @overload
        def __and__(
            self: Element[I, Any, tuple[*Places]],
            other: Element[Zipped[tuple[*Places]], O, E],
        ) -> Pipeline[I, O, E]: ...
        @overload
        def __and__(self: Element[I, A, Open], other: Element[A, O, E]) -> Pipeline[I, O, E]: ...
        @overload  # there is nothing to join
        def __and__(
            self: Element[Never, Any, Closed | Passing | Joining | Zipping], other: Never
        ) -> Never: ...
        def __and__(self, other: object) -> Any: ...

    else:

        def __new__(cls, *_args, **_kwargs):  # noqa: D102
            if cls is Element:
                from conveyor.dsl.compose import refuse_bare

                refuse_bare()
            return object.__new__(cls)

        def __rshift__(self, other):
            return _compose(">>", self, other)

        def __rrshift__(self, other):
            return _compose(">>", other, self)

        def __mul__(self, other):
            return _compose("*", self, other)

        def __rmul__(self, other):
            return _compose("*", other, self)

        def __mod__(self, other):
            return _compose("%", self, other)

        def __rmod__(self, other):
            return _compose("%", other, self)

        def __and__(self, other):
            return _compose("&", self, other)

        def __rand__(self, other):
            return _compose("&", other, self)

        # -- what Python would refuse without a word on what to write --

        def __or__(self, other):
            _refuse_operator("|", self, other)

        def __ror__(self, other):
            _refuse_operator("|", other, self)

        def __add__(self, other):
            _refuse_operator("+", self, other)

        def __radd__(self, other):
            _refuse_operator("+", other, self)

    def __bool__(self) -> NoReturn:  # noqa: PLE0304 - it never returns
        from conveyor.dsl.compose import refuse_truth

        refuse_truth(self)

    # -- what it is --

    def __eq__(self, other: object) -> bool:
        if not is_element(other):
            return NotImplemented
        from conveyor.dsl.normal import atoms_of, key

        return key(atoms_of(self)) == key(atoms_of(other))

    def __hash__(self) -> int:
        from conveyor.dsl.normal import atoms_of, key

        return hash(key(atoms_of(self)))

    def __repr__(self) -> str:
        from conveyor.dsl.normal import atoms_of
        from conveyor.dsl.text import written

        return written(atoms_of(self)).text

    def options(self, **options: Unpack[Options]) -> Self:
        """This element with settings for its worker; in a sequence, for every processor in it.

        Args:
            name: the name of the stage in errors, statistics and pictures.
            retries: how often a failed item is tried again.
            on_error: ``"fail"``, ``"skip"`` or ``"dead_letter"``: what then becomes of it.
                Where this or ``retries`` is set, what an item gives is held until it is done.
                A source takes no items, so its own failure always ends the run.
            timeout: seconds that one item may take.
            restarts: how often a worker that died is started again.

        Raises:
            UsageError: an option is unknown or ill-typed, or there is no worker to set it for.
        """
        from conveyor.dsl.compose import with_options

        changed: Self = with_options(self, options)
        return changed

    # -- seeing --

    def draw(self, path: str | Path) -> None:
        """Write a picture of this pipeline to a file; any that is there is replaced.

        Args:
            path: where to. The suffix says what it becomes: ``.svg`` a picture, ``.mmd`` Mermaid,
                ``.dot`` Graphviz' language, ``.txt`` a tree. ``compile()`` gives the same as
                text: ``pipeline.compile().to_svg()``.

        Raises:
            UsageError: there is no such suffix.
            ConstructionError: the expression breaks a construction rule.
            OSError: the file can't be written.
        """
        from pathlib import Path

        from conveyor.graph.draw import picture

        target = Path(path)
        target.write_text(picture(self.compile(), target.suffix), "utf-8")

    def explain(self, *, ordered: bool = False, processes: int | None = None) -> str:
        """What :meth:`run` would start with these arguments, as a text. Nothing is started.

        The worker processes and who is in which, the channels between them with their
        capacities, where joins happen, how processors get to their workers, and the rules that
        made it so.

        Raises:
            UsageError: an argument does not fit.
            ConstructionError: the expression breaks a construction rule.
        """
        from conveyor.engines.opening import explain

        return str(explain(self.compile(), ordered=ordered, processes=processes))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows: the picture, or the expression where it is no pipeline yet."""
        bundle = {"text/plain": repr(self)}
        is_wanted = include is None or _SVG in include
        if is_wanted and _SVG not in (exclude or ()):
            with suppress(ConstructionError):
                bundle[_SVG] = self.compile().to_svg()
        return bundle

    # -- running --

    def compile(self) -> Graph:
        """The checked graph of this pipeline.

        Raises:
            ConstructionError: the expression breaks a construction rule.
        """
        from conveyor.dsl.lower import compiled

        return compiled(self)

    def run(
        self,
        items: Iterable[In] | None = None,
        *,
        engine: EngineName = "processes",
        ordered: bool = False,
        processes: int | None = None,
        stalled: float | None = None,
        max_failures: float | None = None,
        progress: bool | Callable[[Snapshot], object] = False,
        trace: str | Path | None = None,
    ) -> Results[Out]:
        """Run this pipeline to its end.

        Args:
            items: what goes in, for a pipeline that does not start with a Source. Any
                iterable; it is pulled as there is room, a collection in the calling thread, and
                what may have to be waited for in a thread of its own.
            engine: ``"processes"`` or ``"inline"`` (in the calling process, for debugging).
            ordered: give the outputs in the order that the inline engine gives.
            processes: the most worker processes; unset, every processor has its own.
            stalled: seconds after which a run that stands still is ended, with a report of who
                waits for whom: no item has moved, and no worker with something in work has
                computed, though there is work to do. So it must be more than your items ever wait
                for something outside, such as an answer. The time does not run while you pause in
                the loop over a stream, or while the run only waits for your items or its source.
                Unset, such a run is logged after a minute, and goes on. Not watched inline.
            max_failures: how many items may fail for good, where ``on_error`` lets the run go on:
                a count, or a share of the items (a float between 0 and 1), which counts once 100
                items have gone in, and at the end. An item that fails in two branches is two.
            progress: True for a live view on the standard error, or lines where that is no
                terminal; or a function that is called with a :class:`Snapshot` some times a
                second, between batches, and at the end. What it raises ends the run.
            trace: a file for a trace of the run, to be opened in Perfetto (https://ui.perfetto.dev)
                or chrome://tracing: what every worker did when, and the way of every batch. It is
                written at the end, also of a run that fails; of long runs, it shows the beginning
                and the end.

        Returns:
            A list of the outputs, with ``.stats`` and ``.dead_letters``.

        Raises:
            ConstructionError: the expression breaks a construction rule.
            TooManyFailures: more items failed than ``max_failures`` allows.
            Stalled: the run stood still for longer than ``stalled``.
            UsageError: the arguments do not fit the pipeline, or each other.
            ConveyorError: a stage failed; nothing is left running.
        """
        live = self.open(
            engine=engine, ordered=ordered, processes=processes, stalled=stalled, _once=True
        )
        return live.run_once(items, max_failures, trace, progress)

    def stream(
        self,
        items: Iterable[In] | None = None,
        *,
        engine: EngineName = "processes",
        ordered: bool = False,
        processes: int | None = None,
        stalled: float | None = None,
        max_failures: float | None = None,
        progress: bool | Callable[[Snapshot], object] = False,
        trace: str | Path | None = None,
    ) -> Stream[Out]:
        """Run this pipeline lazily: give each output as it comes.

        ``items`` may be endless. Leaving the loop, or dropping the iterator, stops the
        workers. The arguments and errors are those of :meth:`run`. The iterator has
        ``.dead_letters``.
        """
        live = self.open(
            engine=engine, ordered=ordered, processes=processes, stalled=stalled, _once=True
        )
        return live.stream_once(items, max_failures, trace, progress)

    def replay(
        self, letters: Iterable[DeadLetter], /, *, engine: Literal["inline"] = "inline"
    ) -> Results[Out]:
        """Run dead letters again, each from the stage where it failed.

        What comes out of that stage flows on to the output. Stages that no letter reaches are not
        set up. The options hold as in every run, so what fails again is in ``.dead_letters`` of
        the results. What a zip has no other parts for is left out.

        Args:
            letters: of this pipeline: ``results.dead_letters``, or ``DeadLetters.load(path)``.
            engine: ``"inline"``, in the calling process, where a debugger reaches.

        Raises:
            UsageError: a letter's stage is not in this pipeline, or there is no such engine.
            ConveyorError: a stage failed.
        """
        from conveyor.engines.opening import open_replay

        with open_replay(self.compile(), letters, engine=engine, written=self) as live:
            return live.run()

    def open(
        self,
        *,
        engine: EngineName = "processes",
        ordered: bool = False,
        processes: int | None = None,
        stalled: float | None = None,
        _once: bool = False,
    ) -> Live[Out]:
        """Start the workers and keep them warm for several runs.

        Use it in a ``with`` statement::

            with pipeline.open() as live:
                first = live.run(items)
                second = live.run(more)

        These arguments, and the errors, are those of :meth:`run`. What is for one run alone, such
        as ``progress`` and ``max_failures``, ``live.run`` and ``live.stream`` take.
        """
        from conveyor.engines.opening import open_engine

        return open_engine(
            self.compile(),
            engine=engine,
            ordered=ordered,
            processes=processes,
            stalled=stalled,
            once=_once,
            written=self,
        )


def _compose(operator: str, left: object, right: object) -> Any:
    from conveyor.dsl.compose import compose

    return compose(operator, left, right)


def _refuse_operator(operator: str, left: object, right: object) -> NoReturn:
    from conveyor.dsl.compose import refuse_operator

    refuse_operator(operator, left, right)


def is_element(value: object) -> TypeIs[Element[Any, Any]]:
    """Whether a value is an element."""
    return isinstance(value, Element)


def is_element_class(value: object) -> TypeIs[type[Element[Any, Any]]]:
    """Whether a value is a class of elements, where an instance of it may have been meant."""
    return isinstance(value, type) and issubclass(value, Element)
