"""The types, as both checkers show them to a project that has the package installed."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

import conveyor
from tests.typing import loose, passes

HERE = Path(__file__).parent
CHECKERS = ("mypy", "pyright")
SECONDS = 100  # a checker that wants a download and finds no network must not hang

Errors = dict[str, dict[int, list[str]]]
"""What a checker found, by file and line."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of a user: these files, and an environment with the package."""
    root = tmp_path_factory.mktemp("project")
    builder = venv.EnvBuilder(symlinks=True, with_pip=False)
    builder.create(root / ".venv")
    (site,) = (root / ".venv").glob("lib/python3*/site-packages")
    package = Path(conveyor.__file__).parent
    shutil.copytree(package, site / "conveyor", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(HERE, root / "tests" / "typing", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "tests" / "__init__.py").touch()
    settings = {
        "include": ["tests"],
        "typeCheckingMode": "strict",
        "reportUnusedExpression": "none",  # the files are full of them
    }
    (root / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    return root


@pytest.fixture(scope="module", params=CHECKERS)
def checker(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if importlib.util.find_spec(name) is None:
        pytest.skip(f'{name} is not installed; it comes with pip install -e ".[dev]"')
    return name


@pytest.fixture(scope="module")
def errors(checker: str, project: Path) -> Errors:
    return {"mypy": mypy, "pyright": pyright}[checker](project)


def mypy(project: Path) -> Errors:
    out = run(
        project,
        *("mypy", "--strict", "--output=json", "--no-incremental", "--cache-dir=/dev/null"),
        *(f"--python-executable={project}/.venv/bin/python", "tests/typing"),
    )
    found: Errors = {}
    for line in out.splitlines():
        report = json.loads(line)
        if report["severity"] == "error":
            note(found, report["file"], report["line"], f"{report['message']} [{report['code']}]")
    return found


def pyright(project: Path) -> Errors:
    python = f"{project}/.venv/bin/python"
    out = run(project, "pyright", "--outputjson", f"--pythonpath={python}")
    found: Errors = {}
    for report in json.loads(out)["generalDiagnostics"]:
        if report["severity"] == "error":
            line = report["range"]["start"]["line"] + 1
            message = f"{report['message'].splitlines()[0]} [{report.get('rule')}]"
            note(found, report["file"], line, message)
    return found


def run(project: Path, *command: str) -> str:
    """What a checker prints; it ends with 1 where it found errors, with more where it failed."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def note(found: Errors, file: str, line: int, message: str) -> None:
    found.setdefault(Path(file).name, {}).setdefault(line, []).append(message)


MARK = re.compile(r"  # error(?:: (?P<only>\w+) only)?$")


def wanted(source: list[str], checker: str) -> set[int]:
    """The lines that are marked as errors for a checker."""
    marks = {number: MARK.search(line) for number, line in enumerate(source, 1)}
    return {number for number, mark in marks.items() if mark and mark["only"] in (None, checker)}


def differences(file: str, errors: Errors, checker: str) -> str:
    """The lines where a checker finds an error and none is marked, or the other way round."""
    source = (HERE / file).read_text(encoding="utf-8").splitlines()
    found = errors.get(file, {})
    lines = sorted(wanted(source, checker) ^ found.keys())
    return "\n".join(
        f"{file}:{line}: {source[line - 1].strip()}\n"
        f"    {checker} finds {'; '.join(found.get(line, ['no error']))}"
        for line in lines
    )


@pytest.mark.slow
@pytest.mark.parametrize("file", ["passes.py", "loose.py"])
def test_a_checker_accepts_what_fits(file: str, checker: str, errors: Errors):
    assert not (wrong := differences(file, errors, checker)), wrong


@pytest.mark.slow
def test_a_checker_refuses_what_does_not_fit(checker: str, errors: Errors):
    assert not (wrong := differences("fails.py", errors, checker)), wrong


def test_few_mistakes_are_seen_by_one_checker_only():
    source = (HERE / "fails.py").read_text(encoding="utf-8").splitlines()
    seen = [wanted(source, checker) for checker in CHECKERS]
    assert len(seen[0] & seen[1]) > 100
    assert len(seen[0] ^ seen[1]) <= 3


def functions(*modules: ModuleType) -> list[Callable[[], None]]:
    return [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, FunctionType) and value.__module__ == module.__name__
    ]


@pytest.mark.quick
@pytest.mark.parametrize("function", functions(passes, loose), ids=lambda it: it.__name__)
def test_what_the_checkers_accept_is_accepted_at_run_time(function: Callable[[], None]):
    function()


@pytest.mark.quick
def test_the_package_says_that_it_is_typed():
    assert resources.files("conveyor").joinpath("py.typed").is_file()


@pytest.mark.quick
@pytest.mark.parametrize(
    "hint",
    [
        "Element[str, int]",
        "Pipeline[str, int]",
        "Processor[str, int]",
        "Source[int]",
        "Feed[int]",
        "ReplicatedFork[str, int]",
        "ReplicatedFork[str, int, tuple[int, int]]",
        "BalancedFork[str, int]",
    ],
)
def test_a_hint_can_be_evaluated(hint: str):
    eval(hint, vars(conveyor))
