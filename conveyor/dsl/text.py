"""An expression as text, and where in the text each of its parts stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conveyor.dsl.element import Element, is_element
from conveyor.dsl.functions import shown
from conveyor.dsl.links import Fork, Join, Pipe
from conveyor.dsl.names import full_label
from conveyor.dsl.normal import Atom, Atoms, atoms_of, key
from conveyor.dsl.processor import Processor
from conveyor.dsl.rules import Broken, Fault

Path = tuple[int, ...]
"""Where an atom is: its place in the sequence, then branch and place for each fork inwards."""


@dataclass(frozen=True, slots=True)
class Written:
    """An expression on one line, and the columns of its atoms."""

    text: str
    spans: Mapping[Path, tuple[int, int]]

    def span(self, path: Path) -> tuple[int, int]:
        """The columns of an atom; of what surrounds it, where it is not written out."""
        while path not in self.spans and path:
            path = path[:-2]
        return self.spans.get(path, (0, len(self.text)))


class _Writer:
    def __init__(self) -> None:
        self.text = ""
        self.spans: dict[Path, tuple[int, int]] = {}

    def sequence(self, atoms: Atoms, path: Path) -> None:
        """``a >> b * c & d``; `>>` binds tighter than `&`, so no parentheses are needed."""
        between = ""
        for index, atom in enumerate(atoms):
            here = (*path, index)
            if isinstance(atom, Join) and _closes(atoms, index):
                is_plain = atom.how == "interleave" and index + 1 < len(atoms)
                self.text += " "
                self.spans[here] = (len(self.text), len(self.text) + 1)
                self.text += "& "
                if is_plain:
                    between = ""
                    continue
            else:
                self.text += between
            start = len(self.text)
            self.atom(atom, here)
            self.spans[here] = (start, len(self.text))
            between = " >> "

    def atom(self, atom: Atom, path: Path) -> None:
        if isinstance(atom, Fork):
            self.fork(atom, path)
        elif isinstance(atom, Processor):
            self.text += full_label(atom)
        elif isinstance(atom, Pipe):
            self.text += "Pipe()" if atom.capacity is None else f"Pipe(capacity={atom.capacity})"
        elif isinstance(atom, Join):
            self.text += "Join()" if atom.how == "interleave" else f'Join("{atom.how}")'
        else:
            raise TypeError(f"{type(atom).__name__} is not written")

    def fork(self, fork: Fork[Any, Any], path: Path) -> None:
        """``a * b``, or ``a * 3`` where the branches are the same."""
        first, width = fork.branches[0], len(fork.branches)
        same = all(key(other) == key(first) for other in fork.branches)
        self.branch(fork, first, (*path, 0), is_left=True)
        if fork.auto is not None:
            self.text += f" {fork.operator} {fork.auto!r}"
        elif same:
            self.text += f" {fork.operator} {width}"
        else:
            for number, atoms in enumerate(fork.branches[1:], 1):
                self.text += f" {fork.operator} "
                self.branch(fork, atoms, (*path, number), is_left=False)

    def branch(self, fork: Fork[Any, Any], atoms: Atoms, path: Path, *, is_left: bool) -> None:
        if not atoms:
            self.text += "Pipe()"
        elif len(atoms) != 1:
            self.parenthesised(atoms, path)
        elif not isinstance(inner := atoms[0], Fork):
            self.sequence(atoms, path)
        elif not is_left:
            self.parenthesised(atoms, path)
        elif inner.kind == fork.kind:
            self.sequence(atoms, path)
        else:
            # As a bare left operand the inner fork would be refused: see rule "mixed-fork".
            self.parenthesised(atoms, path, lead="Pipe() >> ")

    def parenthesised(self, atoms: Atoms, path: Path, lead: str = "") -> None:
        self.text += "(" + lead
        self.sequence(atoms, path)
        self.text += ")"


def _closes(atoms: Atoms, index: int) -> bool:
    """Whether an atom is a join that closes a fork on its left, so that it is written `&`."""
    before = atoms[:index]
    return isinstance(atoms[index], Join) and not all(isinstance(atom, Pipe) for atom in before)


def written(atoms: Atoms) -> Written:
    """The expression with no needless parentheses; evaluated, it gives an equal element."""
    writer = _Writer()
    writer.sequence(atoms, ())
    return Written(writer.text, writer.spans)


# -- what was written when an operator or a call found a broken rule --

_BINDS = {"|": 0, "&": 1, ">>": 2, "+": 3, "*": 4, "%": 4}


def operand(
    value: object, operator: str, *, is_left: bool
) -> tuple[str, dict[int, tuple[int, int]]]:
    """An operand as text, with the columns of its atoms by identity."""
    if not is_element(value):
        return shown(value), {}
    atoms = atoms_of(value)
    text = written(atoms)
    # An instance that is used more than once is marked where it stands first.
    spans = {id(atom): text.span(path) for path, atom in reversed([*walk(atoms)])}
    loosest = _loosest(atoms)
    needed = _BINDS[operator] if is_left else _BINDS[operator] + 1
    if loosest >= needed:
        return text.text, spans
    return f"({text.text})", {at: (start + 1, end + 1) for at, (start, end) in spans.items()}


def _loosest(atoms: Atoms) -> int:
    """How tight the loosest operator of the written expression binds."""
    if any(_closes(atoms, index) for index in range(len(atoms))):
        return _BINDS["&"]
    if len(atoms) > 1:
        return _BINDS[">>"]
    return _BINDS["*"] if atoms and isinstance(atoms[0], Fork) else 9


def walk(atoms: Atoms, path: Path = ()) -> Iterator[tuple[Path, Atom]]:
    """All atoms with their paths, those in the branches of forks included."""
    for index, atom in enumerate(atoms):
        here = (*path, index)
        yield here, atom
        if isinstance(atom, Fork):
            for number, branch in enumerate(atom.branches):
                yield from walk(branch, (*here, number))


def binary_fault(broken: Broken, operator: str, left: object, right: object) -> Fault:
    """A broken rule shown in ``left operator right``, at the culprit or at the operator."""
    left_text, left_spans = operand(left, operator, is_left=True)
    right_text, right_spans = operand(right, operator, is_left=False)
    text = f"{left_text} {operator} {right_text}"
    behind = len(left_text) + len(operator) + 2
    in_left = {**left_spans, id(left): (0, len(left_text))}
    in_right = {at: (start + behind, end + behind) for at, (start, end) in right_spans.items()}
    in_right[id(right)] = (behind, len(text))
    found = {**in_right, **in_left} if broken.side == "left" else {**in_left, **in_right}
    at_operator = (len(left_text) + 1, len(left_text) + 1 + len(operator))
    return broken.at(text, found.get(id(broken.culprit), at_operator))


def call_fault(broken: Broken, name: str, arguments: tuple[object, ...], index: int) -> Fault:
    """A broken rule shown in ``name(a, b, c)``, at one argument or in it."""
    before = ", ".join(_argument(value) for value in arguments[:index])
    start = len(name) + 1 + len(before) + (2 if before else 0)
    inside = ", ".join(_argument(value) for value in arguments)
    text = f"{name}({inside})"
    if index >= len(arguments):
        return broken.at(text, (0, len(text)))
    end = start + len(_argument(arguments[index]))
    return broken.at(text, (start, end))


def _argument(value: object) -> str:
    return f"{value!r}" if isinstance(value, Element) else shown(value)
