"""Count words: lines become words, workers share them, and each gives its counts at the end.

What it shows: a generator function gives any number of items for one; ``%`` shares the items among
workers, each with a state of its own; ``finish`` gives what was gathered; ``&`` joins the workers.

Expected output:

    is        10
    better     8
    than       8
    the        6
    to         5
"""

import contextlib
import io
import re
from collections import Counter
from collections.abc import Iterator

from conveyor import Processor, Source, processor

with contextlib.redirect_stdout(io.StringIO()) as zen:
    import this  # noqa: F401  (prints the Zen of Python)


@processor
def words(line: str) -> Iterator[str]:
    yield from re.findall(r"[a-z']+", line.lower())


class Count(Processor[str, Counter[str]]):
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def process(self, word: str) -> None:
        self.counts[word] += 1

    def finish(self) -> Counter[str]:
        return self.counts


class Total(Processor[Counter[str], list[tuple[str, int]]]):
    def __init__(self) -> None:
        self.total: Counter[str] = Counter()

    def process(self, counts: Counter[str]) -> None:
        self.total += counts

    def finish(self) -> list[tuple[str, int]]:
        return sorted(self.total.items(), key=lambda entry: (-entry[1], entry[0]))


pipeline = Source(zen.getvalue().splitlines()) >> words >> Count() % 3 & Total()

(ranking,) = pipeline.run()
for word, count in ranking[:5]:
    print(f"{word:8}{count:4}")
