"""Faults that only the whole run shows are found by `stepscope run`, and their twins are quiet."""

from pathlib import Path

import pytest

from bench.corpus import Program, over_time, watch

pytestmark = pytest.mark.corpus

PROGRAMS = list(over_time())
FAULTS = [program for program in PROGRAMS if program.findings]
TWINS = [program for program in PROGRAMS if not program.findings]


def test_every_fault_has_a_repaired_twin() -> None:
    assert {f"{program.name}_repaired" for program in FAULTS} == {each.name for each in TWINS}
    assert FAULTS


@pytest.mark.parametrize("program", FAULTS, ids=lambda program: program.name)
def test_a_fault_that_shows_later_is_found_where_it_is(program: Program, tmp_path: Path) -> None:
    _, report, _ = watch(program, tmp_path)
    found, root = report["findings"], program.script.parent
    assert [each for each in program.findings if not any(each.fits(f, root) for f in found)] == []
    assert report["crashed"] == []
    assert report["run"]["faults"] == []


@pytest.mark.parametrize("program", TWINS, ids=lambda program: program.name)
def test_its_twin_gives_no_error_and_no_warning(program: Program, tmp_path: Path) -> None:
    code, report, _ = watch(program, tmp_path)
    assert [each for each in report["findings"] if each["severity"] != "note"] == []
    assert report["crashed"] == []
    assert report["run"]["faults"] == []
    assert code == 0
