"""Processors and sources: what users write, and what a function is wrapped in."""

from __future__ import annotations

import copyreg
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import length_hint
from typing import TYPE_CHECKING, Any, Generic, Never, NoReturn, Self, cast, overload

from conveyor.dsl.element import Element, is_element, is_element_class
from conveyor.dsl.options import shown as shown_settings
from conveyor.dsl.rules import Fault, refuse
from conveyor.dsl.site import caller, name_there
from conveyor.dsl.variables import Closed, Fed, In, Out, P, Result
from conveyor.errors import UsageError
from conveyor.graph import Settings

if TYPE_CHECKING:
    from typing import Concatenate, Protocol

    from conveyor.dsl.links import Pipe
    from conveyor.dsl.pipeline import Pipeline
    from conveyor.dsl.variables import E, Given, I, I_contra, Made, O, O_co, Passing, Q

MYPY = False
"""What mypy, and no other, takes for True."""


@dataclass(frozen=True, slots=True)
class Own:
    """What we keep in a processor, in one attribute: all other private names are the user's.

    Attributes:
        settings: what ``options`` set.
        origin: the instance that the user made, of which this is a copy with options.
        has_arguments: whether it was made with any.
    """

    settings: Settings = field(default_factory=Settings)
    origin: Processor[Any, Any] | None = None
    has_arguments: bool = False

    def __deepcopy__(self, memo: object) -> Own:
        """The same, of an instance of its own."""
        return self if self.origin is None else replace(self, origin=None)

    def __reduce__(self) -> str | tuple[Any, ...]:
        """As the name of the most common one: a warm worker loads it for each run."""
        if self is WITH_ARGUMENTS:
            return "WITH_ARGUMENTS"
        return Own, (self.settings, self.origin, self.has_arguments)


WITH_ARGUMENTS = Own(has_arguments=True)

_OWN = "_conveyor"


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
            return object.__new__(FunctionProcessor)  # type: ignore[return-value]
        _refuse_unfinished(cls)
        _compare_by_identity(cls)
        self = object.__new__(cls)
        if args or kwargs:
            object.__setattr__(self, _OWN, WITH_ARGUMENTS)
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
        return _default_label(self) + shown_settings(self._conveyor.settings)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # Its class may not be whole yet where it arrives, and may leave out what we keep in it.
        reduced = super().__reduce_ex__(protocol)
        if isinstance(reduced, str):
            return reduced
        make, arguments, *rest = reduced
        cls, own = type(self), vars(self).get(_OWN)
        if make is _NEW and arguments == (cls,) and cls.__new__ in _OUR_NEWS:
            make = _bare
        if own is not None and not _is_told(own, rest[0] if rest else None):
            make, arguments = _kept, (own, make, arguments)
        return (make, arguments, *rest)


def _bare(cls: type[Processor[Any, Any]]) -> Any:
    """A processor that is to get its attributes yet."""
    _compare_by_identity(cls)
    return object.__new__(cls)


def _kept(own: Own, make: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """A processor made as its class wants it to be, with what we keep in it."""
    processor = make(*arguments)
    object.__setattr__(processor, _OWN, own)
    return processor


def _is_told(own: Own, state: Any) -> bool:
    """Whether what an instance gives as its state has what we keep in it."""
    parts = cast("Iterable[Any]", state) if isinstance(state, tuple) else (state,)
    return any(type(part) is dict and part.get(_OWN) is own for part in parts)


def instance_of(processor: Any) -> Any:
    """The instance that the user made, of which this may be a copy with options."""
    origin = processor._conveyor.origin
    return processor if origin is None else origin


def own_of_copy(processor: Processor[Any, Any]) -> Own | None:
    """What we keep in a copy with options; None of an instance as it was made."""
    own = processor._conveyor
    return None if own.origin is None else own


def with_settings(processor: Any, settings: Settings) -> Any:
    """A copy with other settings, which still stands for the same instance."""
    origin = instance_of(processor)
    return _copied(processor, replace(processor._conveyor, origin=origin, settings=settings))


def another(processor: Any) -> Any:
    """A shallow copy, which is another instance."""
    return _copied(processor, replace(processor._conveyor, origin=None))


def _copied(processor: Any, own: Own, **attributes: object) -> Any:
    state = {**instance_state(processor), **attributes}
    state.pop(_OWN, None)  # it comes last: what is wrong with the user's attributes is told first
    copy: Any = object.__new__(processor.__class__)
    for name, value in {**state, _OWN: own}.items():
        object.__setattr__(copy, name, value)
    return copy


def instance_state(instance: object) -> dict[str, Any]:
    """The attributes of an instance, those in slots included."""
    state = dict(vars(instance))
    for cls in type(instance).__mro__:
        slots = vars(cls).get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            is_private = slot.startswith("__") and not slot.endswith("__")
            name = f"_{cls.__name__.lstrip('_')}{slot}" if is_private else slot
            if name not in ("__dict__", "__weakref__") and hasattr(instance, name):
                state[name] = getattr(instance, name)
    return state


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
            _refuse(f"Feed({inside})", "Feed() hands in what run(items) is given", hint)

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
        _refuse(cls.__name__, f"{cls.__name__} has no {name}()", hint)
    abstract = sorted(getattr(cls, "__abstractmethods__", ()))
    if abstract or getattr(method, "__isabstractmethod__", False):
        hint = f"make an instance of a subclass that defines {', '.join(abstract) or name}"
        _refuse(cls.__name__, f"{cls.__name__} is abstract", hint)
    for called in (name, "finish", "setup", "teardown"):
        if _is_async(getattr(cls, called)):
            hint = f"make it a plain function; asyncio.run(...) inside {called} works"
            message = f"{cls.__name__}.{called} {_ASYNC}"
            _refuse(cls.__name__, message, hint)


def _is_async(function: Any) -> bool:
    inner: Any = _innermost(function)
    if not inspect.isfunction(inner) and not inspect.ismethod(inner):
        call = getattr(inner.__class__, "__call__", None)  # noqa: B004 - whether it is async
        return _is_async_itself(inner) or _is_async_itself(call)
    return _is_async_itself(inner)


def _is_async_itself(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


_ASYNC = "is async: calling it gives no result, but something to await"


def _compare_by_identity(cls: type[Processor[Any, Any]]) -> None:
    """Undo what ``@dataclass`` does to ``==``: two instances are two processors, always.

    A dataclass among the bases that is no processor itself keeps what it has.
    """
    compares = next(base for base in cls.__mro__ if "__eq__" in vars(base))
    params = vars(compares).get("__dataclass_params__")
    if params is not None and params.eq:
        changed = compares if is_element_class(compares) else cls
        type.__setattr__(changed, "__eq__", Element.__eq__)
        type.__setattr__(changed, "__hash__", Element.__hash__)


_ARG = {"process": ", item", "generate": ""}


def _refuse(text: str, message: str, hint: str) -> NoReturn:
    refuse([Fault("element-type", message, hint, text, (0, len(text)))], caller()[0])


# -- functions as elements --


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
        try:
            signature = inspect.signature(self._function)
        except (TypeError, ValueError):
            signature = None
        if signature is not None:
            try:
                signature.bind_partial(**bound)
            except TypeError as error:
                raise UsageError(f"{_name_of(self._function)}.bind(): {error}") from None
        own = replace(self._conveyor, origin=None)
        copy: Self = _copied(self, own, _bound=bound, _decorated=self._root)
        return copy

    @property
    def _root(self) -> Any:
        """The element that this was made from by ``bind`` and ``options``, or this one."""
        return instance_of(self) if self._decorated is None else self._decorated

    @property
    def _callable(self) -> Callable[..., Any]:
        return functools.partial(self._function, **self._bound) if self._bound else self._function

    def _label(self) -> str:
        name = _name_of(self._function)
        text = name if self._is_decorated else f"Processor({name})"
        return f"{text}.bind({_arguments(self._bound)})" if self._bound else text

    def __reduce_ex__(self, protocol: Any) -> Any:
        # A decorated function is what its module calls by its name: it travels by that name.
        if is_global(self):
            return self.__qualname__
        if is_global(self._root):
            return (_revive, (self._root, dict(self._bound), self._conveyor.settings))
        return super().__reduce_ex__(protocol)


def _revive(decorated: Any, bound: Mapping[str, Any], settings: Settings) -> Any:
    copy = with_settings(decorated, settings)
    if not bound:
        return copy
    own = replace(copy._conveyor, origin=None)
    return _copied(copy, own, _bound=bound, _decorated=decorated)


def is_global(wrapped: Any) -> bool:
    """Whether the name of the function, in its module, stands for this very element."""
    found: Any = sys.modules.get(getattr(wrapped, "__module__", None) or "")
    for name in getattr(wrapped, "__qualname__", "").split("."):
        found = getattr(found, name, None)
    return found is wrapped


def _name_of(function: Any) -> str:
    function = _innermost(function)
    name = getattr(function, "__name__", None) or type(function).__name__
    return "lambda" if name == "<lambda>" else str(name)


def _innermost(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _arguments(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


class FunctionProcessor(Wrapped, Processor[In, Out], Generic[In, Out, P, Result]):
    """A processor made of a callable of one argument."""

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result: ...  # noqa: D102

    def __init__(self, function: Callable[..., Any] = _NOTHING, /) -> None:
        if is_element_class(function):
            name = shown(function)
            _refuse(f"Processor({name})", f"{name} is a class, not an instance", f"write {name}()")
        if is_element(function):
            text = f"Processor({function!r})"
            _refuse(text, "this is an element already", f"write {function!r}")
        if not callable(function):
            hint = "give it a function: Processor(function); or write a subclass"
            _refuse(f"Processor({shown(function)})", "Processor(...) wraps a callable", hint)
            return
        if _is_async(function):
            hint = "make it a plain function; asyncio.run(...) inside it works"
            _refuse(
                _name_of(function),
                f"{_name_of(function)} {_ASYNC}",
                hint,
            )
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
            _refuse(f"Source({shown(iterable)})", "Source(...) wraps an iterable", hint)
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


def arguments(processor: Processor[Any, Any]) -> tuple[bool, list[str]]:
    """Whether it can be called with what it will be given, and what it needs besides."""
    is_source = isinstance(processor, Source)
    try:
        call = processor.generate if isinstance(processor, Source) else processor.process
        if isinstance(processor, Wrapped):
            call = processor._callable
        parameters = list(inspect.signature(call).parameters.values())
    except (TypeError, ValueError):  # what is written in C may not say
        return True, []
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    wanted = positional[0 if is_source else 1 :]
    wanted += [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    takes = is_source or bool(positional) or any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return takes, [p.name for p in wanted if p.default is p.empty]


def shown(value: object) -> str:
    """A foreign value in an error: short, and never failing."""
    if callable(value) and hasattr(value, "__name__"):
        return name_there(value)
    from reprlib import repr as short_repr

    return short_repr(value).replace("\n", " ")


def label(processor: Processor[Any, Any]) -> str:
    """How a processor is written, without its options."""
    if type(processor).__repr__ is not Processor.__repr__:
        return repr(processor)
    return _default_label(processor)


def _default_label(processor: Processor[Any, Any]) -> str:
    if isinstance(processor, Wrapped):
        return processor._label()
    if isinstance(processor, IterableSource):
        return f"Source({shown(processor._iterable)})"
    return f"{type(processor).__name__}({'...' if processor._conveyor.has_arguments else ''})"


def node_name(processor: Processor[Any, Any]) -> str:
    """The readable part of a node's id: ``"model_a"`` for a ``ModelA``."""
    if (name := processor._conveyor.settings.name) is not None:
        return name
    if isinstance(processor, Wrapped):
        name = _name_of(processor._function)
        return name if hasattr(_innermost(processor._function), "__name__") else snake(name)
    if isinstance(processor, IterableSource):
        return "source"
    return snake(type(processor).__name__)


def snake(name: str) -> str:
    """``ModelA`` as ``model_a``, ``HTTPServer`` as ``http_server``."""
    out = ""
    for i, char in enumerate(name):
        before, after = name[i - 1 : i], name[i + 1 : i + 2]
        starts_word = before.islower() or before.isdigit() or (before.isupper() and after.islower())
        out += ("_" if char.isupper() and starts_word else "") + char.lower()
    return out


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
        _refuse(
            f"@source {shown(function)}",
            "@source decorates a function",
            "write: def items(): yield ...",
        )
    if _is_async(function):
        _refuse(
            _name_of(function),
            f"{_name_of(function)} {_ASYNC}",
            "make it a plain function; asyncio.run(...) inside it works",
        )
    return FunctionSource(function)


def generated(iterable: object, where: str) -> Iterator[Any]:
    """An iterator over what ``generate`` gave.

    Raises:
        TypeError: it gave no iterable.
    """
    try:
        return iter(iterable)  # type: ignore[call-overload, no-any-return]
    except TypeError:
        raise TypeError(f"{where} gave {type(iterable).__name__}, which is not iterable") from None
