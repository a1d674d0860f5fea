"""Will the project be done in 45 days? Simulate it until the answer is precise enough, then stop.

What it shows: an endless source; ``% AUTO`` for as many workers as pay off; ``bind`` to fix an
argument; ``stream`` gives results as they come, and leaving its loop stops the workers. The items
are seeds, and the results come in their order, so that the answer is the same on every machine.

Expected output:

    45,000 projects simulated
    77.2% of them were done in 45 days (give or take 0.4%)
"""

import math
import random
from collections.abc import Iterator
from itertools import count

from conveyor import AUTO, processor, source

TASKS = {  # in days: at best, at worst, most likely
    "design": (4, 10, 5),
    "build": (10, 35, 15),
    "test": (5, 20, 8),
    "release": (1, 5, 2),
}


@source
def seeds() -> Iterator[int]:
    yield from count()


@processor
def simulate(seed: int, *, deadline: int) -> int:
    """How many of a thousand projects meet the deadline."""
    dice = random.Random(seed)
    return sum(
        sum(dice.triangular(*days) for days in TASKS.values()) <= deadline for _ in range(1000)
    )


projects = in_time = 0
for more in (seeds >> simulate.bind(deadline=45) % AUTO).stream(ordered=True):
    projects, in_time = projects + 1000, in_time + more
    chance = in_time / projects
    error = 2 * math.sqrt(chance * (1 - chance) / projects)
    if error < 0.004:
        break

print(f"{projects:,} projects simulated")
print(f"{chance:.1%} of them were done in 45 days (give or take {error:.1%})")
