"""Frames and images: they go through shared memory, though none of them knows of Conveyor."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image

from conveyor import Feed, Processor
from tests.engines.test_large import arena_bytes, place

ROWS = 50_000


def pandas_frame():
    numbers = np.arange(ROWS)
    return pd.DataFrame({"n": numbers, "half": numbers / 2, "text": [f"row {n}" for n in numbers]})


def polars_frame():
    numbers = np.arange(ROWS)
    return pl.DataFrame({"n": numbers, "half": numbers / 2, "text": [f"row {n}" for n in numbers]})


def image():
    pixels = np.arange(400 * 300 * 3, dtype=np.uint32).reshape(300, 400, 3)
    return Image.fromarray(pixels.astype(np.uint8))


ITEMS = {"pandas": (pandas_frame, ROWS * 16), "polars": (polars_frame, ROWS * 16)}
ITEMS["image"] = image, 400 * 300 * 3


class InSharedMemory(Processor):
    """Gives an item on, with the bytes of shared memory that are in use while it is here."""

    def process(self, item):
        return item, arena_bytes()


def same(one, other):
    return one == other if isinstance(one, Image.Image) else one.equals(other)


@pytest.mark.parametrize("kind", ITEMS)
def test_it_arrives_as_it_was_by_shared_memory(kind):
    make, size = ITEMS[kind]
    item = make()

    results = (Feed() >> InSharedMemory()).run([item, item])

    assert all(same(result, item) for result, _ in results)
    assert all(used >= size for _, used in results)


def change(frame):
    frame.loc[:, "n"] += 1
    return frame


def test_a_frame_of_pandas_is_read_where_it_lies():
    where = Processor(lambda frame: place(frame["half"].to_numpy())[0])
    assert (Feed() >> where).run([pandas_frame()]) == ["shared"]


def test_what_a_stage_changes_in_a_frame_is_seen_by_nobody_else():
    frame = pandas_frame()

    results = (Feed() >> Processor(change) * Processor(lambda one: one)).run([frame])

    sums = sorted(int(one["n"].sum()) for one in results)
    assert sums == [int(frame["n"].sum()), int(frame["n"].sum()) + ROWS]
    assert frame.equals(pandas_frame())
