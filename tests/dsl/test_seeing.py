"""A pipeline shows itself: in a file, and in a notebook."""

from __future__ import annotations

from typing import Any

import pytest

from conveyor import ConstructionError, Pipe, UsageError
from tests.strategies import a, b, c, d, s

pytestmark = pytest.mark.quick

FORKED = s >> a * b & c


@pytest.mark.parametrize("suffix", [".svg", ".mmd", ".dot", ".txt"])
def test_a_pipeline_is_drawn_to_a_file(tmp_path, suffix):
    target = tmp_path / f"pipeline{suffix}"

    FORKED.draw(target)

    forms = {
        ".svg": FORKED.compile().to_svg(),
        ".mmd": FORKED.compile().to_mermaid(),
        ".dot": FORKED.compile().to_dot(),
        ".txt": FORKED.compile().to_text() + "\n",
    }
    assert target.read_text("utf-8") == forms[suffix]


def test_a_path_may_be_a_string(tmp_path):
    FORKED.draw(str(tmp_path / "a.svg"))

    assert (tmp_path / "a.svg").read_text("utf-8").startswith("<svg ")


def test_a_drawing_of_no_known_kind_is_refused_and_not_written(tmp_path):
    with pytest.raises(UsageError, match=r"\.svg, \.mmd, \.dot, \.txt, not to '\.png'"):
        FORKED.draw(tmp_path / "a.png")

    assert list(tmp_path.iterdir()) == []


def test_what_is_no_pipeline_is_not_drawn(tmp_path):
    with pytest.raises(ConstructionError, match="starts with a processor"):
        (a * b).draw(tmp_path / "a.svg")


def test_a_notebook_gets_the_picture_and_the_expression():
    assert FORKED._repr_mimebundle_() == {
        "text/plain": "s >> a * b & c",
        "image/svg+xml": FORKED.compile().to_svg(),
    }


@pytest.mark.parametrize("fragment", [Pipe() >> a, a * b, Pipe()], ids=repr)
def test_of_a_fragment_a_notebook_shows_the_expression(fragment):
    assert fragment._repr_mimebundle_() == {"text/plain": repr(fragment)}


def test_a_picture_that_nobody_wants_is_not_made():
    only = {"text/plain": "d"}

    assert d._repr_mimebundle_(include={"text/plain"}) == only
    assert d._repr_mimebundle_(exclude={"image/svg+xml"}) == only


def test_ipython_finds_the_picture():
    formatters: Any = pytest.importorskip("IPython.core.formatters")

    shown, _ = formatters.DisplayFormatter().format(FORKED)

    assert shown["text/plain"] == repr(FORKED)
    assert shown["image/svg+xml"].startswith("<svg ")
