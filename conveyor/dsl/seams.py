"""The rule ``types`` along an expression: who is given what, and whether it takes that.

An operator looks at the seam that it makes: from the open ends on its left to the processors on
its right that are given what comes from there. ``compile()`` looks at the whole: by then there
may be classes that were only named in annotations.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from conveyor.dsl.links import Fork, Join
from conveyor.dsl.names import full_label
from conveyor.dsl.normal import Atom, Atoms, begins_with_join
from conveyor.dsl.processor import Processor
from conveyor.dsl.rules import Broken
from conveyor.dsl.text import Path
from conveyor.dsl.types import UNKNOWN, Types, fits, given_by, names, taken_by, zipped
from conveyor.graph.model import JoinHow


class _Gift(NamedTuple):
    """What one giver sends along a pipe. Behind a join each branch is one.

    Attributes:
        giver: None of what comes from outside, and of what a zip makes.
        types: None where the giver is to be asked.
        is_new: whether it is to be looked at who takes it.
    """

    giver: Processor[Any, Any] | None
    types: Types | None
    is_new: bool = True


_Gifts = tuple[_Gift, ...]
_Ends = list[_Gifts]
"""What comes out of a sequence: behind an open fork, at each of its ends."""

_OUTSIDE: _Gifts = (_Gift(None, UNKNOWN),)
"""What may come into a fragment; where it begins with a join, from any number of branches."""


def misfits(atoms: Atoms) -> list[tuple[Path, Broken]]:
    """The processors of a whole pipeline that can't take what they are given."""
    walk = _Walk()
    walk.lay(atoms, [_OUTSIDE], ())
    return walk.found


def misfits_between(left: Atoms, right: Atoms) -> list[Broken]:
    """The processors of ``right`` that can't take what ``left`` gives them."""
    walk = _Walk()
    ends = walk.ends(left, _OUTSIDE)
    walk.is_new = False
    # What follows an open fork is laid on every branch: only a join takes all of them at once.
    for behind in [ends] if begins_with_join(right) else [[end] for end in _distinct(ends)]:
        walk.lay(right, behind, ())
    return [broken for _, broken in walk.found]


def _distinct(ends: _Ends) -> Iterable[_Gifts]:
    return {id(end): end for end in ends}.values()


class _Walk:
    """One look along an expression; each processor is asked once, however often it is used."""

    def __init__(self) -> None:
        self.found: list[tuple[Path, Broken]] = []
        self.is_new = True
        self._gifts: dict[tuple[int, bool], _Gifts] = {}
        self._given: dict[int, Types] = {}
        self._taken: dict[int, Types] = {}
        self._seen: dict[tuple[int, int], _Gift] = {}

    def lay(self, atoms: Atoms, ends: _Ends, path: Path) -> _Ends:
        """What comes out of a sequence behind ``ends``; who can't take what is new is found."""
        for index, atom in enumerate(atoms):
            if not any(gift.is_new for end in ends for gift in end):
                return self.ends(atoms, _OUTSIDE)
            here = (*path, index)
            if isinstance(atom, Fork):
                ends = self._lay_fork(atom, ends, here)
                continue
            if isinstance(atom, Processor):
                self._give(ends[0], atom, here)
            ends = self._behind(atom, ends)
        return ends

    def _lay_fork(self, fork: Fork[Any, Any], ends: _Ends, path: Path) -> _Ends:
        laid: dict[int, _Ends] = {}  # in `a % 64` all branches are one
        for number, branch in enumerate(fork.branches):
            if id(branch) not in laid:
                laid[id(branch)] = self.lay(branch, ends, (*path, number))
        return [end for branch in fork.branches for end in laid[id(branch)]]

    def ends(self, atoms: Atoms, given: _Gifts) -> _Ends:
        """What comes out of a sequence, looking no further back than is needed to tell."""
        if atoms and isinstance(atoms[-1], Processor):
            return [self._gift(atoms[-1])]
        places = reversed(range(len(atoms)))
        start = next((index for index in places if _takes_all(atoms[index])), 0)
        ends = [given]
        for atom in atoms[start:]:
            if isinstance(atom, Fork):
                ends = [end for branch in atom.branches for end in self.ends(branch, ends[0])]
            else:
                ends = self._behind(atom, ends)
        return ends

    def _behind(self, atom: Atom, ends: _Ends) -> _Ends:
        """What comes out of one atom that is no fork."""
        if isinstance(atom, Processor):
            return [self._gift(atom)]
        return [self._joined(atom.how, ends)] if isinstance(atom, Join) else ends

    def _gift(self, processor: Processor[Any, Any]) -> _Gifts:
        key = (id(processor), self.is_new)
        if key not in self._gifts:
            self._gifts[key] = (_Gift(processor, None, self.is_new),)
        return self._gifts[key]

    def _joined(self, how: JoinHow, ends: _Ends) -> _Gifts:
        gifts = {id(gift): gift for end in ends for gift in end}.values()
        if how != "zip":
            return tuple(gifts)
        types: Types = (tuple,)
        if len(ends) > 1 or ends[0] is not _OUTSIDE:
            types = zipped([tuple(t for gift in end for t in self._types(gift)) for end in ends])
        return (_Gift(None, types, any(gift.is_new for gift in gifts)),)

    def _types(self, gift: _Gift) -> Types:
        if gift.types is not None:
            return gift.types
        assert gift.giver is not None
        if id(gift.giver) not in self._given:
            self._given[id(gift.giver)] = given_by(gift.giver)
        return self._given[id(gift.giver)]

    def _give(self, gifts: _Gifts, processor: Processor[Any, Any], path: Path) -> None:
        if id(processor) not in self._taken:
            self._taken[id(processor)] = taken_by(processor)
        takes = self._taken[id(processor)]
        for gift in gifts if takes is not UNKNOWN else ():
            if (id(gift), id(processor)) in self._seen:
                continue
            self._seen[id(gift), id(processor)] = gift
            if not fits(given := self._types(gift), takes):
                self.found.append((path, _misfit(gift, given, processor, takes)))


def _takes_all(atom: Atom) -> bool:
    """Whether nothing comes through it as it went in."""
    if isinstance(atom, Fork):
        return all(any(map(_takes_all, branch)) for branch in atom.branches)
    return isinstance(atom, Processor)


def _misfit(gift: _Gift, given: Types, processor: Processor[Any, Any], takes: Types) -> Broken:
    giver = "the zip" if gift.giver is None else full_label(gift.giver)
    message = f"{full_label(processor)} takes {names(takes)}, but {giver} gives {names(given)}"
    hint = "put a processor between them that converts, or mend the annotations"
    return Broken("types", message, hint, processor)
