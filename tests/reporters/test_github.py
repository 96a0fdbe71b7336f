"""Annotations are one command a line, which no text of a program can leave."""

import re

from stepscope.core.verdict import Report
from stepscope.reporters.github import render

# https://docs.github.com/actions/reference/workflow-commands-for-github-actions
COMMAND = re.compile(r"::(error|warning|notice) ((?:\w+=[^,:]*)(?:,\w+=[^,:]*)*)::(.*)")


def test_each_finding_is_one_command_with_its_line(report: Report) -> None:
    lines = render(report).splitlines()
    assert len(lines) == len(report.findings) + 1
    first = COMMAND.fullmatch(lines[0])
    assert first is not None
    assert first[1] == "error"
    assert first[2] == "file=train.py,line=7,title=FRZ001 frozen-by-zero-lr"
    assert first[3].startswith("backbone (159 of 161 parameters): never updated")
    assert "%0Ameasured: lr 0 in group 0" in first[3]


def test_the_levels_are_those_of_github(report: Report) -> None:
    levels = [line.split(" ")[0] for line in render(report).splitlines()]
    assert levels == ["::error", "::error", "::notice", "::error"]


def test_a_clean_run_says_so(clean_report: Report) -> None:
    expected = "::notice title=stepscope::Nothing at fault: 4 of 7 rules judged.\n"
    assert render(clean_report) == expected


def test_a_hostile_program_gives_no_command_and_no_property_of_its_own(
    hostile_report: Report,
) -> None:
    lines = render(hostile_report).splitlines()
    assert len(lines) == len(hostile_report.findings) + 1
    for line in lines:
        command = COMMAND.fullmatch(line)
        assert command is not None
        keys = [each.partition("=")[0] for each in command[2].split(",")]
        assert keys in (["file", "line", "title"], ["title"])
        assert "%0A::warning" in command[3]  # its line feed, and its per cent sign below
    assert "%250A" in lines[0]
