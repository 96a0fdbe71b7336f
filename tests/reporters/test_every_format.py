"""What holds for each format; a new one is tested here without an edit."""

import unicodedata

import pytest

from stepscope.core.verdict import Report
from stepscope.reporters import formats, reporter

FORMATS = formats()


def test_the_formats_are_found_by_the_names_of_their_files() -> None:
    assert set(FORMATS) == {"github", "html", "json", "junit", "markdown", "sarif", "text"}


@pytest.mark.parametrize("form", FORMATS)
def test_no_hostile_character_gets_through(form: str, hostile_report: Report) -> None:
    shown = reporter(form)(hostile_report)
    unsafe = {
        each
        for each in shown
        if each != "\n" and unicodedata.category(each) in ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")
    }
    assert not unsafe
    shown.encode("utf-8")


@pytest.mark.parametrize("form", FORMATS)
def test_every_finding_and_its_measurement_are_there(form: str, report: Report) -> None:
    shown = reporter(form)(report)
    for word in ("FRZ001", "GRD002", "LOS010", "159 of 161", "88.8 MiB of gradients held"):
        assert word in shown


@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"github"}))
def test_what_was_not_judged_is_there_with_its_reason(form: str, clean_report: Report) -> None:
    shown = reporter(form)(clean_report)
    for word in ("FRZ006", "LOS002", "needs an intent", "DST003", "one process"):
        assert word in shown


@pytest.mark.parametrize("form", FORMATS)
def test_a_program_that_raised_is_shown_with_what_it_raised(
    form: str, crashed_report: Report
) -> None:
    shown = " ".join(reporter(form)(crashed_report).split())
    assert "ValueError: Expected more than 1 value per channel" in shown
    assert "before the first optimizer step" in shown


@pytest.mark.parametrize("form", FORMATS)
def test_it_ends_with_one_line_feed(form: str, report: Report) -> None:
    shown = reporter(form)(report)
    assert shown.endswith("\n")
    assert not shown.endswith("\n\n")


@pytest.mark.parametrize("form", FORMATS)
def test_paths_are_those_below_the_folder_of_the_run(form: str, report: Report) -> None:
    shown = reporter(form)(report)
    assert "train.py" in shown
    assert f"{report.run.root}/train.py" not in shown
