"""How values are pickled: by reference where the other side can find them, else by value.

What lives in ``__main__``, in a notebook or in a closure goes by value, with cloudpickle: workers
do not run the user's script again.
"""

from __future__ import annotations

import copyreg
import io
import linecache
import os
import pickle
import sys
import weakref
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from functools import cached_property, lru_cache, singledispatch, update_wrapper
from multiprocessing.connection import Connection
from types import CodeType, FunctionType, MemberDescriptorType
from typing import Any, NamedTuple, NewType, ParamSpec, cast

import cloudpickle
from cloudpickle import cloudpickle as _cloudpickle

from conveyor.dsl.copies import own_of_copy
from conveyor.dsl.processor import Processor
from conveyor.dsl.wrapped import Wrapped, is_global
from conveyor.log import loaded

PROTOCOL = 5


def dumps(value: Any, shared: Collection[type] | None = None) -> bytes:
    """Pickle a value, by reference where the other side can find it, else by value.

    Args:
        value: what to pickle.
        shared: in the process that starts workers, the classes of its ``__main__`` that they
            have got. Between workers, None: they have all got the same.
    """
    try:
        data = pickle.dumps(value, PROTOCOL)
    except Exception:
        return dumps_by_value(value, shared or ())
    return dumps_by_value(value, shared or ()) if is_for_us(data, shared) else data


def is_for_us(data: bytes, shared: Collection[type] | None) -> bool:
    """Whether what was pickled as ever may have to be pickled, or refused, by our own rules.

    `__main__` of a worker is not the user's, and a connection goes as the bare number of its
    descriptor. Where the words occur in plain data, the second pickling does no harm. In a worker
    there is nothing to look for: classes by value are known there, and see `refuse_connections`.
    """
    return shared is not None and (b"__main__" in data or _CONNECTIONS in data)


_CONNECTIONS = Connection.__module__.encode()


def dumps_by_value(value: Any, shared: Collection[type] = ()) -> bytes:
    """Pickle a value, and by value whatever in it the other side can't find."""
    stream = io.BytesIO()
    try:
        Shipper(stream, shared).dump(value)
    except pickle.PicklingError:
        if not shared:
            raise
        # In a notebook a class may have been defined anew since it was shared.
        return dumps_by_value(value)
    return stream.getvalue()


def loads(data: bytes | bytearray | memoryview) -> Any:
    """Unpickle what :func:`dumps` made."""
    if isinstance(data, memoryview) or b"_class_setstate" not in data:
        return pickle.loads(data)
    return Loader(io.BytesIO(data)).load()


class Loader(pickle.Unpickler):
    """Lets a class that came by value, and is known here, be as it is."""

    def find_class(self, module: str, name: str) -> Any:
        return find_class(super().find_class, module, name)


def find_class(find: Callable[[str, str], Any], module: str, name: str) -> Any:
    """What a pickle means by a name, as ``find`` finds it but for what fills in a class."""
    return _set_class_state if name == "_class_setstate" else find(module, name)


_complete: weakref.WeakSet[type] = weakref.WeakSet()


def _set_class_state(cls: type, state: Any) -> type:
    """Fill in a class that came by value, once: never one that was defined in this process."""
    if not _is_known(cls):
        _cloudpickle._class_setstate(cls, state)
    _complete.add(cls)
    return cls


def _is_known(cls: type) -> bool:
    return cls in _complete or _is_ours(cls)


def _is_ours(cls: type) -> bool:
    found: Any = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is cls or cls in _sent


_sent: weakref.WeakSet[type] = weakref.WeakSet()


def failure(value: Any) -> BaseException | None:
    """Why a value can't be pickled; None if it can."""
    try:
        dumps(value, ())  # by all our rules, wherever this is
    except Exception as error:
        return error
    return None


def used_by(function: FunctionType) -> dict[str, Any]:
    """The globals and the variables around it that go along with a function, by their names."""
    code = function.__code__
    known = function.__globals__
    used = {name: known[name] for name in _cloudpickle._extract_code_globals(code) if name in known}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # nothing has been put into it yet
            used[name] = cell.cell_contents
    return used


# -- by value --


def _is_by_value(reduced: Any) -> bool:
    """Whether a class goes by value, by what it was reduced to.

    Not what is only looked up elsewhere, such as the type of code: static types outlive the
    interpreter's own weak sets.
    """
    return isinstance(reduced, tuple) and reduced[0] in _SKELETONS


_SKELETONS = (_cloudpickle._make_skeleton_class, _cloudpickle._make_skeleton_enum)
"""What cloudpickle builds a class with that goes by value."""


class Shipper(cloudpickle.Pickler):
    """Pickles by value what the other side can't find.

    Args:
        stream: where the bytes go.
        shared: classes that the other side has got.
        buffer_callback: as for any pickler.
        root: the processor that is pickled, if it is one.
        names_ours: whether classes of our ``__main__`` that a worker can be told of go by name.

    Attributes:
        classes: the classes that went by value.
        named: those of ``__main__`` that went by name.
        functions: the functions that did, their methods among them.
    """

    def __init__(
        self,
        stream: Any,
        shared: Collection[type] = (),
        buffer_callback: Callable[[pickle.PickleBuffer], bool] | None = None,
        *,
        root: Processor[Any, Any] | None = None,
        names_ours: bool = False,
    ) -> None:
        super().__init__(stream, PROTOCOL, buffer_callback)
        self._shared = shared
        self._copied = None if root is None else own_of_copy(root)
        self._names_ours = names_ours
        self.classes: list[type] = []
        self.named: list[type] = []
        self.functions: list[FunctionType] = []

    def dump(self, obj: Any) -> None:
        """Pickle a value."""
        try:
            super().dump(obj)
        except BaseException:
            # The traceback keeps this pickler, and the memo the buffers of memoryviews: in a cycle
            # of garbage, such a view crashes the interpreter before Python 3.13.
            self.clear_memo()
            raise

    def reducer_override(self, obj: Any) -> Any:
        if self._copied is not None and obj is self._copied:
            # Of what it is a copy does not matter there, and would be loaded besides.
            return replace(self._copied, origin=None).__reduce__()
        value: Any = obj
        if isinstance(obj, type):
            return self._class(cast("type[Any]", obj))
        if (reduce := _REDUCERS.get(value.__class__)) is not None:
            return reduce(value)
        if isinstance(obj, Wrapped) and _lives_here_only(obj):
            return Processor.__reduce_ex__(value, PROTOCOL)
        if obj is not None and type(obj) is type(loaded()):
            return (_logger, (value._options,))  # each process has its own, with its own sinks
        is_function = isinstance(obj, FunctionType)
        return self._function(obj) if is_function else super().reducer_override(value)

    def _function(self, function: FunctionType) -> Any:
        if function.__code__ is _DISPATCHING:
            return _reduced_dispatch(function)
        result: Any = super().reducer_override(function)
        if result is not NotImplemented:
            self.functions.append(function)
        return result

    def _class(self, cls: type[Any]) -> Any:
        if cls in self._shared:
            return NotImplemented
        if self._names_ours and is_shareable(cls):
            self.named.append(cls)
            return NotImplemented
        result: Any = super().reducer_override(cls)
        if _is_by_value(result):
            _sent.add(cls)
            self.classes.append(cls)
            _, _, (content, _), *_ = result
            content.pop("__slotnames__", None)  # a cache: whether one has ever been pickled
            return (
                _with_attributes(cls, result) if issubclass(cls, Enum) else _with_slots(cls, result)
            )
        return result


_Cached: Any = type(lru_cache(len))


def _reduced_cache(cached: Any) -> Any:
    """A function with a cache, which by itself would be looked for by its name."""
    if not _is_dynamic(cached):
        return NotImplemented
    return _cached, (cached.__wrapped__, cached.cache_parameters())


def _cached(function: Any, parameters: dict[str, Any]) -> Any:
    """What ``functools.lru_cache`` makes of a function; it begins empty."""
    return lru_cache(**parameters)(function)


_DISPATCHING = cast("FunctionType", singledispatch(len)).__code__
"""The code of all functions that ``functools.singledispatch`` makes."""


def _reduced_dispatch(function: Any) -> Any:
    """A function with implementations by type, without the cache of those that were found.

    It is filled in once it is there, since they may call it.
    """
    if not _is_dynamic(function):
        return NotImplemented
    given = {k: v for k, v in function.__dict__.items() if k not in _SET_BY_DISPATCH}
    state = function.__wrapped__, [*function.registry.items()], given
    return _dispatching, (function.__name__,), state, None, None, _set_dispatch_state


_SET_BY_DISPATCH = {*vars(singledispatch(len))}


def _dispatching(name: str) -> Any:
    def default(_item: Any) -> None: ...

    default.__name__ = name  # which is kept for an error
    return singledispatch(default)


def _set_dispatch_state(function: Any, state: Any) -> None:
    wrapped, implementations, given = state
    for cls, implementation in implementations:
        function.register(cls, implementation)
    update_wrapper(function, wrapped).__dict__.update(given)


_CODE_FILE = 10
"""The place of the file's name among the arguments of the type of code."""


def _reduced_code(code: CodeType) -> Any:
    """Code as cloudpickle reduces it, but with its file, which tracebacks name.

    Where that is none on the disk, as in notebooks, what is known of its lines goes along.
    """
    make, arguments = _cloudpickle._code_reduce(code)
    file = code.co_filename
    arguments = (*arguments[:_CODE_FILE], file, *arguments[_CODE_FILE + 1 :])
    if os.path.exists(file) or not (lines := linecache.getlines(file)):  # noqa: PTH110
        return make, arguments
    return _code_with_lines, (arguments, lines)


def _code_with_lines(arguments: tuple[Any, ...], lines: list[str]) -> CodeType:
    file = arguments[_CODE_FILE]
    # From Python 3.13 on, that of `-c` is known already: as what started the fork server.
    linecache.cache[file] = (sum(map(len, lines)), None, lines, file)
    return CodeType(*arguments)


def _with_slots(cls: type, reduced: Any) -> Any:
    """A reduced class, made anew with its slots.

    Cloudpickle makes a class that has none, whose instances the class here can't have back, and
    it fails where they are private.
    """
    make, (*arguments, namespace, tracker, extra), (content, more), *rest = reduced
    if make is not _cloudpickle._make_skeleton_class or "__slots__" not in content:
        return reduced
    if NamedTuple in getattr(cls, "__orig_bases__", ()):
        return reduced  # which gives it its slots itself, and refuses any others
    namespace = namespace | {"__slots__": content["__slots__"]}
    content = {name: value for name, value in content.items() if not _is_of_slots(cls, name, value)}
    return (make, (*arguments, namespace, tracker, extra), (content, more), *rest)


def _is_of_slots(cls: type, name: str, value: Any) -> bool:
    is_member = isinstance(value, MemberDescriptorType) and value.__objclass__ is cls
    return is_member or name == "__slots__"


def _with_attributes(cls: type[Enum], reduced: Any) -> Any:
    """A reduced enum, with what ``__init__`` or ``__new__`` has set in its members.

    Cloudpickle makes the members of their values alone.
    """
    make, arguments, state, *rest = reduced
    attributes = {
        name: given
        for name, member in cls.__members__.items()
        if (given := {k: v for k, v in vars(member).items() if _is_given(k, v)})
    }
    return (make, arguments, (state, attributes), *rest[:-1], _set_enum_state)


_SET_BY_ENUM = {"_value_", "_name_", "_sort_order_", "__objclass__"}


def _is_given(name: str, value: Any) -> bool:
    """Whether an attribute of a member is the user's, and can travel."""
    return name not in _SET_BY_ENUM and failure(value) is None


def _set_enum_state(cls: type[Enum], state: Any) -> None:
    content, attributes = state
    if not _is_known(cls):
        for name, given in attributes.items():
            vars(cls.__members__[name]).update(given)
    _set_class_state(cls, content)


def _reduced_property(cached: Any) -> Any:
    """A property that is computed once, without the lock that it has before Python 3.12."""
    return _cached_property, (cached.func, cached.attrname)


def _cached_property(function: Any, name: str | None) -> Any:
    made = cached_property(function)
    if name is not None:
        made.__set_name__(object, name)
    return made


def _is_of_main(named: Any) -> bool:
    return named.__module__ in ("__main__", *cloudpickle.list_registry_pickle_by_value())


def _reduced_name(named: Any) -> Any:
    """What `typing` makes of a name, which by itself would be looked for by that."""
    if not _is_of_main(named):
        return NotImplemented
    if isinstance(named, NewType):
        return _named, (NewType, named.__name__, named.__module__, named.__supertype__)
    return _named, (ParamSpec, named.__name__, named.__module__)


def _named(make: Any, name: str, module: str, *arguments: Any) -> Any:
    made = make(name, *arguments)
    made.__module__ = module
    return made


def _reduced_view(view: Any) -> Any:
    """A memoryview that can be had again from bytes."""
    if not (view.c_contiguous and len(view.format) == 1):
        return NotImplemented
    return _view, (pickle.PickleBuffer(view), view.format, view.shape)


def _view(buffer: Any, form: Any, shape: tuple[int, ...]) -> Any:
    view: Any = memoryview(buffer).cast("B")
    return view.cast(form, shape) if view else view.cast(form)


def _reduced_file(file: Any) -> Any:
    """A standard stream; cloudpickle would send the text of another file in its place."""
    if file not in (sys.stdout, sys.stderr):
        raise pickle.PicklingError("an open file can't travel")
    return NotImplemented


def refuse_connections() -> None:
    """Let this process, a worker, pickle no connection in the way of multiprocessing."""
    copyreg.pickle(Connection, _reduced_connection)


def _reduced_connection(_connection: Any) -> Any:
    """A connection; in another process its number is that of something else."""
    raise pickle.PicklingError("a connection can't travel")


_REDUCERS: dict[type, Callable[[Any], Any]] = {
    CodeType: _reduced_code,
    _Cached: _reduced_cache,
    cached_property: _reduced_property,
    NewType: _reduced_name,
    ParamSpec: _reduced_name,
    memoryview: _reduced_view,
    io.TextIOWrapper: _reduced_file,
    Connection: _reduced_connection,
}
"""How instances of some types are reduced, where that is not as ever."""


def _logger(options: tuple[Any, ...]) -> Any:
    """The logger of loguru, with what was bound to it."""
    from loguru import logger

    told: Any = logger
    return logger if options == told._options else type(told)(told._core, *options)


def _lives_here_only(wrapped: Any) -> bool:
    """Whether a decorated function can't be found by its name in a worker."""
    return _is_dynamic(wrapped._root)


def _is_dynamic(named: Any) -> bool:
    return _is_of_main(named) or not is_global(named)


def is_shareable(cls: type) -> bool:
    """Whether a worker can find a class by its name, once it has been told."""
    main = sys.modules["__main__"]
    return cls.__module__ == "__main__" and getattr(main, cls.__qualname__, None) is cls
