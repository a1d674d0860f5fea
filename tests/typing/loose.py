"""What both checkers must accept of users who write few annotations, or none."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# pyright: basic

import operator
from collections.abc import Iterator
from functools import partial

from conveyor import AUTO, Feed, Join, Pipe, Processor, Source, processor, source


class Load(Source):
    def __init__(self, *names):
        self.names = names

    def generate(self):
        return self.names


class Clean(Processor[str, list[str]]):
    def __init__(self, stop=frozenset()):
        self.stop = stop

    def setup(self):
        self.seen = 0

    def process(self, text):
        self.seen += 1
        return text.split() or None

    def finish(self):
        pass

    def teardown(self):
        del self.seen


class Words(Processor[str, str]):
    def process(self, text):
        yield from text.split()

    def finish(self):
        yield "end"


class Count(Processor):
    def process(self, words):
        return len(words)


class Letters(Processor):
    def process(self, words) -> Iterator[str]:
        for word in words:
            yield from word


class Both(Processor):
    def process(self, pair):
        count, letter = pair
        return count, letter


@processor
def shout(text, mark="!"):
    return f"{text}{mark}"


@processor
def join(words: list[str]):
    return " ".join(words)


@source
def lines(n=2):
    for number in range(n):
        yield f"line {number}"


def expressions():
    assert (Load("a b") >> Clean() >> Count()).run(engine="inline") == [2]
    Load("a") >> Clean() >> Count() * Letters() & Both()
    Load("a") >> Clean() >> (Count() * Letters()) >> shout & shout
    Load("a") >> Clean() >> Count() * Letters() & Join("zip") >> Both()
    Load("a") >> Clean() >> Count() * Pipe() & Join("zip") >> Both()
    Load("a") >> Clean() >> Count() % 3 & shout
    Load("a") >> Clean() >> Count() % AUTO >> shout
    Feed() >> Count() % 3
    lines >> shout >> Clean()
    lines.bind(n=3) >> shout.bind(mark="?") >> Words() * Count() & shout
    lines >> Clean() >> join >> shout
    for text in (lines >> shout).stream(engine="inline"):
        print(text)


def functions():
    lines >> Processor(lambda text: text + "!") >> Clean()
    lines >> Processor(lambda text: text.split()) >> Count() * Letters()
    double = Processor(lambda number: number * 2)
    Source([1, 2]) >> double >> double % 3 & double
    Source([1, 2]) >> double * double * double & Join("zip") >> Processor(max)
    Source(["1"]) >> Processor(int) >> Processor(partial(operator.mul, 2)) >> double
    Source({1: 2}) >> Processor(str) >> Processor(str.strip) >> Processor(print)
    print(shout("a"), lines(3))
