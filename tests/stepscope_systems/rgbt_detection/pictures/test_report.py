"""The report is one page that needs nothing else, shows what there is, says what there is not."""

import base64
import io
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from stepscope_systems.rgbt_detection.pictures.content import PrintedTable
from stepscope_systems.rgbt_detection.pictures.report import render, write_report
from tests.stepscope_systems.rgbt_detection.pictures.sample import empty, report

HOSTILE = "<script>alert(1)</script>\"'&amp; $x$ {{ 7 * 7 }}"
VOID = {"meta", "img"}


@cache
def text_of(word: str) -> str:
    return render(report(word))


class Read(HTMLParser):
    """Reads a page as a browser would: its tags, their attributes, and its text by tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append((self.open[-1], data.strip()))

    def within(self, tag: str) -> list[str]:
        return [words for place, words in self.words if place == tag]

    def values(self, tag: str, name: str) -> list[str]:
        return [value for *place, value in self.attributes if place == [tag, name]]


def test_every_part_has_its_pictures_and_every_picture_can_be_opened() -> None:
    page = Read(text_of("plain"))
    sources = page.values("img", "src")
    kinds = []
    for source in sources:
        kind, _, content = source.partition(";base64,")
        kinds.append(kind.removeprefix("data:image/"))
        data = base64.b64decode(content, validate=True)
        if kind.endswith("svg+xml"):
            ET.fromstring(data)  # noqa: S314 - our own
        else:
            Image.open(io.BytesIO(data)).load()
    assert kinds.count("svg+xml") == 5  # precision, miss rate, gates, embedding, training
    assert len(kinds) == 7  # and a pair, and crops
    assert all(page.values("img", "alt"))
    assert len(page.values("img", "alt")) == len(sources)


def test_a_page_without_anything_says_what_is_missing_and_has_no_picture() -> None:
    page = Read(render(empty()))
    assert "img" not in page.tags
    said = " ".join(page.within("p"))
    for part in ("precision", "miss rate", "No pair", "gates", "alignment", "plane", "crops",
                 "record of the training"):  # fmt: skip
        assert part in said
    assert not [words for words in Read(text_of("plain")).within("p") if "No " in words]


def test_nothing_that_was_given_becomes_a_tag_or_is_lost() -> None:
    page = Read(text_of(HOSTILE))
    assert page.open == []
    assert "script" not in page.tags
    said = [words for _, words in page.words] + page.values("img", "alt")
    for place in ("title", "summary", "AP50", "0.8", "note", "fact", "value", "table", "detector",
                  "fused", "below", "careful", "R@1"):  # fmt: skip
        assert any(f"{place} {HOSTILE}" in words for words in said), place
    assert any(HOSTILE in words for words in page.values("img", "alt"))


@pytest.mark.parametrize("word", ["plain", HOSTILE])
def test_nothing_is_fetched_and_nothing_runs(word: str) -> None:
    text = text_of(word)
    page = Read(text)
    asked = [value for _, name, value in page.attributes if name in {"src", "href", "srcset"}]
    assert all(value.startswith("data:image/") for value in asked)
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    policy = page.values("meta", "content")[1]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert "url(" not in text
    assert "@import" not in text


def test_numbers_stand_to_the_right_and_words_to_the_left() -> None:
    table = PrintedTable(
        title="t",
        columns=("name", "AP", "spread", "verdict", "change"),
        rows=(("0.5", "0.81", "0.8 +- 0.02", "good", "+3"), ("b", "-", "nan", "1 of 2", "-1.5")),
    )
    assert table.right == {1, 2, 4}


def test_a_row_that_does_not_fit_its_table_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'t' has 2 columns and a row of 1 cells \(a\)"):
        PrintedTable(title="t", columns=("x", "y"), rows=(("a",),))


def test_the_row_of_the_detector_itself_stands_out() -> None:
    text = text_of("plain")
    (row,) = [line for line in text.splitlines() if 'class="strong"' in line]
    assert "fused plain" in row


def test_the_same_report_gives_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.html"
    write_report(path, report("plain"))
    assert path.read_text(encoding="utf-8") == text_of("plain")
