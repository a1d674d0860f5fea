"""Handwritten digits, read by two models side by side, and what their votes say together.

It needs scikit-learn, which brings the 1,797 images along: pip install "conveyor-dsl[examples]".
Each model learns from the first half of them in its own worker, and then reads the second half.

Expected output:

    899 digits, read by
      ModelA  856 right  95.2%
      ModelB  835 right  92.9%
      both    861 right  95.8%
    The models disagree on 53, first on this 8 (ModelA 3, ModelB 6, both 3):
        ==##@@--
      ::@@@@@@++
      ::@@@@@@::
        ==@@@@++
        ##**==@@--
        @@--  @@++
        **%%%%@@--
        --##@@==
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from conveyor import Processor, Source

try:
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from threadpoolctl import threadpool_limits
except ImportError:
    raise SystemExit('this needs scikit-learn: pip install "conveyor-dsl[examples]"') from None

HALF = 898


@dataclass(frozen=True)
class Digit:
    number: int
    image: np.ndarray  # 8 by 8 pixels, in one row
    label: int


@dataclass(frozen=True)
class Opinion:
    model: str
    digit: Digit
    chances: np.ndarray  # for each of 0 to 9


class Load(Source[Digit]):
    def generate(self) -> Iterator[Digit]:
        images, labels = load_digits(return_X_y=True)
        for number in range(HALF, len(images)):
            yield Digit(number, images[number], int(labels[number]))


class Clean(Processor[Digit, Digit]):
    """Brings the pixels, 0 to 16 in the data, to 0 to 1."""

    def process(self, digit: Digit) -> Digit:
        return replace(digit, image=digit.image / 16)


class Model(Processor[Digit, Opinion]):
    kind: Any

    def setup(self) -> None:  # in the worker, before the first digit
        threadpool_limits(1)  # there are workers for all cores already
        images, labels = load_digits(return_X_y=True)
        self.trained = self.kind.fit(images[:HALF] / 16, labels[:HALF])

    def process(self, digit: Digit) -> Opinion:
        return Opinion(type(self).__name__, digit, self.trained.predict_proba([digit.image])[0])


class ModelA(Model):
    kind = KNeighborsClassifier(5, metric="cosine", weights="distance")


class ModelB(Model):
    kind = LogisticRegression(C=0.3, tol=1e-6, max_iter=1000)


class Report(Processor[Opinion, str]):
    """Compares what the models say of each digit; their opinions come in any order."""

    def __init__(self) -> None:
        self.digits: dict[int, Digit] = {}
        self.chances: dict[int, dict[str, np.ndarray]] = defaultdict(dict)

    def process(self, opinion: Opinion) -> None:
        self.digits[opinion.digit.number] = opinion.digit
        self.chances[opinion.digit.number][opinion.model] = opinion.chances

    def finish(self) -> str:
        read = {number: self.readings(number) for number in sorted(self.digits)}
        lines = [f"{len(read)} digits, read by"]
        for reader in ("ModelA", "ModelB", "both"):
            right = sum(read[number][reader] == self.digits[number].label for number in read)
            lines.append(f"  {reader:6}  {right} right  {right / len(read):.1%}")
        apart = [number for number in read if read[number]["ModelA"] != read[number]["ModelB"]]
        first = self.digits[apart[0]]
        says = ", ".join(f"{reader} {digit}" for reader, digit in read[first.number].items())
        lines.append(f"The models disagree on {len(apart)}, first on this {first.label} ({says}):")
        return "\n".join(lines + drawing(first.image))

    def readings(self, number: int) -> dict[str, int]:
        """The digit that each model holds most likely, and the vote: that of both together."""
        chances = dict(sorted(self.chances[number].items()))
        chances["both"] = chances["ModelA"] + chances["ModelB"]
        return {reader: int(of_each.argmax()) for reader, of_each in chances.items()}


def drawing(image: np.ndarray) -> list[str]:
    shades = np.array(list(" :-=+*%#@"))[(image.reshape(8, 8) * 8).round().astype(int)]
    return ["".join(shade * 2 for shade in row).rstrip() for row in shades]


(report,) = (Load() >> Clean() >> (ModelA() * ModelB()) & Report()).run()
print(report)
