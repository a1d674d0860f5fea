"""What both checkers must refuse: every line that is marked, and no other.

``# error`` marks an error for both, ``# error: pyright only`` one that mypy can't see.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_type

from conveyor import (
    AUTO,
    BalancedFork,
    Feed,
    Join,
    Pipe,
    Processor,
    ReplicatedFork,
    Source,
    processor,
    source,
)
from conveyor.engines.results import Results
from tests.typing.passes import Clean, Filter, Load, ModelA, ModelB, Pair, Report, Times


def half(number: int) -> float:
    return number / 2


# -- `types`: what an element takes must accept what it is given --


def pipes() -> None:
    Load() >> ModelA()  # error
    Load() >> Clean() >> Report()  # error
    Clean() >> Pipe() >> Times()  # error
    Clean() >> Pipe(capacity=3) >> (Pipe() >> Times())  # error
    Clean() >> (Times() >> Times())  # error
    Source([1, 2]) >> Clean()  # error
    Source([1, 2]) >> Processor(str.split)  # error
    Feed[int]() >> Clean()  # error
    Clean() >> Processor(lambda words: len(words) + 1) >> Clean()  # error
    Load() >> Processor(abs)  # error
    Load() >> Processor(half)  # error
    Load() >> Processor(len) >> Processor(len)  # error


def forks() -> None:
    Load() >> ModelA() * ModelB()  # error
    Load() >> ModelA() % ModelB()  # error
    Load() >> ModelA() % 3  # error
    Load() >> ModelA() % AUTO  # error
    Load() >> ModelA() * 3  # error
    Load() >> Pipe() * ModelA()  # error: pyright only
    Load() >> ModelA() * Pipe()  # error
    Load() >> Clean() * (Filter() >> Clean())  # error
    Load() >> ReplicatedFork(ModelA(), ModelB())  # error
    Load() >> BalancedFork(ModelA(), ModelB())  # error


def branches_that_take_different_things() -> None:
    ModelA() * Times()  # error
    ModelA() % Times()  # error
    ModelA() * ModelB() * Times()  # error
    ModelA() * (Clean() >> ModelA())  # error
    Clean() >> ReplicatedFork(ModelA(), Times())  # error
    Clean() >> BalancedFork(ModelA(), Times())  # error


def what_follows_an_open_fork() -> None:
    ModelA() * ModelB() >> Times()  # error
    ModelA() % ModelB() >> Times()  # error
    ModelA() % 3 >> Clean()  # error
    Clean() >> ModelA() * ModelB() >> Clean()  # error


def joins() -> None:
    ModelA() * ModelB() & Times()  # error
    ModelA() % ModelB() & Times()  # error
    Load() >> Clean() >> (ModelA() * ModelB()) & Clean()  # error
    ModelA() * ModelB() & Join() >> Times()  # error
    ModelA() * ModelB() & Join("ordered") >> Times()  # error
    ModelA() * ModelB() >> Join() >> Times()  # error
    ModelA() * ModelB() & Report() >> Times()  # error


def zips() -> None:
    ModelA() * ModelB() & Pair()  # error
    ModelA() * ModelB() & Join() >> Pair()  # error
    ModelB() * ModelA() & Join("zip") >> Pair()  # error
    ModelA() * ModelB() * ModelA() & Join("zip") >> Pair()  # error
    ModelA() * ModelB() & Join("zip") >> Report()  # error
    ModelA() * ModelB() >> Join("zip") >> Report()  # error
    ModelA() * 2 & Join("zip") >> Pair()  # error
    ModelA() * Pipe() & Join("zip") >> Pair()  # error
    ModelA() * ModelB() >> Report() & Join("zip") >> Pair()  # error


# -- the other construction rules, as far as types can tell --


def only_elements() -> None:
    Load() >> len  # error
    Load() >> Clean  # error
    Load() >> ["a"]  # error
    Load() >> 3  # error
    len >> Clean()  # error
    ["a"] >> Clean()  # error
    3 * Clean()  # error
    Clean() * len  # error
    Clean() & None  # error
    ReplicatedFork(Clean(), len)  # error
    BalancedFork(Clean(), Clean)  # error
    Processor(3)  # error
    Source(3)  # error
    Feed([1, 2])  # error
    Feed[int]([1, 2])  # error


def nothing_before_a_source() -> None:
    Clean() >> Load()  # error
    Clean() >> (Load() >> Clean())  # error
    Clean() * Load()  # error
    Load() % Clean()  # error
    Clean() >> numbers  # error
    Clean() >> Feed()  # error: pyright only
    Clean() >> Feed[int]()  # error


def widths() -> None:
    Clean() * 2.0  # error
    Clean() % "3"  # error
    Clean() * AUTO  # error
    ReplicatedFork()  # error
    BalancedFork()  # error


def mixed_forks() -> None:
    ModelA() * ModelB() % 3  # error
    ModelA() * ModelB() % ModelA()  # error
    ModelA() % ModelB() * 3  # error
    ModelA() % 3 * ModelB()  # error


def nothing_to_join() -> None:
    Clean() & ModelA()  # error
    Load() >> Clean() & ModelA()  # error
    Load() >> Clean() & Join()  # error
    Load() >> Clean() >> Join()  # error
    Load() >> Clean() & Join("zip")  # error
    Clean() * Join()  # error
    Join() * Clean()  # error
    Clean() >> ModelA() * ModelB() & Report() & Report()  # error


def zips_of_balanced_forks() -> None:
    ModelA() % ModelB() & Join("zip")  # error
    ModelA() % 3 & Join("zip") >> Pair()  # error
    ModelA() * (ModelB() % ModelA()) & Join("zip")  # error
    Clean() >> ModelA() % ModelB() >> Report() & Join("zip")  # error


# -- settings --


def settings() -> None:
    Pipe("3")  # error
    Join("zipped")  # error
    Join(Report())  # error
    Clean().options(nam="clean")  # error
    Clean().options(name=3)  # error
    Clean().options(on_error="ignore")  # error
    (Clean() >> ModelA()).options(retries="2")  # error


# -- running --


def running() -> None:
    Clean().run([1, 2])  # error
    (Clean() >> ModelA()).stream(b"ab")  # error
    (Feed() >> Clean() % 4).run([1])  # error
    (Load() >> Clean()).run(["a"])  # error
    Clean().run("a", True)  # error
    Clean().run("a", progress="yes")  # error
    Clean().run("a", progress=lambda: None)  # error
    Clean().run("a", engine="threads")  # error
    Clean().stream("a", engine="process")  # error
    Clean().open(engine="threads")  # error
    Clean().replay([], engine="processes")  # error
    texts: Results[str] = Clean().run(["a"])  # error
    texts.sort()
    assert_type(Load().run(), Results[bytes])  # error
    for number in ModelA().stream([["a"]]):
        number.lower()  # error


def elements_are_no_containers() -> None:
    len(Clean())  # error
    list(Clean())  # error
    Clean()[0]  # error
    for _ in Clean():  # error
        pass
    Clean() + Clean()  # error
    Clean() | Clean()  # error


def elements_have_no_truth_value() -> None:
    if Clean():  # error: pyright only
        pass


# -- writing processors --


class WrongOutput(Processor[str, int]):
    def process(self, text: str) -> str:  # error
        return text


class WrongItem(Processor[str, int]):
    def process(self, number: int) -> int:  # error
        return number


class WrongYield(Processor[str, int]):
    def process(self, text: str) -> Iterator[str]:  # error
        yield text


class NoItem(Processor[str, int]):
    def process(self) -> int:  # error
        return 1


class WrongFinish(Processor[str, int]):
    def process(self, text: str) -> int:
        return len(text)

    def finish(self) -> str:  # error
        return ""


class WrongItems(Source[str]):
    def generate(self) -> Iterator[int]:  # error
        yield 1


@processor
def shout(text: str, mark: str = "!") -> str:
    return text.upper() + mark


@source
def numbers(n: int = 2) -> Iterator[int]:
    yield from range(n)


def decorated_functions() -> None:
    shout(1)  # error
    shout("a", mork="?")  # error
    shout.bind("?")  # error
    numbers(n="3")  # error
    numbers >> shout  # error
    shout >> numbers  # error
    shout * numbers  # error
    Clean() >> shout  # error


@processor  # error
def takes_nothing() -> int:
    return 1


@source  # error
def gives_no_items() -> int:
    return 1


def wrapped_functions() -> None:
    Processor[int, str](len)  # error
    Processor[str, str](len)  # error
    Source[int](["a"])  # error
