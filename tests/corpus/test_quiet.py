"""Nothing is found in healthy programs, whatever framework drives them."""

from pathlib import Path

import pytest

from bench.corpus import Program, check, healthy, planted

pytestmark = pytest.mark.corpus

PROGRAMS = [*healthy(), *(program for program in planted() if not program.findings)]


def test_the_corpus_is_found() -> None:
    assert len(healthy()) > 30
    assert len(PROGRAMS) > len(healthy())


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_healthy_program_gives_no_error_and_no_warning(program: Program, tmp_path: Path) -> None:
    code, report = check(program, tmp_path)
    assert [each for each in report["findings"] if each["severity"] != "note"] == []
    assert report["crashed"] == []
    assert report["run"]["faults"] == []
    assert report["run"]["steps"] >= 1
    assert code == 0
