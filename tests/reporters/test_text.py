"""The text report is complete without colour, and fits into eighty columns."""

import re

import pytest
from rich.cells import cell_len

from stepscope.core.verdict import Report
from stepscope.reporters.text import render


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize("name", ["report", "clean_report", "crashed_report", "hostile_report"])
def test_no_line_is_wider_than_the_terminal(
    name: str, width: int, request: pytest.FixtureRequest
) -> None:
    shown = render(request.getfixturevalue(name), width=width)
    assert max(cell_len(line) for line in shown.splitlines()) <= width
    assert not [line for line in shown.splitlines() if line != line.rstrip()]


def test_colour_adds_nothing_but_colour(report: Report) -> None:
    coloured = render(report, colour=True)
    assert "\x1b[" in coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in plain.splitlines()] == render(report).splitlines()


def test_colour_lets_no_escape_sequence_of_the_program_through(hostile_report: Report) -> None:
    coloured = render(hostile_report, colour=True)
    ours = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert "\x1b" not in ours
    assert "\\x1b[31mred" in ours
    assert "[bold]markup[/bold] :smile:" in " ".join(ours.split())


def test_errors_come_before_notes_and_the_verdict_comes_last(report: Report) -> None:
    shown = render(report)
    assert shown.index("error   FRZ001") < shown.index("error   GRD002")
    assert shown.index("error   GRD002") < shown.index("note    LOS010")
    assert shown.splitlines()[-1] == "The run is at fault: 2 errors, 1 note."


def test_the_source_line_is_marked_among_two_lines_around_it(report: Report) -> None:
    shown = render(report)
    start = shown.index("  train.py:7 in main")
    assert shown[start:].splitlines()[1:6] == [
        "     5 │ optimizer = torch.optim.AdamW(",
        "     6 │     [",
        '   > 7 │         {"params": model.backbone.parameters(), "lr": 0.0},',
        '     8 │         {"params": model.head.parameters(), "lr": 1e-3},',
        "     9 │     ],",
    ]


def test_a_related_line_nearby_shares_the_excerpt_and_a_distant_one_has_its_own(
    report: Report,
) -> None:
    shown = render(report)
    assert "   a 12 │     with torch.no_grad():" in shown
    assert "   > 13 │         score = model.score(images)  # a remark" in shown
    assert "   a: gradients are turned off here" in shown
    assert "  train.py:4: is made here" in shown
    assert "   > 4 │     model = Detector(num_classes=80)" in shown


def test_the_ignored_finding_is_named_at_the_end_with_the_reason(report: Report) -> None:
    shown = " ".join(render(report).split())
    assert (
        "ignored FRZ003 53 normalisation layers: they are meant to follow the new domain" in shown
    )


def test_a_clean_verdict_counts_what_was_judged(clean_report: Report) -> None:
    shown = render(clean_report)
    assert "passed    4 rules: FRZ002 FRZ004-005 NUM001" in shown
    assert "          FRZ006 LOS002: needs an intent" in shown
    assert shown.splitlines()[-1] == "Nothing at fault: 4 of 7 rules judged."


def test_a_file_that_is_gone_costs_only_the_excerpt(report: Report) -> None:
    from pathlib import Path

    Path(report.run.root, "train.py").unlink()
    shown = render(report)
    assert "train.py:7 in main" in shown
    assert "train.py:12: gradients are turned off here" in shown
    assert "│" not in shown


def test_a_note_is_said_in_short(report: Report) -> None:
    note = render(report).partition("note    LOS010")[2].partition("why, and")[0]
    assert "measured  1.0 * a" in note
    assert "expected" not in note
    assert "│" not in note


def test_warnings_are_counted_and_left_to_another_format(described_report: Report) -> None:
    assert "warned    120 times in 60 lines: --format json has them" in render(described_report)


def test_without_warnings_nothing_is_said_of_them(clean_report: Report) -> None:
    assert "warned" not in render(clean_report)


def test_an_error_of_the_program_comes_first_and_again_above_the_verdict(
    crashed_report: Report,
) -> None:
    shown = render(crashed_report)
    first = " ".join(shown.strip().partition("\n\n")[0].split())
    assert first == (
        "The program raised before the first optimizer step, at train.py:14 in main: "
        "ValueError: Expected more than 1 value per channel when training"
    )
    *before, verdict = shown.rpartition("the program's error")[2].strip().splitlines()
    assert verdict.startswith("Could not judge")
    assert "ValueError: Expected more than 1 value" in before[1] + before[2]
    assert "observed" not in "".join(before)
