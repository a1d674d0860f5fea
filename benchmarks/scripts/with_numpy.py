"""A stage whose module imports numpy."""

import numpy as np


def stage(x: int) -> int:
    """Add one, with numpy."""
    return int(np.add(x, 1))
