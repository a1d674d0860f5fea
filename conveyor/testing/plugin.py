"""The pytest plugin: tests that run pipelines end, leave nothing, and hold in any order.

It is loaded in every run of pytest where Conveyor is installed, so it imports nothing that a
test has not asked for, and does nothing to tests that neither use its fixtures nor have its mark.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from conveyor.testing import Run

if TYPE_CHECKING:
    from conveyor.engines.opening import EngineName
    from conveyor.testing.guard import Guard

LIMIT = 120.0
"""Seconds that a test may take where nothing else is said: that is no test, but a hang."""

MARK = "conveyor"
_EACH = "conveyor_run_each"
_SEED = "conveyor_seed"

_guard_key: pytest.StashKey[Guard] = pytest.StashKey()


@dataclass(frozen=True, slots=True)
class _Way:
    """A way to run a test: on an engine, in an order."""

    engine: EngineName | None
    seed: int | None

    def __str__(self) -> str:
        parts = [self.engine, None if self.seed is None else f"seed{self.seed}"]
        return "-".join(part for part in parts if part) or "own-order"


# -- settings --


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options to the command line and to the configuration file."""
    group = parser.getgroup("conveyor", "pipelines of conveyor")
    group.addoption(
        "--conveyor-seeds",
        type=int,
        default=0,
        metavar="N",
        help="run tests of pipelines N times more, each time with the inline engine in another "
        "order that is permitted: seeds 0 to N-1",
    )
    group.addoption(
        "--conveyor-seed",
        type=int,
        action="append",
        default=[],
        metavar="SEED",
        help="run tests of pipelines in the order of this seed alone; may be given again",
    )
    group.addoption(
        "--conveyor-limit",
        type=float,
        metavar="SECONDS",
        help="break a test of pipelines off after so long, and report who waits for whom; "
        f"0 for no limit (default: conveyor_limit in the configuration, or {LIMIT:g})",
    )
    parser.addini(
        "conveyor_limit",
        f"seconds that a test of pipelines may take; 0 for no limit (default: {LIMIT:g})",
        type=_number(),
        default=LIMIT,
    )


def _number() -> Any:
    """The type of a number in a configuration: TOML has it without quotes, other files as text."""
    if pytest.version_tuple >= (9, 2):
        return float | str  # of a text that is none, pytest would not say whose it is
    return "float" if pytest.version_tuple >= (8, 4) else None


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known, and refuse settings that make no sense."""
    config.addinivalue_line(
        "markers",
        f"{MARK}(limit=None): the test runs pipelines: it must end within limit seconds, leave "
        "nothing behind, and hold in the order of each of --conveyor-seeds",
    )
    if config.option.conveyor_seeds < 0:
        raise pytest.UsageError("--conveyor-seeds takes a number of 0 or more")
    _limit(config, None)


def _limit(config: pytest.Config, own: Any) -> float | None:
    """The seconds that a test may take; None for as long as it likes."""
    if config.getoption("usepdb", default=False):  # there is none with -p no:debugging
        return None
    given = next(
        value
        for value in (own, config.option.conveyor_limit, _configured_limit(config))
        if value is not None
    )
    try:
        return float(given) if float(given) > 0 else None
    except (TypeError, ValueError):
        raise pytest.UsageError(f"conveyor_limit takes seconds, not {given!r}") from None


def _configured_limit(config: pytest.Config) -> Any:
    try:
        return config.getini("conveyor_limit")
    except ValueError as error:
        raise pytest.UsageError(f"conveyor_limit takes seconds: {error}") from None


def _own_limit(item: pytest.Item) -> Any:
    """What the mark of a test says of its limit; None where it says nothing."""
    mark = item.get_closest_marker(MARK)
    if mark is None:
        return None
    if mark.args or not {"limit"}.issuperset(mark.kwargs):
        named = (f"{name}={value!r}" for name, value in mark.kwargs.items())
        given = ", ".join([*map(repr, mark.args), *named])
        told = f"@pytest.mark.{MARK} takes limit=SECONDS and nothing else, not ({given})"
        pytest.fail(told, pytrace=False)
    return mark.kwargs.get("limit")


# -- which tests, and how often --


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let tests of pipelines run once for each engine that they ask for, and each seed."""
    options = metafunc.config.option
    seeds = options.conveyor_seed or [None, *range(options.conveyor_seeds)]
    if _EACH in metafunc.fixturenames:
        ways = [*(_Way("inline", seed) for seed in seeds), _Way("processes", None)]
        metafunc.parametrize(_EACH, ways, indirect=True, ids=str)
    elif seeds != [None] and _runs_pipelines(metafunc.definition, metafunc.fixturenames):
        if _SEED not in metafunc.fixturenames:
            metafunc.fixturenames.append(_SEED)
        ways = [_Way(None, seed) for seed in seeds]
        metafunc.parametrize(_SEED, ways, indirect=True, ids=str)


def _runs_pipelines(item: pytest.Item, fixtures: list[str]) -> bool:
    named = {"conveyor_run", _EACH, _SEED}
    return item.get_closest_marker(MARK) is not None or not named.isdisjoint(fixtures)


def _way(item: pytest.Item) -> _Way:
    callspec = getattr(item, "callspec", None)
    params: dict[str, Any] = callspec.params if callspec is not None else {}
    found = params.get(_EACH, params.get(_SEED))
    return found if isinstance(found, _Way) else _Way(None, None)


# -- fixtures --


@pytest.fixture
def conveyor_run() -> Run:
    """Runs a pipeline: ``conveyor_run(pipeline, items, engine="inline", ordered=True)``.

    The arguments are those of ``pipeline.run``. The test has a limit, after which a report says
    who waits for whom, and fails if it leaves a process, descriptor, thread or shared memory.
    """
    return Run()


@pytest.fixture
def conveyor_run_each(request: pytest.FixtureRequest) -> Run:
    """Like ``conveyor_run``, and the test runs on each engine, and inline with each seed."""
    way: _Way = request.param
    return Run(way.engine)


@pytest.fixture
def conveyor_seed(request: pytest.FixtureRequest) -> int | None:
    """The seed that decides in which order the inline engine runs; None for its own order."""
    way: _Way | None = getattr(request, "param", None)
    return way.seed if way is not None else None


# -- around a test --


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let what fixtures run be in the order of the seed, too."""
    seed = _way(item).seed
    if seed is None:
        return (yield)
    from conveyor.testing.guard import in_order_of

    with in_order_of(seed):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Hold a test of pipelines to its limit, and to leaving nothing."""
    if not _runs_pipelines(item, getattr(item, "fixturenames", [])):
        return (yield)
    from conveyor.testing.guard import Guard, Hung, Leaked

    limit = _limit(item.config, _own_limit(item))
    guard = Guard(limit, _way(item).seed)
    item.config.stash[_guard_key] = guard
    result = problem = None
    try:
        with guard.around():
            result = yield
    except (Hung, Leaked) as found:
        problem = str(found)
    finally:
        del item.config.stash[_guard_key]
    if problem is not None:
        pytest.fail(problem, pytrace=False)  # out here, so that it is told alone
    return result


def pytest_enter_pdb(config: pytest.Config) -> None:
    """Who debugs may take as long as they like."""
    guard = config.stash.get(_guard_key, None)
    if guard is not None:
        guard.stand_aside()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Name the seed of a test that fails."""
    report: pytest.TestReport = yield
    seed = _way(item).seed
    if report.failed and seed is not None:
        told = (
            f"the inline engine ran in the order of seed {seed}; once more: --conveyor-seed={seed}"
        )
        report.sections.append(("conveyor", told))
    return report
