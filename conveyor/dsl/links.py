"""The links: pipes, forks and joins, and the width that follows the load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, get_args, overload

from conveyor.dsl.element import Element
from conveyor.dsl.rules import Fault, refuse
from conveyor.dsl.site import caller
from conveyor.dsl.variables import Ends, In, Out, Passing, T, Unzippable
from conveyor.errors import UsageError
from conveyor.graph import Auto
from conveyor.graph.model import ForkKind, JoinHow, is_count, plain

if TYPE_CHECKING:
    from typing import Literal, Never

    from conveyor.dsl.variables import A, B, C, Closed, D, I, Joined, Joining, Some, Zipped, Zipping

AUTO = Auto()
"""A width that follows the load at run time: ``Parse() % AUTO``."""


class _Frozen:
    """Refuses assignment once built; what is set is set through ``_set``."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable: {name!r} can't be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable: {name!r} can't be deleted")

    def _set(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: object) -> Any:
        return self


class Pipe(_Frozen, Element[T, T, Passing]):
    """A link: a bounded producer-consumer buffer.

    As a branch of a fork it passes items through unchanged.

    Args:
        capacity: the most items that it holds; unset, the engine decides.

    Raises:
        UsageError: ``capacity`` is not an int of 1 or more.
    """

    capacity: int | None

    def __init__(self, capacity: int | None = None) -> None:
        capacity = plain(capacity)
        if capacity is not None and (not is_count(capacity) or capacity < 1):
            raise UsageError(f"Pipe(capacity=...) takes an int of 1 or more, not {capacity!r}")
        self._set(capacity=capacity)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Pipe, (self.capacity,))


class Fork(_Frozen, Element[In, Out, Ends]):
    """What both forks share: branches, each a sequence of elements in normal form."""

    kind: ClassVar[ForkKind]
    operator: ClassVar[str]
    branches: tuple[tuple[Element[Any, Any], ...], ...]
    auto: Auto | None

    def __init__(self, *branches: Element[Any, Any]) -> None:
        from conveyor.dsl.compose import fork_branches

        self._set(branches=fork_branches(type(self), branches), auto=None)

    @classmethod
    def _of(
        cls, branches: Sequence[tuple[Element[Any, Any], ...]], auto: Auto | None = None
    ) -> Fork[Any, Any]:
        """A fork of branches that are in normal form already."""
        fork = cls.__new__(cls)
        fork._set(branches=tuple(branches), auto=auto)
        return fork

    def __reduce__(self) -> tuple[Any, ...]:
        return (_fork, (type(self), self.branches, self.auto))


def _fork(
    cls: type[Fork[Any, Any]],
    branches: Sequence[tuple[Element[Any, Any], ...]],
    auto: Auto | None,
) -> Fork[Any, Any]:
    return cls._of(branches, auto)


class ReplicatedFork(Fork[In, Out, Ends]):
    """Every branch gets its own copy of every item: ``a * b``.

    Raises:
        ConstructionError: there is no branch, or one is no element.
    """

    kind = "replicated"
    operator = "*"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: ReplicatedFork[I, A | B, tuple[A, B]],
            a: Element[I, A, Closed],
            b: Element[I, B, Closed],
            /,
        ) -> None: ...
        @overload
        def __init__(
            self: ReplicatedFork[I, A | B | C, tuple[A, B, C]],
            a: Element[I, A, Closed],
            b: Element[I, B, Closed],
            c: Element[I, C, Closed],
            /,
        ) -> None: ...
        @overload
        def __init__(
            self: ReplicatedFork[I, A | B | C | D, tuple[A, B, C, D]],
            a: Element[I, A, Closed],
            b: Element[I, B, Closed],
            c: Element[I, C, Closed],
            d: Element[I, D, Closed],
            /,
        ) -> None: ...
        @overload
        def __init__(
            self: ReplicatedFork[I, Any, Any],
            first: Element[I, Any, Any],
            /,
            *more: Element[I, Any, Any],
        ) -> None: ...
        def __init__(self, *branches: Element[Any, Any]) -> None: ...

        # The rule `mixed-fork`.
        def __mod__(self, other: Never) -> Never: ...  # type: ignore[override]


class BalancedFork(Fork[In, Out, Unzippable]):
    """Each item goes to exactly one branch, the one ready for it first: ``a % b``.

    Raises:
        ConstructionError: there is no branch, or one is no element.
    """

    kind = "balanced"
    operator = "%"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: BalancedFork[I, A | B],
            a: Element[I, A, Some],
            b: Element[I, B, Some],
            /,
        ) -> None: ...
        @overload
        def __init__(
            self: BalancedFork[I, A | B | C],
            a: Element[I, A, Some],
            b: Element[I, B, Some],
            c: Element[I, C, Some],
            /,
        ) -> None: ...
        @overload
        def __init__(
            self: BalancedFork[I, A | B | C | D],
            a: Element[I, A, Some],
            b: Element[I, B, Some],
            c: Element[I, C, Some],
            d: Element[I, D, Some],
            /,
        ) -> None: ...
        @overload
        def __init__(
            self: BalancedFork[I, Any],
            first: Element[I, Any, Any],
            /,
            *more: Element[I, Any, Any],
        ) -> None: ...
        def __init__(self, *branches: Element[Any, Any]) -> None: ...

        # The rule `mixed-fork`.
        def __mul__(self, other: Never) -> Never: ...  # type: ignore[override]


class Join(_Frozen, Element[In, Out, Ends]):
    """Combines all open branches into one stream.

    Args:
        how: ``"interleave"``: items as they come. ``"ordered"``: in the order in which their
            source items entered the outermost fork that the join closes, and for one source
            item in branch order. ``"zip"``: one tuple per source item, one place per branch;
            an item for which some branch gave no output is left out.

    Raises:
        ConstructionError: ``how`` is an element or a function, as in ``Join(Report())``.
        UsageError: ``how`` is none of the three.
    """

    how: JoinHow

    @overload
    def __init__(self: Join[Zipped[Never], Never, Zipping], how: Literal["zip"]) -> None: ...
    @overload
    def __init__(
        self: Join[Joined, Never, Joining], how: Literal["interleave", "ordered"] = ...
    ) -> None: ...
    @overload
    def __init__(self: Join[Any, Any, Any], how: JoinHow) -> None: ...
    def __init__(self, how: JoinHow = "interleave") -> None:
        if how not in get_args(JoinHow):
            if isinstance(how, Element) or callable(how):
                text = f"Join({how!r})"
                hint = "to join into a processor, write: ... & processor"
                fault = Fault("join", "Join takes no element", hint, text, (5, len(text) - 1))
                refuse([fault], caller()[0])
            kinds = ", ".join(map(repr, get_args(JoinHow)))
            raise UsageError(f"Join(how=...) takes one of {kinds}, not {how!r}")
        self._set(how=how)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Join, (self.how,))
