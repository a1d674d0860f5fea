"""Functions and iterables as elements."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from operator import length_hint
from typing import TYPE_CHECKING, Any, Generic, Self, overload

from conveyor.dsl.copies import Own, copied, instance_of, with_settings
from conveyor.dsl.element import is_element, is_element_class
from conveyor.dsl.functions import ASYNC, innermost, is_async, name_of, shown
from conveyor.dsl.processor import Processor, Source
from conveyor.dsl.rules import refuse_element
from conveyor.dsl.variables import In, Out, P, Result
from conveyor.errors import UsageError
from conveyor.graph import Settings

if TYPE_CHECKING:
    from typing import Concatenate, Protocol

    from conveyor.dsl.variables import I, I_contra, O, O_co, Q


class _Nothing:
    """Stands for an argument that was not given."""

    def __repr__(self) -> str:
        return ""


_NOTHING: Any = _Nothing()


class Wrapped:
    """What processors and sources made of a function share: calling, binding, pickling."""

    if TYPE_CHECKING:  # of the processor that this is a part of
        __qualname__: str
        _conveyor: Own

    _function: Callable[..., Any]
    _bound: Mapping[str, Any]
    _decorated: Any = None
    """The decorated name that this was made from by ``bind`` or ``options``, if any."""
    _is_decorated = False
    """Whether the function's name stands for the element, rather than for the bare function."""

    def _wrap(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._bound = {}
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, as if it had not been decorated."""
        return self._function(*args, **{**self._bound, **kwargs})

    def bind(self, **kwargs: Any) -> Self:
        """This element with keyword arguments fixed, for the call and for the pipeline.

        Raises:
            UsageError: the function takes no such argument.
        """
        bound = {**self._bound, **kwargs}
        if (error := _unbindable(self._function, bound)) is not None:
            raise UsageError(f"{name_of(self._function)}.bind(): {error}")
        own = replace(self._conveyor, origin=None)
        copy: Self = copied(self, own, _bound=bound, _decorated=self._root)
        return copy

    @property
    def _root(self) -> Any:
        """The element that this was made from by ``bind`` and ``options``, or this one."""
        return instance_of(self) if self._decorated is None else self._decorated

    @property
    def _callable(self) -> Callable[..., Any]:
        return functools.partial(self._function, **self._bound) if self._bound else self._function

    def _label(self) -> str:
        name = name_of(self._function)
        text = name if self._is_decorated else f"Processor({name})"
        return f"{text}.bind({_arguments(self._bound)})" if self._bound else text

    def __reduce_ex__(self, protocol: Any) -> Any:
        # A decorated function is what its module calls by its name: it travels by that name.
        if is_global(self):
            return self.__qualname__
        if is_global(self._root):
            return (_revive, (self._root, dict(self._bound), self._conveyor.settings))
        return super().__reduce_ex__(protocol)


def unbindable(wrapped: Wrapped, names: Iterable[str]) -> TypeError | None:
    """Why ``bind`` would refuse arguments of these names; None where it would not."""
    return _unbindable(wrapped._function, {**wrapped._bound, **dict.fromkeys(names)})


def _unbindable(function: Callable[..., Any], bound: Mapping[str, Any]) -> TypeError | None:
    """Why a function can't be called with these; None where it can, or nobody can say.

    What a decorated one takes by ``**kwargs`` it hands on, so the function in it must take that.
    """
    try:
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind_partial(**bound)
    except TypeError as error:
        return error
    if alone := _by_place_alone(signature, bound):  # which Python 3.13 does not see
        return TypeError(f"{alone!r} is given by its place alone")
    wrapped = getattr(innermost(function), "__wrapped__", None)
    handed_on = {name: bound[name] for name in bound if name not in signature.parameters}
    return _unbindable(wrapped, handed_on) if wrapped is not None and handed_on else None


def _by_place_alone(signature: inspect.Signature, names: Iterable[str]) -> str | None:
    """The first of the names that is one of a parameter which can't be given by its name."""
    kinds = {name: parameter.kind for name, parameter in signature.parameters.items()}
    if inspect.Parameter.VAR_KEYWORD in kinds.values():
        return None  # there it is another one of that name
    alone = inspect.Parameter.POSITIONAL_ONLY
    return next((name for name in names if kinds.get(name) is alone), None)


def _revive(decorated: Any, bound: Mapping[str, Any], settings: Settings) -> Any:
    copy = with_settings(decorated, settings)
    if not bound:
        return copy
    own = replace(copy._conveyor, origin=None)
    return copied(copy, own, _bound=bound, _decorated=decorated)


def is_global(wrapped: Any) -> bool:
    """Whether the name of the function, in its module, stands for this very element."""
    found: Any = sys.modules.get(getattr(wrapped, "__module__", None) or "")
    for name in getattr(wrapped, "__qualname__", "").split("."):
        found = getattr(found, name, None)
    return found is wrapped


def _refuse_async(function: Callable[..., Any]) -> None:
    if is_async(function):
        name, hint = name_of(function), "make it a plain function; asyncio.run(...) inside it works"
        refuse_element(name, f"{name} {ASYNC}", hint)


def _arguments(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


class FunctionProcessor(Wrapped, Processor[In, Out], Generic[In, Out, P, Result]):
    """A processor made of a callable of one argument."""

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result: ...  # noqa: D102

    def __init__(self, function: Callable[..., Any] = _NOTHING, /) -> None:
        if is_element_class(function):
            name = shown(function)
            refuse_element(
                f"Processor({name})", f"{name} is a class, not an instance", f"write {name}()"
            )
        if is_element(function):
            text = f"Processor({function!r})"
            refuse_element(text, "this is an element already", f"write {function!r}")
        if not callable(function):
            hint = "give it a function: Processor(function); or write a subclass"
            refuse_element(f"Processor({shown(function)})", "Processor(...) wraps a callable", hint)
            return
        _refuse_async(function)
        self._wrap(function)

    @property
    def process(self) -> Callable[[In], Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The function itself, so that wrapping costs nothing per item."""
        return self._callable


class IterableSource(Source[Out]):
    """A source made of an iterable."""

    def __init__(self, iterable: Iterable[Out] = _NOTHING, /) -> None:
        if not isinstance(iterable, Iterable) and not hasattr(type(iterable), "__getitem__"):
            hint = "give it an iterable: Source(items); or write a subclass"
            if callable(iterable):
                hint = "to make a source of a function that yields, decorate it with @source"
            refuse_element(f"Source({shown(iterable)})", "Source(...) wraps an iterable", hint)
        self._iterable = iterable

    def generate(self) -> Iterable[Out]:
        """The iterable."""
        return self._iterable

    def __length_hint__(self) -> int:
        hint = length_hint(self._iterable, -1)
        return hint if hint >= 0 else NotImplemented


class FunctionSource(Wrapped, Source[Out], Generic[Out, P, Result]):
    """A source made of a function without arguments that yields or returns an iterable."""

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result: ...  # noqa: D102

    _is_decorated = True

    def __init__(self, function: Callable[..., Iterable[Out]], /) -> None:
        self._wrap(function)

    def generate(self) -> Iterable[Out]:
        """What the function yields."""
        result: Iterable[Out] = self._callable()
        return result


def is_method(wrapped: Wrapped) -> bool:
    """Whether a function was decorated that is a method of a class, and has no instance."""
    parameters = getattr(getattr(wrapped._function, "__code__", None), "co_varnames", ())
    return parameters[:1] == ("self",)


if TYPE_CHECKING:

    class _Emits(Protocol[I_contra, O_co, Q, P, Result]):
        """A generator function of an item and perhaps more; and its own signature."""

        @overload
        def __call__(
            self, item: I_contra, /, *args: Q.args, **kwargs: Q.kwargs
        ) -> Iterator[O_co]: ...
        @overload
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result: ...

    class _Gives(  # pyright: ignore[reportInvalidTypeVarUse]
        Protocol[I_contra, O_co, Q, P, Result]
    ):
        """A function of an item and perhaps more; and its own signature."""

        @overload
        def __call__(self, item: I_contra, /, *args: Q.args, **kwargs: Q.kwargs) -> O_co | None: ...
        @overload
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result: ...

    class _Makes(Protocol[O_co, Q, P, Result]):
        """A function that gives an iterable; and its own signature."""

        @overload
        def __call__(self, *args: Q.args, **kwargs: Q.kwargs) -> Iterable[O_co]: ...
        @overload
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result: ...


@overload
def processor(function: _Emits[I, O, Q, P, Result], /) -> FunctionProcessor[I, O, P, Result]: ...
@overload
def processor(function: _Gives[I, O, Q, P, Result], /) -> FunctionProcessor[I, O, P, Result]: ...
@overload  # a function without annotations
def processor(
    function: Callable[Concatenate[Any, P], Any], /
) -> FunctionProcessor[Any, Any, Concatenate[Any, P], Any]: ...
def processor(function: Callable[..., Any], /) -> Any:
    """Turn a function of one argument into an element in place.

    The function stays callable as before, and ``function.bind(lang="en")`` fixes keyword
    arguments, for the call and for the pipeline::

        @processor
        def shout(text: str) -> str:
            return text.upper()


        shout("a")  # "A"
        (Load() >> shout).run()

    Raises:
        ConstructionError: ``function`` can't be called, or is async.
    """
    element: Any = FunctionProcessor(function)
    element._is_decorated = True
    return element


@overload
def source(function: _Makes[O, Q, P, Result], /) -> FunctionSource[O, P, Result]: ...
@overload  # a function without annotations
def source(function: Callable[P, Iterable[Any]], /) -> FunctionSource[Any, P, Any]: ...
def source(function: Callable[..., Any], /) -> Any:
    """Turn a function that yields, or returns an iterable, into a source in place.

    It stays callable, and has ``bind`` like a function under :func:`processor`::

        @source
        def numbers(n: int = 10):
            yield from range(n)


        (numbers.bind(n=3) >> Square()).run()

    Raises:
        ConstructionError: ``function`` can't be called, or is async.
    """
    if not callable(function) or isinstance(function, type):
        refuse_element(
            f"@source {shown(function)}",
            "@source decorates a function",
            "write: def items(): yield ...",
        )
    _refuse_async(function)
    return FunctionSource(function)
