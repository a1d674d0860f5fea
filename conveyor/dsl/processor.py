"""Processors and sources: what users write."""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, Never, Self, overload

from conveyor.dsl.copies import OWN, WITH_ARGUMENTS, Own, is_told, kept
from conveyor.dsl.element import Element, is_element_class
from conveyor.dsl.functions import ASYNC, is_async, is_generator, shown
from conveyor.dsl.options import shown as shown_settings
from conveyor.dsl.rules import refuse_element
from conveyor.dsl.variables import Closed, Fed, In, Out

if TYPE_CHECKING:
    from conveyor.dsl.links import Pipe
    from conveyor.dsl.pipeline import Pipeline
    from conveyor.dsl.variables import E, Given, I, Made, O, Passing

MYPY = False
"""What mypy, and no other, takes for True."""


class Processor(Element[In, Out, Closed]):
    """Takes an item, transforms it, optionally returns an output; may hold state.

    Each runs in its own Python process. Write a class::

        class Clean(Processor[str, list[str]]):
            def process(self, text):
                return text.split()

    or wrap a callable of one argument: ``Processor(str.split)``.

    ``process`` returns the one output, or None for no output. Where it is a generator
    function, it emits what it yields. ``__init__`` runs in the caller's process and need not
    call ``super().__init__()``.

    Raises:
        ConstructionError: the class has no ``process``, or what is wrapped can't be called.
    """

    _conveyor: Own = Own()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: D102
        if cls is Processor:
            from conveyor.dsl.wrapped import FunctionProcessor

            return object.__new__(FunctionProcessor)  # type: ignore[return-value]
        _refuse_unfinished(cls)
        _compare_by_identity(cls)
        self = object.__new__(cls)
        if args or kwargs:
            object.__setattr__(self, OWN, WITH_ARGUMENTS)
        return self

    @overload
    def __init__(self, /) -> None: ...

    if not MYPY:  # in such a union pyright takes the argument of a lambda for Any

        @overload
        def __init__(
            self: Processor[Given, Made],
            function: Callable[[Any], Iterator[Made]] | Callable[[Given], Iterator[Made]],
            /,
        ) -> None: ...
        @overload
        def __init__(
            self: Processor[Given, Made],
            function: Callable[[Any], Made | None] | Callable[[Given], Made | None],
            /,
        ) -> None: ...

    @overload
    def __init__(self, function: Callable[[In], Iterator[Out]], /) -> None: ...
    @overload
    def __init__(self, function: Callable[[In], Out | None], /) -> None: ...
    def __init__(self, function: Callable[..., Any] | None = None, /) -> None:
        pass

    def setup(self) -> None:
        """Called in the worker, before the first item: load the model here."""

    def process(self, item: In, /) -> Out | Iterator[Out] | None:
        """Turn one item into one output, or None for no output; or yield any number."""
        raise NotImplementedError

    def finish(self) -> Out | Iterator[Out] | None:
        """Called at the end of the stream; what it returns or yields goes downstream."""

    def teardown(self) -> None:
        """Called in the worker at its end, always, also after an error."""

    def __repr__(self) -> str:
        from conveyor.dsl.names import default_label

        return default_label(self) + shown_settings(self._conveyor.settings)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # Its class may not be whole yet where it arrives, and may leave out what we keep in it.
        reduced = super().__reduce_ex__(protocol)
        if isinstance(reduced, str):
            return reduced
        make, arguments, *rest = reduced
        cls, own = type(self), vars(self).get(OWN)
        if make is _NEW and arguments == (cls,) and cls.__new__ in _OUR_NEWS:
            make = _bare
        if own is not None and not is_told(own, rest[0] if rest else None):
            make, arguments = kept, (own, make, arguments)
        return (make, arguments, *rest)


def _bare(cls: type[Processor[Any, Any]]) -> Any:
    """A processor that is to get its attributes yet."""
    _compare_by_identity(cls)
    return object.__new__(cls)


class Source(Processor[Never, Out], Generic[Out]):
    """A processor that starts a pipeline by itself: it produces items and takes none.

    Write a class with ``generate`` in place of ``process``, or wrap an iterable:
    ``Source(range(10))``. The iterable travels to the worker, so it must be picklable: for a
    generator or an open file write ``Feed()`` and hand it to ``run(items)``.

    Raises:
        ConstructionError: the class has no ``generate``, or what is wrapped is not iterable.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: D102
        if cls is Source:
            from conveyor.dsl.wrapped import IterableSource

            return object.__new__(IterableSource)  # type: ignore[return-value]
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, iterable: Iterable[Out] | None = None, /) -> None:
        pass

    if TYPE_CHECKING:  # the rule `source-first`: it is no branch of a fork

        def __mul__(self, other: Never) -> Never: ...  # type: ignore[override]
        def __rmul__(self, other: Never) -> Never: ...  # type: ignore[override]
        def __mod__(self, other: Never) -> Never: ...  # type: ignore[override]
        def __rmod__(self, other: Never) -> Never: ...  # type: ignore[override]

    def generate(self) -> Iterable[Out]:
        """The items of the stream: any iterable, endless ones included."""
        raise NotImplementedError


_NEW: Any = copyreg.__newobj__  # type: ignore[attr-defined]
"""What makes an instance as it is loaded, by the ``__new__`` of its class."""

_OUR_NEWS: tuple[Any, ...] = (Processor.__new__, Source.__new__)


class Feed(Processor[Fed, Fed]):
    """Hands in what ``run(items)`` is given; it lives in the calling process.

    For pipelines whose first real work is a fork: ``Feed() >> Work() % 4``.

    Raises:
        ConstructionError: it is given items.
    """

    def __init__(self, *items: Never) -> None:
        if items:
            inside = ", ".join(map(shown, items))
            hint = "write (Feed() >> ...).run(items), or start with Source(items)"
            refuse_element(f"Feed({inside})", "Feed() hands in what run(items) is given", hint)

    if TYPE_CHECKING:  # Feed() gives whatever the element takes that it leads into

        @overload  # type: ignore[override]
        def __rshift__(self: Feed[Never], other: Pipe[Any]) -> Pipeline[Any, Any, Passing]: ...
        @overload
        def __rshift__(self, other: Pipe[Any]) -> Pipeline[Fed, Fed, Any]: ...
        @overload
        def __rshift__(self: Feed[Never], other: Element[I, O, E]) -> Pipeline[I, O, E]: ...
        @overload
        def __rshift__(self, other: Element[Fed, O, E]) -> Pipeline[Fed, O, E]: ...
        def __rshift__(  # pyright: ignore[reportIncompatibleMethodOverride]
            self, other: object
        ) -> Any: ...

    def process(self, item: Fed, /) -> Fed:
        """Give the item itself."""
        return item


def _refuse_unfinished(cls: type[Processor[Any, Any]]) -> None:
    """Refuse a class that can't do its work, before anything is built of it."""
    base, name = (Source, "generate") if issubclass(cls, Source) else (Processor, "process")
    method = getattr(cls, name)
    hint = f"define: def {name}(self{_ARG[name]}): ..."
    if method is getattr(base, name):
        refuse_element(cls.__name__, f"{cls.__name__} has no {name}()", hint)
    abstract = sorted(getattr(cls, "__abstractmethods__", ()))
    if abstract or getattr(method, "__isabstractmethod__", False):
        hint = f"make an instance of a subclass that defines {', '.join(abstract) or name}"
        refuse_element(cls.__name__, f"{cls.__name__} is abstract", hint)
    for called in (name, "finish", "setup", "teardown"):
        if is_async(getattr(cls, called)):
            hint = f"make it a plain function; asyncio.run(...) inside {called} works"
            message = f"{cls.__name__}.{called} {ASYNC}"
            refuse_element(cls.__name__, message, hint)
    for called in ("setup", "teardown"):
        if is_generator(getattr(cls, called)):
            hint = (
                "make it a plain function: what setup makes, keep in self, and teardown clears up"
            )
            message = f"{cls.__name__}.{called} yields, and so would never run"
            refuse_element(cls.__name__, message, hint)


def _compare_by_identity(cls: type[Processor[Any, Any]]) -> None:
    """Undo what ``@dataclass`` does to ``==``: two instances are two processors, always.

    A dataclass among the bases that is no processor itself keeps what it has.
    """
    if cls.__eq__ is Element.__eq__:
        return
    compares = next(base for base in cls.__mro__ if "__eq__" in vars(base))
    params = vars(compares).get("__dataclass_params__")
    if params is not None and params.eq:
        changed = compares if is_element_class(compares) else cls
        type.__setattr__(changed, "__eq__", Element.__eq__)
        type.__setattr__(changed, "__hash__", Element.__hash__)


_ARG = {"process": ", item", "generate": ""}


def generated(iterable: object, where: str) -> Iterator[Any]:
    """An iterator over what ``generate`` gave.

    Raises:
        TypeError: it gave no iterable.
    """
    try:
        return iter(iterable)  # type: ignore[call-overload, no-any-return]
    except TypeError:
        raise TypeError(f"{where} gave {type(iterable).__name__}, which is not iterable") from None
