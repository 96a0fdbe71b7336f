"""Every planted fault is found with its code, at its line, and nothing else is called wrong."""

from pathlib import Path

import pytest

from bench.bit_exactness import ending
from bench.corpus import Program, check, planted

pytestmark = pytest.mark.corpus

FAULTS = [program for program in planted() if program.findings]


def test_every_fault_has_a_repaired_twin() -> None:
    silent = {program.name for program in planted() if not program.findings}
    assert {f"{program.name}_repaired" for program in FAULTS} == silent
    assert FAULTS


@pytest.mark.parametrize("program", FAULTS, ids=lambda program: program.name)
def test_a_planted_fault_is_found_where_it_is(program: Program, tmp_path: Path) -> None:
    code, report = check(program, tmp_path)
    found, root = report["findings"], program.script.parent
    missed = [each for each in program.findings if not any(each.fits(f, root) for f in found)]
    assert missed == []
    errors = [each for each in found if each["severity"] == "error"]
    assert [e for e in errors if not any(each.fits(e, root) for each in program.findings)] == []
    assert report["crashed"] == []
    assert report["run"]["faults"] == []
    assert code == (1 if errors else 0)


@pytest.mark.parametrize(
    "program", [each for each in planted() if each.lrs], ids=lambda program: program.name
)
def test_learning_rates_are_those_that_take_effect(program: Program, tmp_path: Path) -> None:
    lrs = ending(program, "recorded", tmp_path)["lrs"]
    assert {name: lrs[name] for name, _ in program.lrs} == {
        name: [pytest.approx(lr)] * program.steps for name, lr in program.lrs
    }
