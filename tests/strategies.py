"""Random expressions, and random pipelines that run, each with what they must give.

`fragments()` and `pipelines()` are for the language: their processors have names that stand for
them, so that `eval(repr(element), NAMES)` works. `runnables()` are for the engines: pipelines of
small deterministic processors over ints, with an evaluator that knows nothing of graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Protocol

from hypothesis import strategies as st

from conveyor import (
    AUTO,
    Auto,
    BalancedFork,
    Element,
    Feed,
    Join,
    Pipe,
    Pipeline,
    Processor,
    ReplicatedFork,
    Source,
    processor,
    source,
)

# -- processors with names --


@processor
def a(item):
    return item


@processor
def b(item):
    return item


@processor
def c(item):
    return item


class Named(Processor[Any, Any]):
    def __init__(self, name: str) -> None:
        self.name = name

    def process(self, item):
        return item

    def __repr__(self) -> str:
        return self.name


@source
def s():
    return [1, 2, 3]


d, e = Named("d"), Named("e")
WORKERS = (a, b, c, d, e)
LANGUAGE = (Auto, BalancedFork, Feed, Join, Pipe, Pipeline, ReplicatedFork)
NAMES = {
    "AUTO": AUTO,
    **dict(zip("abcdes", (*WORKERS, s), strict=True)),
    **{word.__name__: word for word in LANGUAGE},
}
"""What the text of an expression is evaluated with."""

FORKS = {"*": ReplicatedFork, "%": BalancedFork}
JOINS = ("interleave", "ordered", "zip")


def evaluated(text: str) -> Element:
    return eval(text, dict(NAMES))


# -- expressions --


@cache
def workers() -> st.SearchStrategy[Element]:
    """A processor; one of a function may have options (an own repr does not show them)."""
    options = st.fixed_dictionaries(
        {"retries": st.integers(0, 2)}, optional={"name": st.sampled_from("xy")}
    )
    with_options = st.builds(
        lambda worker, options: worker.options(**options), st.sampled_from((a, b, c)), options
    )
    return st.one_of(st.sampled_from(WORKERS), st.sampled_from(WORKERS), with_options)


@cache
def starts() -> st.SearchStrategy[Element]:
    return st.one_of(workers(), st.sampled_from((s, Feed())))


@cache
def identities() -> st.SearchStrategy[Element]:
    return st.sampled_from((Pipe(), Pipe(capacity=1), Pipe(capacity=7)))


@cache
@st.composite
def fragments(draw, depth: int = 3, *, zippable: bool = False) -> Element:
    """An expression that starts with a processor or a fork, and may end in an open fork.

    With `zippable`, forks that it leaves open are replicated.
    """
    if depth <= 0:
        return draw(workers())
    shape = draw(st.sampled_from(("worker", "pipe", "capacity", "fork", "join")))
    match shape:
        case "pipe":
            return draw(piped(depth - 1, zippable=zippable))
        case "capacity":
            left = draw(fragments(depth - 1, zippable=zippable))
            return sequence(draw, left, Pipe(capacity=draw(st.integers(1, 9))))
        case "fork":
            return draw(forks(depth - 1, zippable=zippable))
        case "join":
            return draw(joins(depth - 1, zippable=zippable))
    return draw(workers())


@cache
@st.composite
def joins(draw, depth: int = 2, *, zippable: bool = False) -> Element:
    """A fork that is joined, and perhaps what follows it."""
    how = draw(st.sampled_from(JOINS))
    left = draw(opened(depth, zippable=how == "zip"))
    if draw(st.booleans()):
        return left & Join(how) if draw(st.booleans()) else sequence(draw, left, Join(how))
    right = draw(fragments(depth, zippable=zippable))
    if how != "interleave":
        return left & Join(how) >> right
    return left & right if draw(st.booleans()) else Pipeline(left, Pipe(), Join(), Pipe(), right)


@cache
@st.composite
def piped(draw, depth: int = 2, *, zippable: bool = False) -> Element:
    left = draw(fragments(depth, zippable=zippable))
    return sequence(draw, left, draw(fragments(depth, zippable=zippable)))


def sequence(draw, left: Element, right: Element) -> Element:
    return left >> right if draw(st.booleans()) else Pipeline(left, Pipe(), right)


@cache
@st.composite
def forks(draw, depth: int = 2, *, zippable: bool = False) -> Element:
    """A fork, written with an operator or in full."""
    operator = "*" if zippable else draw(st.sampled_from("*%"))
    first = draw(branches(depth, zippable=zippable))
    if operator == "%" and draw(st.integers(0, 4)) == 0:
        return bare(first, "%") % draw(st.sampled_from((AUTO, Auto(min=2), Auto(min=1, max=3))))
    if draw(st.booleans()):
        width = draw(st.integers(1, 3))
        return bare(first, operator) * width if operator == "*" else bare(first, operator) % width
    more = draw(st.lists(branches(depth, zippable=zippable), min_size=1, max_size=2))
    if draw(st.booleans()):
        return FORKS[operator](first, *more)
    fork = bare(first, operator)
    for branch in more:
        fork = fork * branch if operator == "*" else fork % branch
    return fork


@cache
def branches(depth: int = 2, *, zippable: bool = False) -> st.SearchStrategy[Element]:
    return st.one_of(identities(), fragments(depth, zippable=zippable))


def bare(left: Element, operator: str) -> Element:
    """An element as the left operand of a fork: of the other kind, it needs a pipe before it."""
    other = {"*": BalancedFork, "%": ReplicatedFork}[operator]
    return Pipe() >> left if isinstance(left, other) else left


@cache
@st.composite
def opened(draw, depth: int = 2, *, zippable: bool = False) -> Element:
    """An expression that ends in an open fork."""
    fork = draw(forks(depth, zippable=zippable))
    return draw(workers()) >> fork if draw(st.booleans()) else fork


@cache
@st.composite
def loose(draw, depth: int = 2) -> Element:
    """A fragment that may also start with a pipe or a join, or be one alone."""
    head = draw(st.one_of(identities(), st.sampled_from(JOINS).map(Join)))
    shape = draw(st.sampled_from(("head", "headed", "both", "plain")))
    if shape == "head":
        return head
    rest = draw(fragments(depth))
    if shape == "both":
        return draw(identities()) >> (Join(draw(st.sampled_from(JOINS))) >> rest)
    return head >> rest if shape == "headed" else rest


@cache
@st.composite
def pipelines(draw, depth: int = 3) -> Element:
    """A whole pipeline, which compiles."""
    start = draw(starts())
    return sequence(draw, start, draw(fragments(depth))) if draw(st.booleans()) else start


# -- processors that run --


def number(item: object) -> int:
    """What the processors below count with, whatever a zip or a generator gave them."""
    if item is None:
        return -1
    return sum(map(number, item)) if isinstance(item, tuple) else item


class Add(Processor[Any, int]):
    def __init__(self, n: int) -> None:
        self.n = n

    def process(self, item):
        return number(item) + self.n


class Keep(Processor[Any, Any]):
    """A filter."""

    def __init__(self, n: int) -> None:
        self.n = n

    def process(self, item):
        return None if number(item) % 3 == self.n % 3 else item


class Expand(Processor[Any, int]):
    """None to two outputs for one item."""

    def __init__(self, n: int) -> None:
        self.n = n

    def process(self, item):
        for i in range((number(item) + self.n) % 3):
            yield number(item) * 10 + i


class Gaps(Processor[Any, Any]):
    """A generator that yields a None, which is an item."""

    def __init__(self, n: int) -> None:
        self.n = n

    def process(self, item):
        yield None
        yield number(item) * self.n


class Recovers(Processor[Any, Any]):
    """Has its state in one attribute, and tells it."""

    state: Any

    def snapshot(self):
        return self.state

    def restore(self, state):
        self.state = state


class Running(Recovers):
    """The sum so far: it depends on the order."""

    def __init__(self, n: int) -> None:
        self.state = n

    def process(self, item):
        self.state += number(item)
        return self.state


class Total(Recovers):
    """The sum at the end."""

    def __init__(self, n: int) -> None:
        self.state = n

    def process(self, item):
        self.state += number(item)

    def finish(self):
        return self.state


class Tally(Recovers):
    """Hands items on, and says at the end how many there were."""

    def __init__(self, n: int) -> None:
        self.state = n

    def process(self, item):
        self.state += 1
        return item

    def finish(self):
        return self.state


class Farewell(Recovers):
    """Gives two things at the end, one of them None."""

    def __init__(self, n: int) -> None:
        self.state = n

    def process(self, item):
        self.state += 1
        return item

    def finish(self):
        yield self.state
        yield None


class Fussy(Recovers):
    """Fails on some items for good, and on some only at first, always after it gave something."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.state = False  # whether this is the second attempt

    def process(self, item):
        yield item
        rest = (number(item) - self.n) % 4
        self.state = not self.state
        if rest == 0 or (rest == 1 and self.state):
            raise ValueError(f"not {item!r}")
        self.state = False


@processor
def negated(item):
    return -number(item)


@source
def counted(items=()):
    yield from items


CLASSES = (Add, Keep, Expand, Gaps, Fussy, Running, Total, Tally, Farewell)
KINDS = {cls.__name__.lower(): cls for cls in CLASSES}


# -- what a runnable pipeline is made of --


@dataclass(frozen=True)
class Work:
    """One processor, by its kind and its number."""

    kind: str
    n: int = 1

    def element(self) -> Element:
        if self.kind == "negated":
            return negated
        made = KINDS[self.kind](self.n)
        if self.kind == "fussy":
            return made.options(retries=1, on_error="skip" if self.n % 2 else "dead_letter")
        return made


@dataclass(frozen=True)
class Link:
    """A pipe with a capacity."""

    capacity: int


@dataclass(frozen=True)
class Split:
    """A fork; `how` is None where it stays open, so that the rest is laid on every branch.

    With `auto`, its one branch is a pattern, and how many there are follows the load.
    """

    operator: str
    branches: tuple[Chain, ...]
    how: str | None
    auto: Auto | None = None


Step = Work | Link | Split
Chain = tuple[Step, ...]


def ends(chain: Chain) -> int:
    """How many streams a chain gives for one."""
    count = 1
    for step in chain:
        if isinstance(step, Split) and step.how is None:
            count *= sum(map(ends, step.branches))
    return count


def size(chain: Chain) -> int:
    """How many processors a chain makes, those that are laid on every branch included."""
    if not chain:
        return 0
    step, rest = chain[0], chain[1:]
    if not isinstance(step, Split):
        return isinstance(step, Work) + size(rest)
    inside = sum(map(size, step.branches))
    return inside + (ends((step,)) if step.how is None else 1) * size(rest)


# -- written as an expression --


def written(chain: Chain, *, explicit: bool = False) -> Element:
    """A chain as an element, with operators or with `Pipeline(...)` and its like."""
    return _explicit(chain) if explicit else _with_operators(chain)


def _with_operators(chain: Chain) -> Element:
    element: Element = Pipe()
    is_open = False
    for place, step in enumerate(chain):
        piece = _piece(step, explicit=False)
        if isinstance(step, Split) and step.how is not None:
            if step.how == "interleave" and not is_open and place + 1 < len(chain):
                return (element >> piece) & _with_operators(chain[place + 1 :])
            piece = piece & Join(step.how)
        element = element >> piece if place else piece
        is_open = is_open or (isinstance(step, Split) and step.how is None)
    return element


def _explicit(chain: Chain) -> Element:
    parts: list[Element] = []
    is_open = False
    for step in chain:
        piece = _piece(step, explicit=True)
        if isinstance(step, Split) and step.how is not None:
            # Behind an open fork the join must not reach back to it: it stands in its own part.
            closed = (piece, Pipe(), Join(step.how))
            parts += (Pipe(), Pipeline(*closed)) if is_open else (Pipe(), *closed)
        else:
            parts += (Pipe(), piece)
        is_open = is_open or (isinstance(step, Split) and step.how is None)
    return Pipeline(*parts[1:]) if parts else Pipe()


def _piece(step: Step, *, explicit: bool) -> Element:
    match step:
        case Work():
            return step.element()
        case Link(capacity):
            return Pipe(capacity=capacity)
    branches = [written(branch, explicit=explicit) for branch in step.branches]
    if explicit:
        return FORKS[step.operator](*branches)
    first = bare(branches[0], step.operator)
    if step.auto is not None:
        return first % step.auto
    if len(set(step.branches)) == 1:
        return first * len(branches) if step.operator == "*" else first % len(branches)
    for branch in branches[1:]:
        first = first * branch if step.operator == "*" else first % branch
    return first


def following(chain: Chain, auto: Auto) -> Chain:
    """The chain with balanced forks that follow the load."""
    return tuple(
        replace(
            step,
            branches=tuple(following(b, auto) for b in step.branches[: 1 if is_auto else None]),
            auto=auto if is_auto else None,
        )
        if isinstance(step, Split)
        else step
        for step in chain
        for is_auto in [isinstance(step, Split) and step.operator == "%"]
    )


# -- what it must give --


class TwoOutputs(Exception):
    """A branch gave two outputs for one item, and a zip closes its fork."""


class Plain:
    """The plain evaluator: recursive over the chain, one item at a time.

    It gives pairs of a place, which is the branch of each fork that is still open, and a value.
    """

    def __init__(self) -> None:
        self.machines: dict[tuple, tuple] = {}
        self.turns: dict[tuple, int] = {}

    def run(self, chain: Chain, items: Sequence[int]) -> list:
        outputs = [value for item in items for _, value in self.through(chain, (), item)]
        return outputs + [value for _, value in self.end(chain, ())]

    def through(self, chain: Chain, path: tuple, item: object) -> Iterator[tuple[tuple, Any]]:
        if not chain:
            yield (), item
            return
        step, rest = chain[0], chain[1:]
        on = (*path, "on")
        if isinstance(step, Work):
            for value in self.machine(step, path)[0](item):
                yield from self.through(rest, on, value)
        elif isinstance(step, Link):
            yield from self.through(rest, on, item)
        elif step.how is None:
            for n in self.chosen(step, path):
                laid = self.through(step.branches[n] + rest, (*path, n), item)
                yield from (((n, *place), value) for place, value in laid)
        else:
            given = [
                ((n, *place), value)
                for n in self.chosen(step, path)
                for place, value in self.through(step.branches[n], (*path, n), item)
            ]
            for value in joined(step, given):
                yield from self.through(rest, on, value)

    def end(self, chain: Chain, path: tuple) -> Iterator[tuple[tuple, Any]]:
        """The end of the stream: what is left in a processor goes on before those behind end."""
        if not chain:
            return
        step, rest = chain[0], chain[1:]
        on = (*path, "on")
        if isinstance(step, Split) and step.how is None:
            for n, branch in enumerate(step.branches):
                laid = self.end(branch + rest, (*path, n))
                yield from (((n, *place), value) for place, value in laid)
            return
        if isinstance(step, Split):
            given = [
                ((n, *place), value)
                for n, branch in enumerate(step.branches)
                for place, value in self.end(branch, (*path, n))
            ]
            values = joined(step, given)
        else:
            values = self.machine(step, path)[1]() if isinstance(step, Work) else []
        for value in values:
            yield from self.through(rest, on, value)
        yield from self.end(rest, on)

    def machine(self, work: Work, path: tuple) -> tuple:
        return self.machines.setdefault(path, plain(work))

    def chosen(self, split: Split, path: tuple) -> Sequence[int]:
        """The branches that get an item: all, or each in its turn."""
        if split.operator == "*":
            return range(len(split.branches))
        turn = self.turns[path] = self.turns.get(path, -1) + 1
        return (turn % len(split.branches),)


def joined(split: Split, given: list[tuple[tuple, Any]]) -> list:
    """What comes out of a join for one item that went into its fork."""
    if split.how != "zip":
        return [value for _, value in given]
    by_place = dict(given)
    if len(by_place) < len(given):
        raise TwoOutputs
    if len(by_place) < sum(map(ends, split.branches)):
        return []
    return [tuple(by_place[place] for place in sorted(by_place))]


def plain(work: Work) -> tuple:
    """What a processor must do with an item, and at the end, in lists."""
    n, seen = work.n, []

    def kept(x: object) -> list:
        return [] if x is None else [x]

    def noting(give: Callable[[object], list]) -> Callable[[object], list]:
        return lambda x: (seen.append(number(x)), give(x))[1]

    steps = {
        "add": lambda x: [number(x) + n],
        "negated": lambda x: [-number(x)],
        "keep": lambda x: [] if number(x) % 3 == n % 3 else kept(x),
        "expand": lambda x: [number(x) * 10 + i for i in range((number(x) + n) % 3)],
        "gaps": lambda x: [None, number(x) * n],
        "fussy": lambda x: [] if number(x) % 4 == n % 4 else [x],
        "running": noting(lambda x: [n + sum(seen)]),
        "total": noting(lambda x: []),
        "tally": noting(kept),
        "farewell": noting(kept),
    }
    at_end = {
        "total": lambda: [n + sum(seen)],
        "tally": lambda: [n + len(seen)],
        "farewell": lambda: [n + len(seen), None],
    }
    return steps[work.kind], at_end.get(work.kind, list)


# -- at random --


@dataclass(frozen=True)
class Scope:
    """What may stand in some place, so that all engines give the same.

    Attributes:
        ordered: the items come here in the same order on every engine.
        whole: one processor here sees all items, so no fork around it is balanced.
        zipped: a zip closes what stays open here, so no balanced fork may.
        single: a zip is around, so that no item may have two outputs.
        opens: a replicated fork may stay open, also where no item may have two outputs.
        finishes: something may still come at the end of the stream.
        careless: what breaks a zip may stand here.
    """

    ordered: bool = True
    whole: bool = True
    zipped: bool = False
    single: bool = False
    opens: bool = True
    finishes: bool = True
    careless: bool = False

    def kinds(self) -> list[str]:
        kinds = ["add", "negated", "keep", "fussy"]
        if not self.single:
            kinds += ["expand", "gaps"]
        if self.whole and self.ordered:
            kinds += ["running"]
        if self.whole and self.finishes:
            kinds += ["total", "tally"] if self.single else ["total", "tally", "farewell"]
        return kinds


class Chooser(Protocol):
    """What a random pipeline is made by: a seeded ``Random``, or draws of Hypothesis."""

    def randint(self, a: int, b: int, /) -> int: ...
    def choice(self, seq: Sequence[Any], /) -> Any: ...


class Drawn:
    """Lets Hypothesis choose."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def randint(self, a: int, b: int, /) -> int:
        return self._draw(st.integers(a, b))

    def choice(self, seq: Sequence[Any], /) -> Any:
        return self._draw(st.sampled_from(seq))


def random_chain(by: Chooser, scope: Scope, room: int, least: int = 0) -> Chain:
    """A chain of at most `room` processors."""
    steps: Chain = ()
    length = by.randint(least, 3)
    finisher = by.randint(0, 3)
    for place in range(length):
        left = (room - size(steps)) // ends(steps)
        if left < 1:
            break
        # Under a zip one place only may give something at the end.
        here = (
            replace(scope, finishes=scope.finishes and place == finisher) if scope.single else scope
        )
        if left > 1 and by.randint(0, 2) == 0:
            made = random_split(by, here, left)
            scope = after(made, scope)
            steps += (made,)
        elif by.randint(0, 5) == 0:
            steps += (Link(by.randint(1, 3)),)
        else:
            steps += (Work(by.choice(here.kinds()), by.randint(0, 3)),)
    return steps


def after(split: Split, scope: Scope) -> Scope:
    """The scope behind a fork, or on its branches where it stays open."""
    if split.how is not None:
        return scope if split.how == "ordered" else replace(scope, ordered=False)
    if split.operator == "%":
        return replace(scope, whole=False, ordered=False)
    for branch in split.branches:
        for step in branch:
            scope = after(step, scope) if isinstance(step, Split) else scope
    return scope


def random_split(by: Chooser, scope: Scope, room: int) -> Split:
    """A fork with at most `room` processors in its branches, and how it is joined."""
    operator = by.choice("*%")
    how = by.choice(hows(scope, operator))
    if operator == "%":
        inside = replace(inner(scope, how), whole=False, ordered=False, opens=not scope.single)
        width = by.randint(1, 3)
        # Alike, so that it does not matter who gets an item.
        return Split("%", (random_chain(by, inside, max(room // width, 1), 1),) * width, how)
    inside = inner(scope, how)
    branches: list[Chain] = []
    for _ in range(by.randint(1, 3)):
        branches.append(random_chain(by, inside, max(0, room - sum(map(size, branches)))))
    return Split("*", tuple(branches), how)


def inner(scope: Scope, how: str | None) -> Scope:
    """The scope in the branches of a fork."""
    if how == "zip":
        return replace(scope, zipped=True, single=not scope.careless, opens=True)
    return scope if how is None else replace(scope, zipped=False)


def hows(scope: Scope, operator: str) -> list[str | None]:
    """How a fork may be joined here, or None where it may stay open."""
    if operator == "%":
        return ["interleave", "ordered"] if scope.zipped else ["interleave", "ordered", None]
    if scope.single:
        return ["zip", None] if scope.opens else ["zip"]
    return ["zip", "interleave", "ordered", None]


@dataclass(frozen=True)
class Runnable:
    """A pipeline that runs, its items, and what it must give."""

    chain: Chain
    items: tuple[int, ...]
    start: str = "items"
    explicit: bool = False
    arguments: tuple = field(init=False, compare=False)
    """What `run` and `stream` are called with."""

    def __post_init__(self) -> None:
        takes_items = self.start in ("items", "feed")
        object.__setattr__(self, "arguments", (list(self.items),) if takes_items else ())

    def pipeline(self) -> Element:
        """A new pipeline, equal in what it does to every other one."""
        rest = written(self.chain, explicit=self.explicit)
        match self.start:
            case "feed":
                return Feed() >> rest
            case "source":
                return Source(list(self.items)) >> rest
            case "function":
                return counted.bind(items=self.items) >> rest
        return rest if self.chain and isinstance(self.chain[0], Work) else Feed() >> rest

    def expected(self) -> list:
        """The outputs in the order of the inline engine.

        Raises:
            TwoOutputs: a zip is given two outputs for one item.
        """
        return Plain().run(self.chain, self.items)


STARTS = ("items", "items", "feed", "source", "function")


@cache
@st.composite
def chains(draw, scope: Scope, room: int, least: int = 0) -> Chain:
    return random_chain(Drawn(draw), scope, room, least)


@cache
@st.composite
def splits(draw, scope: Scope, room: int) -> Split:
    return random_split(Drawn(draw), scope, room)


def inputs(most: int = 8) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(-9, 9), max_size=most).map(tuple)


def runnables(
    room: int = 8,
    *,
    items: st.SearchStrategy[tuple[int, ...]] | None = None,
    careless: bool = False,
) -> st.SearchStrategy[Runnable]:
    """Pipelines of at most `room` processors, whose outputs are the same on every engine.

    With `careless`, some give a zip two outputs for one item, which is an error.
    """
    return st.builds(
        Runnable,
        chains(Scope(careless=careless), room, 1).filter(lambda chain: size(chain) <= room),
        inputs() if items is None else items,
        st.sampled_from(STARTS),
        st.booleans(),
    )


def random_runnable(by: Chooser, room: int) -> Runnable:
    """One of `runnables(room)`, without Hypothesis: a seeded ``Random`` gives the same again."""
    chain = random_chain(by, Scope(), room, 1)
    while size(chain) > room:
        chain = random_chain(by, Scope(), room, 1)
    items = tuple(by.randint(-9, 9) for _ in range(by.randint(0, 8)))
    return Runnable(chain, items, by.choice(STARTS), by.choice((False, True)))
