"""The funnel of all operators, and the one door for foreign values."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from numbers import Number
from typing import Any, NoReturn, cast

from conveyor.dsl import normal
from conveyor.dsl.calls import uncallable
from conveyor.dsl.copies import with_settings
from conveyor.dsl.element import Element, is_element, is_element_class
from conveyor.dsl.functions import shown
from conveyor.dsl.links import BalancedFork, Fork, Join, Pipe, ReplicatedFork
from conveyor.dsl.normal import Atoms
from conveyor.dsl.options import changed, see_that_it_restarts
from conveyor.dsl.pipeline import Pipeline
from conveyor.dsl.processor import Feed, Processor, Source
from conveyor.dsl.rules import Broken, Fault, refuse
from conveyor.dsl.seams import misfits_between
from conveyor.dsl.site import caller
from conveyor.dsl.text import binary_fault, call_fault, operand
from conveyor.errors import UsageError
from conveyor.graph import Auto
from conveyor.graph.model import is_count, plain

_FORKS: Mapping[str, type[Fork[Any, Any]]] = {"*": ReplicatedFork, "%": BalancedFork}


def compose(operator: str, left: object, right: object) -> Element[Any, Any]:
    """What ``left operator right`` means.

    Raises:
        ConstructionError: the operands break a construction rule.
    """
    found: list[Broken] = []
    element = None
    with _collected(found):
        if operator in _FORKS:
            element = _fork(operator, left, right, found)
        else:
            element = _sequence(operator, admit(left), admit(right), found)
    if found or element is None:
        refuse([binary_fault(broken, operator, left, right) for broken in found], caller()[0])
    return element


@contextmanager
def _collected(found: list[Broken], side: str = "") -> Generator[None]:
    """Put a broken rule to those that are ``found`` already, so that all are told at once."""
    try:
        yield
    except Broken as broken:
        broken.side = side
        found.append(broken)


def _text(value: object, operator: str, *, is_left: bool = True) -> str:
    return operand(value, operator, is_left=is_left)[0]


def refuse_truth(element: Element[Any, Any]) -> NoReturn:
    """Refuse ``a and b``, ``not a`` and ``x if a else b``, which Python would let pass.

    Raises:
        ConstructionError: always.
    """
    hint = (
        "`if`, `not`, `and`, `or` and `while` ask for one\n"
        "to join, write a & b, not a and b (Python would drop one of them)\n"
        "to ask whether there is a pipeline, write: pipeline is not None"
    )
    broken = Broken("element-type", "a pipeline has no truth value", hint)
    refuse([call_fault(broken, "bool", (element,), 0)], caller()[0])


def refuse_operator(operator: str, left: object, right: object) -> NoReturn:
    """Refuse an operator that elements do not have.

    Raises:
        ConstructionError: always.
    """
    found: list[Broken] = []
    with _collected(found, "left"):
        admit(left)
    with _collected(found, "right"):
        admit(right)
    hint = "a pipe is written a >> b"
    if not found:
        hint = f"a pipe is written: {_text(left, '>>')} >> {_text(right, '>>', is_left=False)}"
    found.insert(0, Broken("element-type", f"elements have no `{operator}`", hint))
    refuse([binary_fault(broken, operator, left, right) for broken in found], caller()[0])


def refuse_bare() -> NoReturn:
    """Refuse ``Element()``, which is the base of all elements, and none itself.

    Raises:
        ConstructionError: always.
    """
    hint = "write a subclass of Processor or Source, or wrap a function: Processor(function)"
    broken = Broken("element-type", "Element is only the base of all elements", hint)
    refuse([call_fault(broken, "Element", (), 0)], caller()[0])


def admit(value: object) -> Element[Any, Any]:
    """A value as an element: the one door for everything that comes from outside.

    Raises:
        Broken: it is no Conveyor type, with a hint for each common mistake; or a processor that
            can't be called with an item.
    """
    if is_element(value):
        if isinstance(value, Processor) and (broken := uncallable(value)) is not None:
            raise broken
        return value
    name = shown(value)
    if is_element_class(value):
        message = f"{name} is a class, not an instance"
        raise Broken("element-type", message, f"write {name}()", value)
    if isinstance(value, Auto) or value is Auto:
        hint = "AUTO is a width: write processor % AUTO, or processor % Auto(max=8)"
    elif isinstance(value, bool) or _is_number(value):
        hint = "a number is the width of a fork: write processor * 3 or processor % 3"
    elif callable(value):
        hint = f"write Processor({name}), or decorate the function with @processor"
    elif _holds_an_element(value):
        hint = "elements are given one by one: Pipeline(a, b), not Pipeline([a, b])"
    elif hasattr(type(value), "__iter__"):
        hint = "data goes in by run(items), or by Source(items) at the start"
    else:
        hint = "elements are processors, sources, pipes, forks, joins and pipelines"
    raise Broken("element-type", f"{name} is no Conveyor element", hint, value)


def _holds_an_element(value: object) -> bool:
    if not isinstance(value, (list, tuple)):
        return False
    return any(map(is_element, cast("Sequence[object]", value)))


def _sequence(
    operator: str, left: Element[Any, Any], right: Element[Any, Any], found: list[Broken]
) -> Element[Any, Any]:
    link: tuple[Element[Any, Any], ...] = (Pipe(),)
    before, behind = normal.atoms_of(left), normal.atoms_of(right)
    if operator == "&":
        joins_itself = normal.begins_with_join(behind)
        if not normal.is_open(before):
            found.append(_unjoinable(left, right))
            if joins_itself:
                return right
        elif not joins_itself:
            link = (Join(),)
    atoms = normal.extend(before, (*link, *behind))
    found += misfits_between(before, (*link, *behind))
    return Pipeline._of(atoms, tail=tail(right))


def _unjoinable(left: Element[Any, Any], right: Element[Any, Any]) -> Broken:
    hint = "open a fork with * or % first"
    with suppress(Broken):
        piped = Pipeline._of(normal.extend(normal.atoms_of(left), normal.atoms_of(right)))
        hint += f"; or, with nothing to join, write: {piped!r}"
    return Broken("join", "nothing to join: `&` needs an open fork on its left", hint)


def _fork(operator: str, left: object, right: object, found: list[Broken]) -> Element[Any, Any]:
    kind = _FORKS[operator]
    first: Atoms = ()
    others: Atoms | int | Auto = ()
    with _collected(found, "left"):
        first = _left_branch(kind, left, right)
    with _collected(found, "right"):
        others = _right_branches(kind, left, right)
    return _forked(kind, first, others)


def _forked(kind: type[Fork[Any, Any]], first: Atoms, others: Atoms | int | Auto) -> Fork[Any, Any]:
    match others:
        case Auto():
            return normal.flat_fork(kind, [first], others)
        case int():
            return normal.flat_fork(kind, [first] * others)
        case _:
            return normal.flat_fork(kind, [first, others])


def _left_branch(kind: type[Fork[Any, Any]], left: object, right: object) -> Atoms:
    if _is_number(left):
        swapped = f"{_text(right, kind.operator)} {kind.operator} {left!r}"
        hint = f"the width stands on the right: {swapped}"
        raise Broken("element-type", f"{left!r} is no Conveyor element", hint, left)
    element = admit(left)
    if isinstance(element, Fork) and type(element) is not kind:
        _refuse_mixed(element, kind.operator, right)
    return normal.branch(normal.atoms_of(element))


def _right_branches(kind: type[Fork[Any, Any]], left: object, right: object) -> Atoms | int | Auto:
    if isinstance(right, Auto):
        if kind is not BalancedFork:
            hint = f"every copy would get every item: write {_text(left, '%')} % AUTO"
            raise Broken("fork-width", "AUTO is a width for balanced forks only", hint, right)
        return right
    if _is_number(right) or isinstance(right, bool):
        return width(right)
    return normal.branch(normal.atoms_of(admit(right)))


def _is_number(value: object) -> bool:
    """Whether a value was meant as a number, whatever its kind; an array of some was not."""
    if isinstance(value, (bool, Element)):
        return False
    return isinstance(value, Number) or (
        hasattr(type(value), "__index__") and not hasattr(type(value), "__len__")
    )


def width(value: object) -> int:
    """The number of branches in ``element * value``.

    Raises:
        Broken: it is no int of 1 or more.
    """
    number = plain(value)
    if not is_count(number):
        hint = "write int(...) around it, or round it"
        raise Broken("fork-width", f"a width is an int, not {value!r}", hint, value)
    if number < 1:
        hint = "a width of 1 works, for a width that is computed: max(1, n)"
        raise Broken("fork-width", f"a fork has at least one branch, not {number}", hint, value)
    return number


def _refuse_mixed(left: Fork[Any, Any], operator: str, right: object) -> None:
    kind = _FORKS[operator]
    hint = f"put a pipe before the first one: (Pipe() >> {left!r}) {operator} ..."
    with suppress(Broken):  # what is wrong on the right is told by itself
        others = _right_branches(kind, left, right)
        hint = "\n".join(f"{when}: {what!r}" for when, what in _unmixed(left, kind, others))
    message = f"`{left.operator}` and `{operator}` bind alike, so this could be meant in two ways"
    raise Broken("mixed-fork", message, hint)


def _unmixed(
    left: Fork[Any, Any], kind: type[Fork[Any, Any]], others: Atoms | int | Auto
) -> Iterator[tuple[str, Fork[Any, Any]]]:
    """What a mixed fork may have been meant for; what Python takes it for comes first."""
    when = "for the first fork as a branch, write"
    if isinstance(others, tuple) and not _is_fork(others, but=kind):
        yield when, _forked(kind, others, (left,))
        when = "or, where the order of the branches counts"
    yield when, _forked(kind, (left,), others)
    *first, last = left.branches
    if any(normal.key(branch) != normal.key(last) for branch in first):  # in `a % 3`, 3 is a width
        inner = type(left)._of([*first, (_forked(kind, last, others),)])
        yield f"or, for a `{kind.operator}` of its last branch alone", inner


def _is_fork(atoms: Atoms, *, but: type[Fork[Any, Any]]) -> bool:
    return len(atoms) == 1 and isinstance(atoms[0], Fork) and not isinstance(atoms[0], but)


def fork_branches(kind: type[Fork[Any, Any]], branches: Sequence[object]) -> tuple[Atoms, ...]:
    """The branches of an explicit fork, such as ``ReplicatedFork(a, b)``.

    Raises:
        ConstructionError: there is none, or some are no elements.
    """
    name = kind.__name__
    faults: list[Fault] = []
    admitted: list[Atoms] = []
    for index, branch in enumerate(branches):
        try:
            admitted.append(normal.branch(normal.atoms_of(admit(branch))))
        except Broken as broken:
            faults.append(call_fault(broken, name, tuple(branches), index))
    if not branches:
        empty = Broken("fork-width", "a fork has at least one branch", f"write {name}(a, b)")
        faults.append(call_fault(empty, name, (), 0))
    if faults:
        refuse(faults, caller()[0])
    return normal.flat_fork(kind, admitted).branches


def tail(element: Element[Any, Any]) -> str:
    """What an element ends in as it was written: ``"pipe"``, ``"fork"``, ``"join"`` or other."""
    return element._tail if isinstance(element, Pipeline) else kind_of(element)


def kind_of(atom: Element[Any, Any]) -> str:
    """The part that an atom plays in the rule ``pipe``."""
    match atom:
        case Pipe():
            return "pipe"
        case Fork():
            return "fork"
        case Join():
            return "join"
        case _:
            return "processor"


def with_options(element: Element[Any, Any], options: Mapping[str, Any]) -> Any:
    """``element`` with ``options`` set for every processor in it.

    Raises:
        UsageError: an option is unknown or ill-typed, or there is no processor to set it for.
    """
    count = 0

    def on(atom: Element[Any, Any]) -> Element[Any, Any]:
        nonlocal count
        if isinstance(atom, Fork):
            return type(atom)._of([tuple(map(on, branch)) for branch in atom.branches], atom.auto)
        if isinstance(atom, Processor) and not isinstance(atom, Feed):
            count += 1
            if options.get("restarts"):
                is_source = isinstance(atom, Source)
                see_that_it_restarts(atom, Processor.finish, is_source=is_source)
            copy: Element[Any, Any] = with_settings(atom, changed(atom._conveyor.settings, options))
            return copy
        return atom

    if not isinstance(element, Pipeline):
        replaced: Element[Any, Any] = on(element)
    else:
        replaced = Pipeline._of(tuple(map(on, normal.atoms_of(element))), tail=element._tail)
    if count == 0:
        raise UsageError(f"{element!r} has no worker, so there is nothing to set options for")
    if count > 1 and "name" in options:
        raise UsageError(f"{element!r} has {count} processors; a name is for one")
    return replaced
