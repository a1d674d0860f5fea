"""Loads items with care, where some can't be loaded or one has killed a worker: tells which.

A batch is one pickle, so nothing tells from outside which of its items is being loaded. This is
read once before, without doing what it says: what is on the stack of the unpickler for good is an
item that is done. Then it is loaded step by step, in Python.

To load so takes a hundred times as long, and is done only where that has failed.
"""

from __future__ import annotations

import gc
import io
import pickle
import pickletools
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType
from typing import Any, cast

from conveyor.engines.letters import Unloaded
from conveyor.engines.processes.pickling import find_class
from conveyor.engines.telling import short

_PLAIN = (str, bytes, int, float, type(None), type, FunctionType, BuiltinFunctionType, ModuleType)
"""What is the same whoever refers to it."""

_OURS = ("cloudpickle", "conveyor.engines.processes.pickling")
"""Where the functions are that build classes and functions which came by value."""


def load(data: bytes, note: Callable[[int], None], left_out: Collection[int]) -> list[Any]:
    """The items of a batch.

    Args:
        data: the batch, pickled.
        note: called with the index of each item before anything is done to load it.
        left_out: the indexes of those that are not to be loaded; in their place come stand-ins.

    Raises:
        UnpicklingError: another item has a part in common with one of these.
    """
    return cast("list[Any]", _Wary(data, note, left_out, None).load())


def spare(
    data: bytes,
    note: Callable[[int], None],
    left_out: Collection[int],
    buffers: Sequence[Any] = (),
) -> tuple[list[Any], dict[int, Exception]]:
    """The items of a batch, with stand-ins also for those that can't be loaded, and why they can't.

    It takes what :func:`load` takes, and the buffers that belong to that.
    """
    failed: dict[int, Exception] = {}
    return _Wary(data, note, left_out, failed, buffers).load(), failed


# -- which item a step belongs to --


def _owners(data: bytes) -> Iterator[int]:
    """For each step of a pickled list, the index of the item that it is for."""
    done, base, depths = 0, 1, list[int]()
    for name, depth in _depths(data):
        if depth > 1 and not depths:
            base = 2 if name == "MARK" else 1
        if depth > 1:
            depths.append(depth)
            continue
        yield from (done + place for place in _places(depths, base))
        done += depths[-1] - base if depths else 0
        depths.clear()
        yield done


def _places(depths: list[int], base: int) -> list[int]:
    """Which of the places above the base a step is for: the last that stays filled from then on."""
    places: list[int] = []
    least = depths[-1] if depths else 0
    for depth in reversed(depths):
        least = min(least, depth)
        places.append(max(least - base - 1, 0))
    return places[::-1]


def _depths(data: bytes) -> Iterator[tuple[str, int]]:
    """The name of each step, and what is on the stack behind it, marks included."""
    stack: list[bool] = []
    mark = pickletools.markobject
    for code, _, _ in pickletools.genops(data):
        before = code.stack_before
        if mark in before:
            while not stack.pop():
                pass
            before = before[: before.index(mark)]
        del stack[len(stack) - len(before) :]
        stack += [one is mark for one in code.stack_after]
        yield code.name, len(stack)


# -- loading --

_Base: Any = pickle._Unpickler


class _Wary(_Base):  # type: ignore[misc]
    """Knows for which item it is at work.

    Args:
        data, note, left_out: as for :func:`load`.
        failed: gets the items that can't be loaded; None where the first ends it all.
        buffers: those that were pickled out of band.
    """

    def __init__(
        self,
        data: bytes,
        note: Callable[[int], None],
        left_out: Collection[int],
        failed: dict[int, Exception] | None,
        buffers: Sequence[Any] = (),
    ) -> None:
        _Base.__init__(self, io.BytesIO(data), buffers=buffers)
        self._owners = iter(list(_owners(data)))
        self._note = note
        self._left_out = left_out
        self._failed = failed
        self._owner = -1
        self._instead: dict[int, tuple[Any, Unloaded]] = {}
        """What was half made when it failed, and what stands for it where it is referred to."""

    @property
    def leaves_out(self) -> bool:
        """Whether this is for an item that is left out."""
        return self._owner in self._left_out

    @property
    def has_stand_ins(self) -> bool:
        """Whether there may be some, in this item or in one before."""
        return bool(self._left_out or self._failed)

    def step(self) -> None:
        """Another step begins."""
        owner = next(self._owners)
        if owner != self._owner:
            self._owner = owner
            self._note(owner)

    def tried(self, work: Callable[[], Any]) -> bool:
        """Whether what is done for an item succeeds; the rest of it is loaded all the same."""
        try:
            work()
        except Exception as error:
            if self._failed is None:
                raise
            self._failed.setdefault(self._owner, error)
            return False
        return True

    def referred(self) -> None:
        """What is on top of the stack belongs to another part of the batch, too."""
        found = self.stack[-1]
        if isinstance(found, _PLAIN) or not self.has_stand_ins:
            return
        _, self.stack[-1] = self._instead.get(id(found), (found, found))
        if not self.leaves_out and holds_a_stand_in(self.stack[-1]):
            self.tried(self._refuse_to_share)

    def _refuse_to_share(self) -> None:
        what = f"item {self._owner} has a part in common with one that can't be loaded"
        raise pickle.UnpicklingError(what)

    def find_class(self, module: str, name: str) -> Any:
        found: list[Any] = []
        if not self.leaves_out or module in sys.modules:
            find = partial(_Base.find_class, self)
            self.tried(lambda: found.append(find_class(find, module, name)))
        return found[0] if found else Unloaded(f"{module}.{name}")

    def leave_out(self, made: Any) -> None:
        """Put a stand-in in the place of what is half made, here and where it is referred to."""
        self.stack[-1] = stand_in = Unloaded(type(made).__qualname__)
        self._instead[id(made)] = made, stand_in


def holds_a_stand_in(value: Any) -> bool:
    """Whether something that could not be loaded is anywhere in a value."""
    seen, found = {id(value)}, [value]
    for one in found:  # to which more are added meanwhile
        if isinstance(one, Unloaded):
            return True
        inner = [part for part in gc.get_referents(one) if not isinstance(part, _PLAIN)]
        found += [part for part in inner if id(part) not in seen]
        seen.update(map(id, inner))
    return False


def _both(first: Callable[[_Wary], None], then: Callable[[_Wary], None]) -> Callable[[_Wary], None]:
    """One after the other."""

    def both(self: _Wary) -> None:
        first(self)
        then(self)

    return both


def _stand_in(made: Any, arguments: Any, names: Any = ()) -> Unloaded:
    name = getattr(made, "__qualname__", None) or short(made)
    return Unloaded(f"{name}{short((*arguments, names) if names else arguments)}")


def _is_harmless(made: Any) -> bool:
    ours = str(getattr(made, "__module__", "")).startswith(_OURS)
    return ours or made in (CodeType, CellType)


def _calling(load: Callable[[Any], None], parts: int) -> Callable[[Any], None]:
    """A step that calls something, which lies with its arguments on the stack: so many parts."""

    def step(self: Any) -> None:
        below = len(self.stack) - parts
        called = self.stack[below:]
        if self.leaves_out:
            is_called = _is_harmless(called[0])
        else:
            is_called = not (self.has_stand_ins and holds_a_stand_in(called))
        if not (is_called and self.tried(partial(load, self))):
            del self.stack[below:]
            self.stack.append(_stand_in(*called))

    return step


def _filling(load: Callable[[Any], None]) -> Callable[[Any], None]:
    """A step that puts what lies above something into that, which may be of the user's making."""

    def step(self: Any) -> None:
        if not self.tried(partial(load, self)):
            self.leave_out(self.stack[-1])

    return step


def _build(self: Any) -> None:
    if self.has_stand_ins and isinstance(self.stack[-2], Unloaded):
        self.stack.pop()
    else:
        _filled(self)


_filled = _filling(_Base.load_build)


def _frozenset(self: Any) -> None:
    if not self.tried(partial(_Base.load_frozenset, self)):
        self.stack.append(Unloaded("frozenset"))


_steps: dict[int, Callable[[Any], None]] = {
    **_Base.dispatch,
    pickle.REDUCE[0]: _calling(_Base.load_reduce, 2),
    pickle.NEWOBJ[0]: _calling(_Base.load_newobj, 2),
    pickle.NEWOBJ_EX[0]: _calling(_Base.load_newobj_ex, 3),
    pickle.BUILD[0]: _build,
    pickle.FROZENSET[0]: _frozenset,
}
for _code in (pickle.APPEND, pickle.APPENDS, pickle.SETITEM, pickle.SETITEMS, pickle.ADDITEMS):
    _steps[_code[0]] = _filling(_steps[_code[0]])
for _code in (pickle.BINGET, pickle.LONG_BINGET):
    _steps[_code[0]] = _both(_steps[_code[0]], _Wary.referred)
_Wary.dispatch = {key: _both(_Wary.step, step) for key, step in _steps.items()}
