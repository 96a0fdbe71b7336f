"""The report as one HTML file."""

from html.parser import HTMLParser

from stepscope.core.verdict import Report
from stepscope.evidence.checkpoint_file import CheckpointFile, TensorFacts
from stepscope.reporters.html import render

OURS = {
    "a", "article", "b", "body", "code", "dd", "details", "div", "dl", "dt", "em", "figcaption",
    "figure", "footer", "h1", "h2", "h3", "head", "header", "html", "li", "main", "meta", "p",
    "pre", "section", "span", "strong", "style", "summary", "table", "tbody", "td", "th", "thead",
    "title", "tr", "ul",
}  # fmt: skip
VOID = {"meta"}


class Read(HTMLParser):
    """Reads a page as a browser would: its tags, what they ask for, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_nothing_that_a_program_says_becomes_a_tag(hostile_report: Report) -> None:
    page = Read(render(hostile_report))
    assert page.tags <= OURS
    assert page.open == []
    assert "<script>alert(1)</script>" in page.words


def test_nothing_is_fetched_and_nothing_runs(report: Report, hostile_report: Report) -> None:
    for each in (report, hostile_report):
        text = render(each)
        page = Read(text)
        names = {name for name, _ in page.attributes}
        assert not names & {"src", "srcset", "data", "action", "background"}
        assert not any(name.startswith("on") for name in names)
        links = [value for name, value in page.attributes if name == "href"]
        assert all(value and value.startswith("https://") for value in links)
        assert "url(" not in text
        assert "@import" not in text


def test_the_line_that_is_meant_is_marked(report: Report) -> None:
    text = render(report)
    assert '<span class="meant">&gt;    7  ' in text
    assert '"lr": 0.0' in Read(text).words


def test_the_page_of_the_rule_is_folded_in(report: Report) -> None:
    words = Read(render(report)).words
    assert "Why, and what to do (stepscope rule FRZ001)" in words
    assert "What it proves" in words


def test_the_content_of_a_checkpoint_is_shown_with_its_share(clean_report: Report) -> None:
    tensors = tuple(
        TensorFacts(name=name, part="model", shape=(n,), dtype="float32", nbytes=4 * n)
        for name, n in (("backbone.weight", 30), ("head.weight", 10))
    )
    file = CheckpointFile(
        path="<b>.pth", format="torch", nbytes=1, files=1, writer="torch", tensors=tensors
    )
    clean_report.run.seen.add(file)
    text = render(clean_report)
    assert "width: 75.0%" in text
    assert "width: 25.0%" in text
    assert "<b>.pth" in Read(text).words
