"""The normal form of an expression: a flat sequence of atoms, in which the laws are equality.

An atom is a processor, a pipe, a fork or a join. In the normal form

- a pipe without a capacity is left out, save at the very start, where it says that a fragment
  is not yet a pipeline;
- a fork is followed by the join that closes it or by nothing: what the user wrote behind an
  open fork stands in each of its branches;
- a branch that is nothing but a fork of the same kind is not nested.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from conveyor.dsl.copies import instance_of
from conveyor.dsl.element import Element
from conveyor.dsl.links import Fork, Join, Pipe
from conveyor.dsl.names import label
from conveyor.dsl.pipeline import Pipeline
from conveyor.dsl.processor import Feed, Processor, Source
from conveyor.dsl.rules import Broken
from conveyor.graph import Auto

Atom = Element[Any, Any]
Atoms = tuple[Atom, ...]


def atoms_of(element: Element[Any, Any]) -> Atoms:
    """The normal form of an element."""
    return element._parts if isinstance(element, Pipeline) else (element,)


def key(atoms: Atoms) -> object:
    """What two sequences that mean the same have in common."""
    return tuple(map(_key, atoms))


def _key(atom: Atom) -> object:
    match atom:
        case Feed():
            return ("feed",)
        case Processor():
            return ("processor", id(instance_of(atom)), atom._conveyor.settings)
        case Pipe(capacity=capacity):
            return ("pipe", capacity)
        case Join(how=how):
            return ("join", how)
        case Fork(kind=kind, auto=auto, branches=branches):
            return (kind, auto, tuple(map(key, branches)))
        case _:
            raise TypeError(f"{type(atom).__name__} has no meaning")


def extend(atoms: Atoms, more: Iterable[Atom]) -> Atoms:
    """``atoms`` followed by ``more``, another sequence in normal form.

    Behind an open fork all of ``more`` is laid on every branch, with the forks and joins in it:
    only a join at its start reaches back and closes what is open.

    Raises:
        Broken: a rule that the sequence alone shows.
    """
    more = without_plain_pipe(tuple(more)) if atoms else tuple(more)
    if atoms and more:
        _refuse_late_source(more[0])
    if more and is_open(atoms) and not begins_with_join(more):
        return (*atoms[:-1], _on_every_branch(atoms[-1], more))
    for atom in more:
        atoms = append(atoms, atom)
    return atoms


def without_plain_pipe(atoms: Atoms) -> Atoms:
    """A sequence that is used behind something, where a pipe before it says nothing."""
    while atoms and isinstance(atoms[0], Pipe) and atoms[0].capacity is None:
        atoms = atoms[1:]
    return atoms


def begins_with_join(atoms: Atoms) -> bool:
    """Whether a sequence starts with a join, but for pipes before it."""
    return isinstance(next((atom for atom in atoms if not isinstance(atom, Pipe)), None), Join)


def append(atoms: Atoms, atom: Atom) -> Atoms:
    """``atoms`` followed by ``atom``.

    Raises:
        Broken: a rule that the sequence alone shows.
    """
    if atoms:
        _refuse_late_source(atom)
    if isinstance(atom, Join):
        return _close(atoms, atom)
    if isinstance(atom, Pipe):
        return _pipe(atoms, atom)
    return (*atoms, atom)


def _refuse_late_source(atom: Atom) -> None:
    if isinstance(atom, (Source, Feed)):
        raise Broken(
            "source-first",
            f"{label(atom)} takes no items, so nothing can stand before it",
            "start the pipeline with it; or use a processor that yields, to make items of items",
            atom,
        )


def is_open(atoms: Atoms) -> bool:
    """Whether the sequence ends in a fork, so that a join has something to close."""
    return bool(atoms) and isinstance(atoms[-1], Fork)


def _close(atoms: Atoms, join: Join[Any, Any]) -> Atoms:
    if is_open(atoms):
        if join.how == "zip":
            fork = next((f for f in _open_forks(atoms[-1]) if f.kind == "balanced"), None)
            if fork is not None:
                raise Broken(
                    "zip",
                    "a zip makes a tuple of what every branch gives, but in a balanced fork "
                    "only one branch gets the item",
                    'close the balanced fork first, or use Join("ordered")',
                    join,
                )
        return (*atoms, join)
    if not all(isinstance(atom, Pipe) for atom in atoms):
        hint = "open a fork with * or % first: a >> b * c & d"
        raise Broken("join", "nothing to join: a join needs an open fork on its left", hint, join)
    return (*atoms, join)


def _open_forks(atom: Atom) -> Iterable[Fork[Any, Any]]:
    if isinstance(atom, Fork):
        yield atom
        for branch in atom.branches:
            if branch:
                yield from _open_forks(branch[-1])


def _pipe(atoms: Atoms, pipe: Pipe[Any]) -> Atoms:
    if not atoms:
        return (pipe,)
    last = atoms[-1]
    if pipe.capacity is None:
        return atoms
    if isinstance(last, Pipe) and last.capacity is None:
        return (*atoms[:-1], pipe)
    if isinstance(last, Fork):
        return (*atoms[:-1], _on_every_branch(last, (pipe,)))
    return (*atoms, pipe)


def _on_every_branch(fork: Atom, more: Atoms) -> Fork[Any, Any]:
    assert isinstance(fork, Fork)
    return flat_fork(type(fork), [extend(branch, more) for branch in fork.branches], fork.auto)


def branch(atoms: Atoms) -> Atoms:
    """A sequence as the branch of a fork: a plain pipe at its start says nothing there.

    Raises:
        Broken: the sequence can't be a branch.
    """
    atoms = without_plain_pipe(atoms)
    for atom in atoms:
        if isinstance(atom, (Source, Feed)):
            raise Broken(
                "source-first",
                f"{label(atom)} takes no items, so it can't be a branch of a fork",
                "put it before the fork: Load() >> a * b",
                atom,
            )
    if begins_with_join(atoms):
        raise Broken(
            "join",
            "a join at the start of a branch has nothing to join: it can't close the fork that "
            "it lies in",
            "join behind the fork: a * b & c",
            next(atom for atom in atoms if isinstance(atom, Join)),
        )
    return atoms


def flat_fork(
    kind: type[Fork[Any, Any]], branches: Iterable[Atoms], auto: Auto | None = None
) -> Fork[Any, Any]:
    """A fork of ``branches`` in normal form, where forks of its own kind are not nested."""
    flat: list[Atoms] = []
    for atoms in branches:
        only = atoms[0] if len(atoms) == 1 else None
        if only is not None and type(only) is kind and auto is None and only.auto is None:
            flat += only.branches
        else:
            flat.append(atoms)
    return kind._of(flat, auto)
