"""The explicit sequence of elements."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from conveyor.dsl.element import Element
from conveyor.dsl.links import _Frozen
from conveyor.dsl.rules import Broken, Fault, refuse
from conveyor.dsl.site import caller
from conveyor.dsl.variables import Ends, In, Out
from conveyor.errors import ImplicitPipeWarning


class Pipeline(_Frozen, Element[In, Out, Ends]):
    """The explicit sequence that the operators are sugar for.

    ``a >> b`` is ``Pipeline(a, Pipe(), b)``. Where a pipe is missing it is inserted, and
    :class:`ImplicitPipeWarning` names the place.

    Raises:
        ConstructionError: the elements break construction rules; all of them are told.
    """

    _parts: tuple[Element[Any, Any], ...]
    _tail: str

    def __init__(self: Pipeline[Any, Any, Any], *elements: Element[Any, Any]) -> None:
        from conveyor.dsl.compose import tail

        atoms, missing, faults = _laid(elements)
        if faults:
            refuse(faults, caller()[0])
        self._set(_parts=atoms, _tail=tail(elements[-1]))
        for place in missing:
            self._warn(elements, place)

    @classmethod
    def _of(cls, atoms: Sequence[Element[Any, Any]], tail: str = "processor") -> Pipeline[Any, Any]:
        """A pipeline of a sequence that is in normal form already."""
        pipeline = cls.__new__(cls)
        pipeline._set(_parts=tuple(atoms), _tail=tail)
        return pipeline

    def _warn(self, elements: Sequence[Element[Any, Any]], place: int) -> None:
        before, behind = elements[place - 1], elements[place]
        _, level = caller()
        warnings.warn(
            f"a pipe was missing between {before!r} and {behind!r}, and has been inserted; "
            f"write Pipeline(..., {before!r}, Pipe(), {behind!r}, ...)",
            ImplicitPipeWarning,
            stacklevel=level,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return (Pipeline._of, (self._parts, self._tail))


def _laid(
    elements: Sequence[object],
) -> tuple[tuple[Element[Any, Any], ...], list[int], list[Fault]]:
    """The normal form, the places where a pipe is missing, and the broken rules."""
    from conveyor.dsl import normal
    from conveyor.dsl.compose import admit, kind_of, tail
    from conveyor.dsl.seams import misfits_between
    from conveyor.dsl.text import call_fault

    atoms: tuple[Element[Any, Any], ...] = ()
    missing: list[int] = []
    faults: list[Fault] = []
    ends_in = ""
    for place, value in enumerate(elements):
        try:
            element = admit(value)
            more = normal.atoms_of(element)
            head = kind_of(more[0])
            if ends_in and head != "pipe" and ends_in not in _MAY_PRECEDE[head]:
                missing.append(place)
            before, atoms = atoms, normal.extend(atoms, more)
            broken_here = misfits_between(before, more)
            faults += [call_fault(one, "Pipeline", tuple(elements), place) for one in broken_here]
            ends_in = tail(element)
        except Broken as broken:
            faults.append(call_fault(broken, "Pipeline", tuple(elements), place))
            ends_in = ""
    if not elements:
        empty = Broken(
            "start", "a pipeline starts with a processor", "write Pipeline(a, Pipe(), b)"
        )
        faults.append(call_fault(empty, "Pipeline", (), 0))
    return atoms, missing, faults


_MAY_PRECEDE = {
    "processor": ("pipe", "fork", "join"),
    "fork": ("pipe",),
    "join": ("pipe",),
}
