"""The picture of a run and its report: what they say, and that they are safe and whole."""

from __future__ import annotations

import pickle
import re
import struct
import zlib
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from conveyor import AUTO, Feed, Join, Processor, UsageError, processor
from conveyor.seeing.drawing import rate
from tests.seeing.browser import browse

SVG = "{http://www.w3.org/2000/svg}"
EVIL = "</pre><script>document.title = 'run'</script><img src=x onerror=alert(1)>"


@processor
def double(number: int) -> int:
    return 2 * number


@processor
def odd(number: int) -> int | None:
    return number if number % 2 else None


class Evil(Processor[object, object]):
    """Whatever it is asked, it says what a page must not run."""

    def __repr__(self):
        return EVIL

    def process(self, item):
        if item == EVIL:
            raise ValueError(EVIL)
        return item


class Page(HTMLParser):
    """What stands in a page."""

    VOID = ("meta", "rect", "path", "circle")

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open, self.links = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def words(path, what, name):
    """What stands at a node or an edge of a picture."""
    (group,) = [g for g in ET.parse(path).iter(f"{SVG}g") if g.get(f"data-{what}") == name]
    return " ".join("".join(text.itertext()) for text in group.iter(f"{SVG}text"))


# -- the picture --


def test_a_picture_has_the_figures_of_the_run(on, tmp_path):
    results = (double >> odd.options(name="none") >> double).run(range(100), **on)
    results.draw(tmp_path / "run.svg")

    assert "100 items" in words(tmp_path / "run.svg", "node", "feed")
    assert "0 items" in words(tmp_path / "run.svg", "node", "output")
    assert re.search(r"\d+% busy", words(tmp_path / "run.svg", "node", "double"))
    assert re.search(r"\dk?/s", words(tmp_path / "run.svg", "edge", "0"))


def test_forks_and_joins_have_figures_at_their_pipes(tmp_path):
    results = (Feed() >> (double % 2 & double) * odd & Join() >> double % AUTO).run(range(100))
    results.draw(tmp_path / "run.svg")

    edges = range(len(results.stats.graph.edges))
    told = [words(tmp_path / "run.svg", "edge", str(edge)) for edge in edges]
    assert all("/s" in text for text in told)


def test_a_picture_with_figures_is_svg_only(tmp_path):
    results = double.run([1], engine="inline")
    with pytest.raises(UsageError, match=r"ending in \.svg"):
        results.draw(tmp_path / "run.dot")
    assert list(tmp_path.iterdir()) == []


# -- the report --


def reported(results, folder):
    results.report(folder / "run.html")
    return (folder / "run.html").read_text("utf-8")


def test_a_report_says_all_of_a_run(on, tmp_path):
    pipeline = double >> Evil().options(on_error="skip", name="evil") >> double * odd & Join("zip")
    page = Page(reported(pipeline.run(range(300), **on), tmp_path))

    for heading in (
        "The pipeline",
        "What became of the items",
        "How the time went",
        "How long an item took",
    ):
        assert heading in page.text
    assert repr(pipeline) in page.text.replace("  ", " ")
    assert "300 items in" in page.text


def test_a_report_of_processes_shows_the_time(tmp_path):
    page = Page(reported((double >> double % AUTO).run(range(1000)), tmp_path))

    assert "Items in a second that came out" in page.text
    assert "How wide fork was" in page.text
    assert page.tags.count("svg") >= 4


def test_a_report_needs_nothing_else(tmp_path):
    text = reported(double.run(range(10)), tmp_path)

    page = Page(text)
    assert {"script", "link", "iframe", "img", "object"}.isdisjoint(page.tags)
    assert page.links == []
    assert "url(" not in text
    assert "@import" not in text
    assert set(re.findall(r"https?://[^\"' ]*", text)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in text


def test_what_users_write_is_shown_and_never_run(on, tmp_path):
    pipeline = Feed() >> Evil().options(on_error="dead_letter", name="<b>bold</b>")
    results = pipeline.run(["fine", EVIL, EVIL], **on)
    text = reported(results, tmp_path)

    page = Page(text)
    assert {"script", "img", "b"} & set(page.tags) <= {"b"}
    assert "<script" not in text
    assert "<b>bold" not in text
    assert EVIL in "".join(page.words)
    assert "<b>bold</b>" in "".join(page.words)


def test_dead_letters_are_told_with_their_tracebacks(tmp_path):
    results = (Feed() >> Evil().options(on_error="dead_letter", name="evil")).run([EVIL] * 150)
    page = Page(reported(results, tmp_path))

    assert page.tags.count("details") == 100
    assert "evil ValueError 150" in page.text
    assert "raise ValueError(EVIL)" in page.text
    assert "The first 100 of 150 are shown." in page.text


def test_a_run_of_nothing_has_a_report(on, tmp_path):
    page = Page(reported((double >> odd).run([], **on), tmp_path))

    assert "0 items in" in page.text


def test_results_that_were_kept_can_be_reported(tmp_path):
    results = pickle.loads(pickle.dumps((Feed() >> Processor(lambda n: n + 1) % 2).run(range(10))))

    assert "10 items in" in Page(reported(results, tmp_path)).text
    results.draw(tmp_path / "run.svg")


# -- in a browser --


def first_pixel(picture):
    """The colour of the upper left corner of a PNG."""
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    data, place = b"", 8
    while place < len(picture):
        size, kind = struct.unpack_from(">I4s", picture, place)
        data += picture[place + 8 : place + 8 + size] if kind == b"IDAT" else b""
        place += size + 12
    return zlib.decompress(data)[1:4].hex()  # behind the filter, which changes no first pixel


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "paper"), [(1, "ffffff"), (0, "14181d")])
def test_a_browser_shows_the_report_light_and_dark(scheme, paper, tmp_path):
    pipeline = double >> Evil().options(on_error="dead_letter", name="evil") >> double % 2
    pipeline.run(range(500)).report(tmp_path / "run.html")
    shot = tmp_path / "run.png"
    wanted = [f"--screenshot={shot}", "--window-size=1100,1400"]

    ended = browse(
        tmp_path / "run.html", tmp_path, *wanted, f"--blink-settings=preferredColorScheme={scheme}"
    )

    assert "Refused to" not in ended.stderr
    assert first_pixel(shot.read_bytes()) == paper
    assert shot.stat().st_size > 20_000


@pytest.mark.slow
def test_a_browser_finds_nothing_to_run(tmp_path):
    pipeline = Feed() >> Evil().options(on_error="dead_letter", name="evil")
    pipeline.run(["fine", EVIL]).report(tmp_path / "run.html")

    seen = browse(tmp_path / "run.html", tmp_path, "--dump-dom").stdout

    assert "<title>Run of " in seen
    assert "<title>run</title>" not in seen
    assert "<script" not in seen


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.5, "0.5/s"), (1234, "1,234/s"), (12_345, "12.3k/s"), (999_600, "1M/s"), (2.5e6, "2.5M/s")],
)
def test_a_rate_has_no_exponent(value, told):
    assert rate(value) == told
