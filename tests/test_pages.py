"""The README and the documentation do what they say: their blocks, commands and links."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import conveyor
from tests import pages

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
GUIDES = sorted((ROOT / "docs").rglob("*.md"))
RUNNABLE = [page for page in GUIDES if any(block.runs for block in pages.blocks(page))]
OTHERS = [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "benchmarks" / "README.md"]


def named(*files):
    return [pytest.param(file, id=str(file.relative_to(ROOT))) for file in files]


def run(page, folder):
    """Run the blocks of a page as its reader would. The limit only keeps a hang from lasting."""
    path = folder / f"{page.stem}.py"
    path.write_text(pages.script(page), "utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", path],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONUTF8": "1",
            "PYTHONUNBUFFERED": "1",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=250,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return pages.by_block(done.stdout)


def check_blocks(page, folder):
    want, got = pages.promised(page), run(page, folder)

    fits = doctest.OutputChecker().check_output
    # Columns are as wide as the figures in them.
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    unlike = [
        line
        for line in want
        if not fits(want[line], got.get(line, ""), flags if "..." in want[line] else 0)
    ]
    told = [f"line {line} says\n{want[line]}but prints\n{got.get(line)}" for line in unlike]
    assert not told, "\n".join(told)


@pytest.mark.quick
def test_the_blocks_of_the_readme_print_what_they_say(tmp_path):
    check_blocks(README, tmp_path)


@pytest.mark.parametrize("page", named(*RUNNABLE))
def test_the_blocks_of_a_page_print_what_they_say(page, tmp_path):
    check_blocks(page, tmp_path)

    for picture in tmp_path.glob("*.svg"):  # what a page draws is the picture that it shows
        shown = ROOT / "docs" / "pictures" / picture.name
        if f"pictures/{picture.name})" in page.read_text("utf-8"):
            assert picture.read_text("utf-8") == shown.read_text("utf-8")


@pytest.mark.parametrize("page", named(README, *GUIDES))
def test_every_block_is_found(page):
    assert len(pages.blocks(page)) * 2 == page.read_text("utf-8").count("```")


def test_few_blocks_are_not_run():
    runnable = [
        block
        for page in (README, *GUIDES)
        for block in pages.blocks(page)
        if block.language in ("python", "sh")
    ]
    assert sum(not block.runs for block in runnable) < len(runnable) / 10


def test_every_public_name_is_in_the_api_reference():
    text = (ROOT / "docs" / "api.md").read_text("utf-8")

    described = re.findall(r"^::: conveyor\.(\w+)$", text, re.MULTILINE)

    assert sorted([*described, "__version__"]) == sorted(conveyor.__all__)


@pytest.mark.parametrize("number", [0, 1])
def test_each_of_the_first_two_commands_is_one_line(number):
    command = commands()[number]

    assert command.count("\n") == 1
    assert command.startswith("python3 -m venv .venv && ")


def test_the_first_command_runs_the_census_and_the_second_the_tests():
    census, tests = commands()[:2]

    assert census.rstrip().endswith(".venv/bin/python examples/code_census.py")
    assert tests.rstrip().endswith(".venv/bin/python -m pytest -q -n 3 --dist worksteal")


def commands():
    return [block.text for block in pages.blocks(README) if block.language == "sh"]


@pytest.mark.parametrize("page", named(README, *GUIDES, *OTHERS))
def test_what_is_linked_exists(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))

    files = [link.partition("#")[0] for link in links if not re.match(r"https?:|#", link)]
    assert [file for file in files if not page.parent.joinpath(file).exists()] == []
