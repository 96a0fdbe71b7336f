"""Markdown shows the text of a program as text, and its source as code."""

import re

import pytest
from rich.console import Console
from rich.markdown import Markdown

from stepscope.core.verdict import Report
from stepscope.reporters.markdown import render


def test_the_source_stands_in_a_fence_with_its_mark(report: Report) -> None:
    shown = render(report)
    assert "`train.py:7 in main`" in shown
    assert '> 7 |         {"params": model.backbone.parameters(), "lr": 0.0},' in shown
    assert shown.count("```") % 2 == 0


def test_every_finding_has_its_heading_and_its_table(report: Report) -> None:
    shown = render(report)
    headings = re.findall(r"^### (\w+ \w+) ", shown, re.MULTILINE)
    assert headings == ["error FRZ001", "error GRD002", "note LOS010"]
    assert "| measured | lr 0 in group 0 at each of 3 steps; 88.8 MiB" in shown


def test_there_are_never_two_blank_lines_and_blocks_stand_apart(report: Report) -> None:
    shown = render(report)
    assert "\n\n\n" not in shown
    for block in re.finditer(r"^(### |```text|\| \| \|)", shown, re.MULTILINE):
        assert shown[: block.start()].endswith("\n\n")


@pytest.mark.parametrize("sign", ["<script>", "\n# heading", "@someone", "\n::warning"])
def test_hostile_text_stays_text(sign: str, hostile_report: Report) -> None:
    shown = render(hostile_report).replace("\\`", "")
    outside = re.sub(r"(?ms)^(`{3,})text\n.*?^\1$", "", shown)
    outside = re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", outside)
    assert sign not in outside


def test_a_template_in_the_text_is_not_run(hostile_report: Report) -> None:
    shown = render(hostile_report)
    assert "7 \\* 7" in shown
    assert "49" not in shown


def test_a_reader_of_markdown_sees_what_was_said(hostile_report: Report) -> None:
    console = Console(width=400, color_system=None)
    with console.capture() as captured:
        console.print(Markdown(render(hostile_report)))
    assert "[bold]markup[/bold]" in captured.get()
    assert "| pipe" in captured.get()
