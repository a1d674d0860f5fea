"""What the account of a run says besides what became of the items."""

from __future__ import annotations

import json
import pickle
import sys
import time

import pytest

from conveyor import AUTO, Auto, Feed, Join, Pipe, Processor, UsageError
from tests.engines.engines import ENGINES


def slow(item):
    time.sleep(0.003)
    return item


same = Processor(abs)


class Walk(Processor):
    def process(self, item):
        yield from range(item)


def test_every_item_of_a_processor_is_timed(on):
    stats = (Feed() >> same >> Walk() >> Processor(slow)).run(range(8), **on).stats
    assert [stats[name].service.items for name in ("abs", "walk", "slow")] == [8, 8, 28]


def test_slow_items_are_timed_one_by_one(on):
    """Every tenth item is a thousand times slower; a mean of batches would hide that."""

    def uneven(item):
        time.sleep(0.02 if item % 10 == 0 else 0.0002)
        return item

    service = (Feed() >> Processor(uneven)).run(range(100), **on).stats["uneven"].service
    assert service.p50 < 0.02 <= service.p99 * 1.07


def slow_twice(item):
    yield item
    yield slow(item)


@pytest.mark.parametrize("stage", [slow, slow_twice])
def test_what_a_careful_stage_takes_is_timed(stage, on):
    pipeline = Feed() >> Processor(stage).options(name="slow", on_error="skip")
    service = pipeline.run(range(5), **on).stats["slow"].service
    assert (service.items, service.p50 > 0.002) == (5, True)


def test_a_slow_processor_is_busy_and_those_beside_it_wait():
    stats = (Feed() >> same >> Processor(slow) >> Processor(repr)).run(range(200)).stats
    before, busy, behind = (stats[name] for name in ("abs", "slow", "repr"))
    assert before.share(before.blocked) > 0.5
    assert busy.share(busy.busy) > 0.5
    assert behind.share(behind.starved) > 0.5
    assert busy.cpu < busy.busy / 2  # it slept


def test_the_consumer_is_the_output():
    for _ in (pipeline := (Feed() >> same).open()).stream(range(20)):
        time.sleep(0.003)
    stats = pipeline.stats()
    pipeline.close()
    assert 20 * 0.003 < stats["output"].busy < stats.elapsed
    assert stats["feed"].busy < stats["output"].busy


def test_the_bytes_that_were_pickled_are_counted_on_both_sides():
    stats = (Feed() >> Processor(bytes) >> Processor(len)).run([1000] * 50).stats
    assert stats["bytes"].bytes_out == stats["len"].bytes_in > 50_000
    assert stats["feed"].bytes_out == stats["bytes"].bytes_in < 50_000
    assert 0 < stats["bytes"].pickling < stats["bytes"].busy


def test_what_stays_in_a_process_has_no_bytes():
    stats = (Feed() >> Processor(bytes) >> Processor(len)).run([1000] * 50, processes=1).stats
    assert (stats["bytes"].bytes_out, stats["len"].bytes_in, stats.processes) == (0, 0, 1)


def test_workers_of_one_process_take_turns():
    """So that their shares of the time add up to no more than one."""
    pipeline = Feed() >> Processor(slow) >> Processor(slow) >> Processor(slow)
    stats = pipeline.run(range(50), processes=1).stats
    busy = [one.share(one.busy) for name, one in stats.elements.items() if "slow" in name]
    assert len(busy) == 3
    assert sum(busy) < 1.01


def test_each_copy_has_figures_of_its_own():
    stats = (Feed() >> Processor(slow) % Auto(2, 2) & same).run(range(20)).stats
    workers = stats["slow"].workers
    assert [one.name for one in workers] == ["slow", "slow+1"]
    assert len({one.process for one in workers}) == 2
    assert sum(one.items_in for one in workers) == stats["slow"].items_in == 20
    assert all(one.balances for one in workers)


def test_the_memory_of_a_worker_is_its_peak():
    class Large(Processor):
        def process(self, size):
            return len(b"x" * size)

    stats = (Feed() >> same >> Large()).run([60_000_000, 1]).stats
    assert stats["large"].peak_memory > stats["abs"].peak_memory + 40_000_000


def test_the_figures_of_a_warm_run_are_its_own():
    with (Feed() >> Processor(slow)).open() as live:
        first, second = live.run(range(20)).stats, live.run(range(5)).stats
    assert (first["slow"].service.items, second["slow"].service.items) == (20, 5)
    (worker,) = second["slow"].workers
    assert (worker.items_in, worker.items_out) == (5, 5)
    assert second["slow"].busy < first["slow"].busy


@pytest.mark.parametrize("how", ENGINES)
def test_a_run_that_is_under_way_has_an_account(how):
    with (Feed() >> same >> Walk() >> Processor(slow)).open(**ENGINES[how]) as live:
        assert live.stats() is None
        stream = live.stream([10] * 20)
        for _ in range(30):
            next(stream)
        during = live.stats()
        assert not during.is_complete
        assert during["output"].items_out >= 30
        assert during["slow"].items_in >= max(30, during["slow"].items_out)
        assert during["slow"].items_out > 0
        assert 0 < during["abs"].items_out <= 20
        assert during.elapsed > 0
        rest = list(stream)
        after = live.stats()
    assert after.is_complete
    assert (len(rest), after["slow"].items_out) == (170, 200)
    assert after["slow"].busy > during["slow"].busy


def test_forks_and_joins_have_an_account_while_they_run(on):
    pipeline = Feed() >> same * Pipe() * Walk() & Join("zip") >> Processor(repr) % 2
    with pipeline.open(**on) as live:
        for n, _ in enumerate(live.stream([1] * 500)):
            if n % 20 == 0:
                during = live.stats()
                fork, parts = during["fork"], [during[name].items_out for name in ("abs", "walk")]
                assert (fork.items_out, fork.added) == (3 * fork.items_in, 2 * fork.items_in)
                assert during["output"].items_out <= during["zip"].items_out <= min(parts)
    assert live.stats()["zip"].items_out == 500


@pytest.mark.parametrize("how", ENGINES)
def test_at_no_time_has_anybody_taken_more_than_was_given(how):
    pipeline = Feed() >> same >> Walk() >> Processor(repr)
    with pipeline.open(**ENGINES[how]) as live:
        for n, _ in enumerate(live.stream([1] * 2000)):
            if n % 20 == 0:
                rows = live.stats()
                counts = [
                    count for name in rows for count in (rows[name].items_in, rows[name].items_out)
                ]
                assert counts == sorted(counts, reverse=True)


def test_it_is_a_table_of_what_there_is_to_say():
    stats = (Feed() >> same % 2 & Processor(repr)).run(range(50)).stats
    accounts, times, end = str(stats).split("\n\n")
    assert accounts.splitlines()[0].split() == ["in", "out"]
    assert [line.split()[0] for line in times.splitlines()[1:]] == [
        name for name in stats if stats[name].workers
    ]
    assert end.endswith(" s")


def test_a_prompt_shows_it_as_tables_and_a_snapshot_on_a_line():
    seen = []
    stats = (Feed() >> Processor(abs)).run(range(3), progress=seen.append).stats
    assert repr(stats) == str(stats)
    assert "[" not in repr(stats["abs"].service)
    assert repr(seen[-1]).startswith(
        "Snapshot(items_in=3, items_out=3, failed=0, length=3, elapsed=0"
    )
    assert repr(seen[-1]).endswith("is_last=True)")


def test_an_element_that_is_not_there_is_told_with_those_that_are():
    stats = (Feed() >> Processor(abs)).run([1], engine="inline").stats
    with pytest.raises(KeyError, match="there is no element 'ab', but: feed, abs, output"):
        stats["ab"]


def test_it_becomes_plain_values():
    stats = (Feed() >> same % AUTO).run(range(50)).stats
    plain = json.loads(stats.to_json())
    assert plain == json.loads(json.dumps(stats.to_dict()))
    assert plain["elements"]["abs"]["service"]["items"] == 50
    assert sum(worker["items_in"] for worker in plain["elements"]["abs"]["workers"]) == 50
    assert plain["elements"]["abs"]["restarts"] == 0


def test_it_can_be_kept_and_keeps_no_processor():
    class Heavy(Processor):
        def __init__(self):
            self.load = b"x" * 1_000_000

        def process(self, item):
            return item

    stats = (Feed() >> Heavy()).run([1, 2]).stats
    again = pickle.loads(data := pickle.dumps(stats))
    assert again.elements == stats.elements
    assert again.graph == stats.graph
    assert len(data) < 100_000
    assert pickle.loads(pickle.dumps(stats)).elements == stats.elements  # they have been looked at


def test_it_becomes_a_frame():
    pytest.importorskip("pandas")
    frame = (Feed() >> same >> Processor(repr)).run(range(50)).stats.to_pandas()
    assert list(frame.index) == ["feed", "abs", "repr", "output"]
    assert (frame.loc["abs", "items_in"], frame.loc["repr", "service_items"]) == (50, 50)


def test_a_frame_needs_pandas_and_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    stats = (Feed() >> same).run([1], engine="inline").stats
    with pytest.raises(UsageError, match="pip install pandas"):
        stats.to_pandas()
