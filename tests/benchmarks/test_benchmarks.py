"""The benchmarks run, check what they measure, and write their page."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("benchmarks", reason="the benchmarks are not beside the tests")

from benchmarks import beside, measure, report, runner
from benchmarks.beside import Beside, Cost
from benchmarks.contest import Contestant, Run
from benchmarks.results import Record
from benchmarks.targets import Target
from benchmarks.workloads import WORKLOADS

pytestmark = pytest.mark.quick

CHAIN3 = WORKLOADS["chain3"]


def test_a_workload_runs_from_end_to_end():
    record = Record("chain3", {})
    few = [replace(one, needs=None) for one in CHAIN3.contestants[:2]]
    tiny = replace(CHAIN3, contestants=tuple(few))

    runner.run(tiny, record, rounds=2, scale=0.001, tell=lambda _: None)

    assert record.failures == {}
    assert {name: len(rounds) for name, rounds in record.rounds.items()} == {
        "conveyor": 2,
        "hand-raw b=1024": 2,
    }
    assert all(r["items/s"] > 0 for rounds in record.rounds.values() for r in rounds)


def test_a_wrong_result_has_no_time(monkeypatch):
    wrong = Contestant("wrong", lambda size: Run([0] * size, 1.0), 10)
    monkeypatch.setitem(WORKLOADS, "chain3", replace(CHAIN3, contestants=(wrong,)))

    assert set(measure.measure("chain3", "wrong", 10)) == {"wrong"}


def test_what_fails_or_is_not_installed_is_told_and_the_others_go_on():
    gone = Contestant("gone", CHAIN3.contestants[0].run, 10)
    absent = replace(gone, name="absent", needs="there-is-no-such-package")
    record = Record("chain3", {})
    contest = replace(CHAIN3, contestants=(gone, absent, CHAIN3.contestant("serial")))

    runner.run(contest, record, rounds=2, scale=0.001, tell=lambda _: None)

    assert record.failures["absent"] == "not installed"
    assert record.failures["gone"].startswith("failed")
    assert len(record.rounds["serial"]) == 2


def test_what_hangs_is_killed():
    outcome = runner.measure(CHAIN3, CHAIN3.contestant("serial"), 10**12, limit=0.01)

    assert outcome == "hung: killed after 0.01 s"


def test_a_ratio_is_taken_within_the_rounds_that_both_have():
    target = Target("at least", 0.5, "items/s", ("other",))
    rounds = {
        "conveyor": [{"items/s": 1.0}, {"items/s": 20.0}, {"items/s": 3.0}],
        "other": [{"items/s": 2.0}, {"items/s": 40.0}, {}],
    }

    assert target.figure(rounds) == 0.5
    assert target.is_met(0.5)
    assert not target.is_met(0.4)


def test_what_a_feature_costs_is_the_least_beside_the_least():
    plain = [Cost(2.0, 5.0, 0.0), Cost(3.0, 4.0, 0.0)]
    other = [Cost(4.0, 6.0, 0.1), Cost(2.5, 8.0, 0.3), Cost(5.0, 7.0, 0.2)]

    values = beside.score(Run(Beside([], plain, other), 1.0), 1000)

    assert values["of the rate without"] == 2.0 / 2.5
    assert values["times the CPU without"] == 6.0 / 4.0
    assert (values["items/s"], values["ms afterwards"]) == (400, 200)
    met = [
        target.is_met(values[target.metric])
        for share in (0.1, 0.3, 0.6)
        for target in beside.at_most(share, "conveyor")
    ]
    assert met == [False, False, True, False, True, True]


@pytest.mark.parametrize("name", ["restarts", "seeing"])
def test_both_ways_have_their_turns_and_all_their_results_are_checked(name, monkeypatch):
    monkeypatch.setattr(beside, "PAIRS", 3)
    for one in WORKLOADS[name].contestants:
        run = one.run(100)
        assert (len(run.result.plain), len(run.result.other)) == (3, 3)
        assert WORKLOADS[name].answer(run.result) == WORKLOADS[name].expected(100)
        assert WORKLOADS[name].answer(run.result) != WORKLOADS[name].expected(101)


def test_the_best_of_several_counts():
    rounds = {"conveyor": [{"ms": 6.0}], "slow": [{"ms": 12.0}], "fast": [{"ms": 3.0}]}

    assert Target("at most", 1.5, "ms", ("slow", "fast")).figure(rounds) == 2.0
    assert Target("at most", 1.5, "ms", ("slow", "absent"), by="excess").figure(rounds) == -6.0
    assert Target("at most", 1.5, "ms", ("absent",)).figure(rounds) is None


def test_the_results_are_written_into_the_page(tmp_path):
    record = Record(
        "chain3",
        {"python": "3.11"},
        {
            "conveyor": [{"items/s": 2e6}, {"items/s": 4e6}],
            "hand-raw b=1024": [{"items/s": 4e6}, {"items/s": 5e6}],
        },
        {"pypeln": "not installed"},
    )
    record.save(tmp_path)
    kept = Record.load("chain3", tmp_path)
    assert kept == record
    page = f"before\n{report.START}\nold\n{report.END}\nafter\n"

    text = report.inserted(page, report.summary([(CHAIN3, record)], "picture.svg"))

    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| conveyor | 3 M (2 M-4 M) | 1 |" in text
    assert "| chain3 | items/s: at least 0.7 x hand-raw b=1024 | 0.65 | MISSED |" in text
    assert "- chain3 (items/s): hand-raw b=1024 1.5 times" in text
    assert "pypeln: not installed" in text
    assert text == report.inserted(text, report.summary([(CHAIN3, record)], "picture.svg"))


def test_results_kept_before_a_metric_was_thought_of_have_their_page():
    later = replace(CHAIN3.metrics[0], name="ms a run")
    target = Target("at most", 2, later.name)
    against = replace(target, against=("serial",))
    contest = replace(CHAIN3, metrics=(*CHAIN3.metrics, later), targets=(target, against))
    record = Record("chain3", {"python": "3.11"})
    record.rounds["conveyor"] = [{"items/s": 2e6}, {"items/s": 2e6, later.name: 7}]
    record.rounds["serial"] = [{"items/s": 5e6}, {}]

    text = report.summary([(contest, record)], "picture.svg")

    assert "| conveyor | 2 M (2 M-2 M) | 7 | 1 |" in text
    assert "| serial | 5 M | - | 2.5 |" in text
    assert "| chain3 | ms a run: at most 2 | 7 | MISSED |" in text
    assert "| chain3 | ms a run: at most 2 x serial | - | not measured |" in text
    assert report.contestants(replace(contest, metrics=(later,)), record) == [
        ["", "ms a run", "of Conveyor's"],
        ["conveyor", "7", "1"],
    ]


def test_a_page_says_that_nothing_has_been_measured():
    text = report.inserted(f"{report.START}{report.END}", report.summary([], "picture.svg"))

    assert "Nothing has been measured yet." in text


def test_a_page_without_its_marks_is_refused():
    with pytest.raises(ValueError, match="the page needs"):
        report.inserted("no marks", "results")


def test_every_workload_is_whole():
    for name, workload in WORKLOADS.items():
        names = [one.name for one in workload.contestants]
        metrics = {metric.name for metric in workload.metrics}
        assert workload.name == name
        assert len(set(names)) == len(names)
        for target in workload.targets:
            assert {target.contestant, *target.against} <= set(names)
            assert target.metric in metrics
