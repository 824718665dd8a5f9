"""The page stands alone: whatever a corpus calls its documents, nothing runs, nothing is fetched, nothing is lost."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from loresmith.advice.figures import count, hours, percent, plain, size
from loresmith.advice.learning_curve import Trial, learning_curve
from loresmith.advice.page import page, prose, seen
from loresmith.advice.readiness import Readiness
from tests.advice.corpora import document, write_corpus
from tests.advice.corpora import prose as words
from tests.advice.test_learning_curve import TOKENS, trials
from tests.advice.test_readiness import report

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}&\u202egpj'

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Elements(HTMLParser):
    """Every element with its attributes; raises where one is closed that is not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.said = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Readiness:
    folder = tmp_path_factory.mktemp("hostile")
    rows = [document(f"{n}/{HOSTILE}", words(n, 300), media_type=HOSTILE) for n in range(6)]
    rows += [
        document(f"l{n}.txt", words(9 + n, 40), licence=HOSTILE, owner=HOSTILE, labels=[HOSTILE]) for n in range(6)
    ]
    rows += [document(f"c{n}.py", "x = 1\n" * 20 + f"y = {n}\n", language=HOSTILE) for n in range(6)]
    found = report(folder / "run", write_corpus(folder / "corpus", rows, {"privacy_findings": {HOSTILE: 1}}))
    made, sizes = trials(1.0, 60.0, 0.3, noise=0.005, seed=1)
    more = Trial(0.1, 1, made[0].tokens, [nats * 1.02 for nats in made[0].nats])
    curve = learning_curve([more, *made], sizes, TOKENS, 0)
    return found.model_copy(update={"pilot": found.pilot.model_copy(update={"ran": True, "curve": curve})})


def test_hostile_names_are_text_and_nothing_else(hostile: Readiness) -> None:
    elements = Elements(page(hostile))
    tags = {tag for tag, _ in elements.found}
    assert not tags & {
        "script",
        "img",
        "iframe",
        "object",
        "embed",
        "link",
        "form",
        "a",
        "base",
        "foreignobject",
        "use",
    }
    assert '"><script>alert(1)</script>' in elements.said
    assert "{{ 7*7 }}" in elements.said
    assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)


def test_nothing_is_fetched_from_anywhere(hostile: Readiness) -> None:
    text = page(hostile)
    for _, attributes in Elements(text).found:
        assert not {"src", "href", "xlink:href", "srcset", "action", "style"} & set(attributes)
    style = "".join(re.findall(r"<style>(.*?)</style>", text, re.DOTALL))
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in text


def test_every_plot_says_in_words_what_it_shows(hostile: Readiness) -> None:
    text = page(hostile)
    plots = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(plots) >= 6
    for plot in plots:
        assert 'role="img"' in plot
        assert re.search(r"<title>[^<]{10,}</title><desc>[^<]{10,}</desc>", plot)
        assert "nan" not in plot.lower().replace("financ", "")


def test_it_is_for_light_dark_and_paper(hostile: Readiness) -> None:
    text = page(hostile)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert '<html lang="en">' in text


def test_all_that_is_to_settle_and_every_reason_is_on_it(hostile: Readiness) -> None:
    said = " ".join(Elements(page(hostile)).said.split())
    assert hostile.verdict.sentence in said
    for reason in hostile.verdict.reasons:
        assert reason.sentence in said
    for condition in hostile.verdict.conditions:
        assert condition.sentence in said


def test_a_report_on_nothing_has_a_page(tmp_path: Path) -> None:
    elements = Elements(page(report(tmp_path / "run", write_corpus(tmp_path / "corpus", []))))
    assert "not enough for anything yet" in elements.said


def test_characters_that_hide_or_turn_round_are_written_out() -> None:
    assert seen("invoice\u202efdp.exe") == "invoice\\u202efdp.exe"
    assert seen("a\nb\x00") == "a\\u000ab\\u0000"
    assert seen("Grüße, 你好") == "Grüße, 你好"
    assert prose("use `a <b>` now") == "use <code>a &lt;b&gt;</code> now"


def test_numbers_are_as_people_read_them() -> None:
    assert [count(x) for x in (0, 950, 999.6, 3_100, 99_960, 2_000_000, 1.5e9, 2e15)] == [
        *("0", "950", "1.0 k", "3.1 k", "100 k", "2.0 M", "1.5 G", "2000 T"),
    ]
    assert [size(x) for x in (12, 1200, 4_305_106)] == ["12 B", "1.2 kB", "4.3 MB"]
    assert [percent(x) for x in (0, 0.0001, 0.003, 0.12, 0.9999, 1)] == [
        "0 %",
        "<0.1 %",
        "0.3 %",
        "12 %",
        ">99 %",
        "100 %",
    ]
    assert [hours(x) for x in (0.0001, 0.01, 0.5, 5, 100, 1e5)] == [
        "1 s",
        "36 s",
        "30 min",
        "5.0 h",
        "4 days",
        "11 years",
    ]
    assert [plain(x) for x in (0, 0.0583, 0.829, 5.5, 12.34, 5651)] == ["0", "0.058", "0.83", "5.50", "12.3", "5,651"]


def test_it_says_until_when_a_corpus_may_be_trained_on(tmp_path: Path) -> None:
    for number, day in enumerate(("", "2031-05-01")):
        rows = [document(f"{n}.txt", words(n, 60), retain_until=day if n == 3 else "") for n in range(5)]
        said = Elements(page(report(tmp_path / f"run-{number}", write_corpus(tmp_path / f"{number}", rows)))).said
        assert ("After 2031-05-01 no step trains on this corpus as it is" in said) == bool(day)
        assert ("After" in said) == bool(day)
