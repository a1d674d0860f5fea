"""The rule ``types``: what a processor takes must accept what it is given.

Only what surely can't fit is refused. Where something is not annotated, or the question can't
be answered, the rule is silent: a type checker says more.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from inspect import isabstract, ismethod
from numbers import Complex
from typing import (
    Annotated,
    Any,
    Literal,
    Never,
    NewType,
    NoReturn,
    TypeVar,
    Union,
    Unpack,
    get_args,
    get_origin,
    is_typeddict,
)

from conveyor.dsl.calls import called
from conveyor.dsl.functions import body_of, decorates_generator, innermost, is_generator
from conveyor.dsl.processor import Feed, Processor, Source
from conveyor.dsl.wrapped import FunctionProcessor, IterableSource

Hint = Any
Types = tuple[Hint, ...]
"""What may come through a pipe: a union, as the list of its members."""

UNKNOWN: Types = (Any,)


def names(hints: Types) -> str:
    """Types as a message tells them."""
    return " | ".join(
        hint.__name__
        if isinstance(hint, type) and not get_args(hint)
        else str(hint).replace("typing.", "")
        for hint in hints
    )


def zipped(places: Sequence[Types]) -> Types:
    """The tuple that a zip makes, from what may be in each of its places."""
    return (tuple[tuple(map(_union, places))],)  # type: ignore[misc]


def _union(hints: Types) -> Hint:
    return Union[hints] if all(_is_hint(hint) for hint in hints) else Any  # noqa: UP007


def _is_hint(hint: object) -> bool:
    try:
        return Union[hint, None] is not None  # noqa: UP007
    except TypeError:
        return False


# -- what a processor takes and gives --


def taken_by(processor: Processor[Any, Any]) -> Types:
    """What a processor takes, from its generic arguments or its annotations."""
    try:
        hint, _ = _generic(processor)
        if hint is None and not isinstance(processor, IterableSource):
            call = called(processor)
            hint = _annotation(call, _item(call))
        return UNKNOWN if hint is None or hint is Any else _members(hint)
    except Exception:  # noqa: BLE001 - hints are the user's, and may be anything
        return UNKNOWN


def given_by(processor: Processor[Any, Any]) -> Types:
    """What a processor gives, from its generic arguments or its annotations."""
    if isinstance(processor, Feed):
        return taken_by(processor)
    try:
        _, hint = _generic(processor)
        if hint is None and not isinstance(processor, IterableSource):
            call = called(processor)
            result = _annotation(call, "return")
            hint = _emitted(call, result, is_source=isinstance(processor, Source))
        return UNKNOWN if hint is None or hint is Any else _members(hint)
    except Exception:  # noqa: BLE001 - hints are the user's, and may be anything
        return UNKNOWN


def _is_processor_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Processor)


def _generic(processor: Processor[Any, Any]) -> tuple[Hint | None, Hint | None]:
    """The arguments of ``Processor[In, Out]``, ``Source[Out]`` or ``Feed[T]``, where given."""
    found = getattr(processor, "__orig_class__", None)
    if found is None and type(processor) is FunctionProcessor:
        return None, None
    bound = _base_arguments(found) if found is not None else None
    if bound is None:
        bound = _walk_bases(type(processor), {})
    if bound is None:
        return None, None
    takes, gives = (None if isinstance(hint, TypeVar) else hint for hint in bound)
    return takes, gives


def _base_arguments(alias: Hint) -> tuple[Hint, Hint] | None:
    origin, arguments = _origin(alias), get_args(alias)
    if not _is_processor_class(origin):
        return None
    if origin is Processor or origin is FunctionProcessor:
        return arguments[0], arguments[1]
    if Source in origin.__mro__ and len(arguments) == 1 and origin.__module__ == Source.__module__:
        return Any, arguments[0]
    if len(arguments) == 1 and origin.__module__ == Processor.__module__:
        return arguments[0], arguments[0]
    return _walk_bases(origin, _known(getattr(origin, "__parameters__", ()), arguments))


def _walk_bases(cls: type, known: Mapping[Any, Hint]) -> tuple[Hint, Hint] | None:
    for base in getattr(cls, "__orig_bases__", ()) if "__orig_bases__" in vars(cls) else ():
        origin = _origin(base)
        if _is_processor_class(origin):
            arguments = tuple(_substituted(hint, known) for hint in get_args(base))
            found = _base_arguments(origin[arguments])
            if found is not None:
                return found
    for parent in cls.__bases__:
        if _is_processor_class(parent) and parent.__module__ != Processor.__module__:
            found = _walk_bases(parent, {})
            if found is not None:
                return found
    return None


def _known(parameters: Sequence[Hint], arguments: Sequence[Hint]) -> Mapping[Any, Hint]:
    """What stands for each parameter of a class; nothing is, where one takes any number."""
    if not all(isinstance(parameter, TypeVar) for parameter in parameters):
        return {}
    return dict(zip(parameters, arguments, strict=False))


def _substituted(hint: Hint, known: Mapping[Any, Hint]) -> Hint:
    """``list[T]`` as ``list[int]``, where it is known what ``T`` is."""
    if isinstance(hint, TypeVar):
        return known.get(hint, hint)
    parameters = getattr(hint, "__parameters__", ()) if get_args(hint) else ()
    if not any(parameter in known for parameter in parameters):
        return hint
    if not all(isinstance(parameter, TypeVar) for parameter in parameters):
        return Any
    return hint[tuple(known.get(parameter, parameter) for parameter in parameters)]


def _annotation(call: Callable[..., Any], name: str) -> Hint | None:
    """One annotation, resolved by itself: another may name what is not there yet."""
    function = body_of(call)
    annotation: Hint = None if isinstance(function, type) else _of(function).get(name)
    if annotation is None or type(annotation) is type:
        return annotation
    only = types.SimpleNamespace(
        __annotations__={name: annotation},
        __type_params__=getattr(function, "__type_params__", ()),
        __wrapped__=function,  # it is resolved where this is written
    )
    return typing.get_type_hints(only, include_extras=True)[name]


def _of(function: Any) -> Mapping[str, Hint]:
    return getattr(function, "__annotations__", None) or {}


def _item(call: Callable[..., Any]) -> str:
    """The name of the parameter that takes the item."""
    if call is not innermost(call):
        parameters = inspect.signature(call, follow_wrapped=False).parameters.values()
        return next((p.name for p in parameters if p.kind in _POSITIONAL), "")
    function = body_of(call)
    code = getattr(function, "__code__", None)
    names = code.co_varnames[: code.co_argcount] if code is not None else ()
    return next(iter(names[1 if ismethod(function) else 0 :]), "")


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _emitted(method: Callable[..., Any], result: Hint | None, *, is_source: bool) -> Hint | None:
    """What goes downstream, from what the method returns: None is no output."""
    if result is None or decorates_generator(method):
        return None
    if is_generator(method) or is_source:
        return _items_of(result)
    members = [hint for hint in _members(result) if hint is not type(None)]
    return Union[tuple(members)] if members else None  # noqa: UP007


def _items_of(iterable: Hint) -> Hint | None:
    """What comes out of an iterable, where its arguments say so."""
    origin, arguments = _origin(iterable), get_args(iterable)
    if origin is Annotated:
        return _items_of(arguments[0])
    if not arguments or getattr(origin, "__module__", "") not in _CONTAINERS:
        return None
    if origin is tuple:
        return Union[tuple(hint for hint in arguments if hint is not Ellipsis)]  # noqa: UP007
    return arguments[0]


_CONTAINERS = ("builtins", "collections", "collections.abc")
"""The modules of the classes whose arguments say what is in them, in an order that is known."""


# -- whether it fits --


def _members(hint: Hint) -> Types:  # noqa: PLR0911 - one line for each kind of hint
    if type(hint) is type:  # most are
        return (hint,)
    if hint is None:
        return (type(None),)
    alias: Any = getattr(typing, "TypeAliasType", None)  # from Python 3.12 on
    if alias is not None and isinstance(hint, alias):
        return _members(hint.__value__)
    is_unknown = isinstance(hint, (TypeVar, str, typing.ForwardRef, typing.ParamSpec))
    if is_unknown or hint is Never or hint is NoReturn:
        return UNKNOWN
    origin: Any = get_origin(hint)
    if origin is Annotated:
        return _members(get_args(hint)[0])
    if origin in (Union, types.UnionType):
        return tuple(member for part in get_args(hint) for member in _members(part))
    if origin is Literal:
        return tuple(Literal[value] for value in get_args(hint))
    if isinstance(hint, NewType):
        return _members(hint.__supertype__)
    if is_typeddict(hint):
        return (dict,)
    return (hint,)


def fits(given: Types, takes: Types) -> bool:
    """Whether anything that may be given might be taken."""
    try:
        return any(_may_fit(out, into) for out in given for into in takes)
    except Exception:  # noqa: BLE001 - what can't be compared is no reason to refuse
        return True


_ALIKE: Collection[tuple[type, ...]] = ((Complex,), (bytes, bytearray, memoryview))
"""What is often annotated as one another: a ``-> float`` may well give ints, or numpy's."""


def _may_fit(given: Hint, takes: Hint) -> bool:
    is_any = any(hint in (Any, object) for hint in (given, takes) if _hashable(hint))
    if given is takes or is_any or _is_file(given, takes) or _is_file(takes, given):
        return True
    if _origin(given) is _origin(takes) is Literal:
        return bool(get_args(given)[0] == get_args(takes)[0])
    given, takes = _without_value(given), _without_value(takes)
    if (
        isinstance(given, type)
        and isinstance(takes, type)
        and not (get_args(given) or get_args(takes))
    ):
        if _is_protocol(given) or _is_protocol(takes):
            return True
        try:
            return issubclass(given, takes) or issubclass(takes, given) or _are_alike(given, takes)
        except TypeError:
            return True
    return _is_subhint(given, takes) or _is_subhint(takes, given) or _parts_may_fit(given, takes)


def _without_value(hint: Hint) -> Hint:
    """``Literal["a"]`` as ``str``."""
    return get_args(hint)[0].__class__ if _origin(hint) is Literal else hint


def _are_alike(one: type, other: type) -> bool:
    """Whether something may be both, though neither is a subclass of the other."""
    if any(issubclass(one, kinds) and issubclass(other, kinds) for kinds in _ALIKE):
        return True
    if any(_is_numpy(x) and issubclass(y, Complex) for x, y in ((one, other), (other, one))):
        return True
    return (isabstract(one) and isabstract(other)) or _have_heirs_in_common(one, other)


def _is_numpy(cls: type) -> bool:
    """Whether a class is one of numpy's scalars, which its arithmetic takes for Python's numbers.

    Numpy itself need not be there.
    """
    return any((base.__module__, base.__name__) == ("numpy", "generic") for base in cls.__mro__)


def _have_heirs_in_common(one: type, other: type) -> bool:
    heirs: list[type] = type.__subclasses__(one)
    return any(issubclass(heir, other) or _have_heirs_in_common(heir, other) for heir in heirs)


_FILES = (typing.IO, typing.TextIO, typing.BinaryIO)


def _is_file(hint: Hint, other: Hint) -> bool:
    """Whether a hint is typing's word for files, and the other may be the class of one.

    Nothing says which classes are: those of `io` do not inherit from it.
    """
    cls = _origin(other) or other
    return (
        (_origin(hint) or hint) in _FILES
        and isinstance(cls, type)
        and cls not in _FILES
        and cls.__module__ != "builtins"
    )


def _origin(hint: Hint) -> Any:
    return get_origin(hint)


def _hashable(hint: object) -> bool:
    return getattr(type(hint), "__hash__", None) is not None


def _is_protocol(hint: type) -> bool:
    return bool(getattr(hint, "_is_protocol", False))


def _is_subhint(one: Hint, other: Hint) -> bool:
    """Whether one hint is a subtype of the other; also where nobody can say."""
    from beartype.door import is_subhint

    try:
        return is_subhint(one, other)
    except Exception:  # noqa: BLE001 - what the library does not know is no reason to refuse
        return True


def _parts_may_fit(given: Hint, takes: Hint) -> bool:  # noqa: PLR0911 - the answer is soon known
    """``dict[str, int]`` for ``Mapping[str, float]``: the same container, parts that may fit."""
    origins: list[Any] = [_origin(hint) or hint for hint in (given, takes)]
    if not all(isinstance(origin, type) and not _is_protocol(origin) for origin in origins):
        return True
    if not (issubclass(origins[0], origins[1]) or issubclass(origins[1], origins[0])):
        return isabstract(origins[0]) and isabstract(origins[1])
    is_same = origins[0] is origins[1]
    if not is_same and any(origin.__module__ not in _CONTAINERS for origin in origins):
        return True
    one, other = get_args(given), get_args(takes)
    if not (one and other) or any(map(_is_unpacked, (*one, *other))):
        return True
    if tuple in origins:
        one, other = _places(origins[0], one), _places(origins[1], other)
        one, other = _as_long(one, other), _as_long(other, one)
    elif Ellipsis in (*one, *other):
        return True
    if len(one) != len(other):
        return not is_same
    return all(fits(_members(a), _members(b)) for a, b in zip(one, other, strict=True))


def _is_unpacked(hint: Hint) -> bool:
    """Whether a hint stands for any number of others: ``*Ts``, ``*tuple[int, ...]``."""
    return _origin(hint) is Unpack or getattr(hint, "__unpacked__", False) is True


def _places(origin: Any, arguments: tuple[Hint, ...]) -> tuple[Hint, ...]:
    """What is in a container that may be a tuple: in a ``Sequence[int]``, any number of ints."""
    return arguments if origin is tuple else (*arguments, Ellipsis)


def _as_long(places: tuple[Hint, ...], other: tuple[Hint, ...]) -> tuple[Hint, ...]:
    """The places of a tuple; of ``tuple[int, ...]`` as many as the other has."""
    if Ellipsis not in places:
        return places
    return places[:1] * (1 if Ellipsis in other else len(other))
