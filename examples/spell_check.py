"""Find misspelt words and what was meant: a fork within a fork.

What it shows: a bare ``Pipe()`` as a branch hands every word on as it is, beside what the other
branch finds out about it; ``Join("zip")`` puts the two together. The other branch is a fork of its
own, of two ways to guess, joined inside its parentheses. Where a branch gives None the word is
left out, so that only the misspelt ones arrive.

Expected output:

    evrey -> every
    proccessed -> processed
    teh -> the
    recieves -> receives
    quikly -> ?
"""

import difflib
import re
from collections.abc import Iterator

from conveyor import Feed, Join, Pipe, processor

TEXT = ["Evrey item is proccessed by one worker,", "and teh join recieves the results quikly."]


@processor
def words(line: str) -> Iterator[str]:
    yield from re.findall(r"\w+", line.lower())


# Decorated functions can still be called.
KNOWN = [*words("and by every is item join one processed receives results the worker")]


@processor
def same_letters(word: str) -> list[str] | None:
    """Guess words of the same letters in another order; None for a word that is known."""
    if word in KNOWN:
        return None
    return [known for known in KNOWN if sorted(known) == sorted(word)]


@processor
def similar(word: str) -> list[str]:
    return difflib.get_close_matches(word, KNOWN)


@processor
def best(guesses: tuple[list[str], list[str]]) -> str:
    return [*guesses[0], *guesses[1], "?"][0]


guess = same_letters * similar & Join("zip") >> best
pipeline = Feed() >> words >> Pipe() * guess & Join("zip")

for word, meant in pipeline.run(TEXT, ordered=True):
    print(word, "->", meant)
