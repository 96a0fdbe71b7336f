"""Recordings of one or several processes become one report."""

from pathlib import Path

import msgspec
import pytest

from stepscope.adapters.script import Checked
from stepscope.cli.delivery import Delivery
from stepscope.cli.judging import Judging
from stepscope.cli.settings import Settings
from stepscope.core import Evidence, Finding, Findings, Place, Recording, Severity, rule
from stepscope.core.selection import select
from stepscope.core.verdict import Report
from stepscope.evidence.environment import Ending, Run
from stepscope.evidence.modules import Module, Modules

RUN = Run(program="train.py", steps=3, asked=3, ending=Ending.RECORDED, wall_s=1.0)


@rule("TST001", Severity.ERROR)
def always(run: Run, *, parameter: str = "model.encoder.layer.weight") -> Findings:
    yield Finding(
        subject=run.program,
        message="is judged",
        measured="1",
        expected="0",
        at=Place(parameter=parameter),
    )


def judged(*recordings: Recording, notes: tuple[str, ...] = ()) -> Report:
    judging = Judging(
        selection=select([always]),
        settings=Settings(file="stepscope.toml"),
        delivery=Delivery("text", None, 2, 80, colour=False, encoding="utf-8"),
        root="/project",
        strict=False,
    )
    return judging.report(Checked(recordings, notes))


def recorded(*evidence: Evidence, **changes: object) -> Recording:
    return Recording(msgspec.structs.replace(RUN, **changes), *evidence)


def test_one_process_is_reported_with_what_it_was() -> None:
    run = judged(recorded(compiled=True, faults=("Probe: KeyError",)), notes=("one",)).run
    assert (run.program, run.steps, run.ending, run.ranks) == ("train.py", 3, "recorded", (0,))
    assert run.notes == ("torch.compile was used; the recorded steps ran eagerly", "one")
    assert run.faults == ("Probe: KeyError",)
    assert run.settings == "stepscope.toml"


def test_several_ranks_are_as_far_as_the_slowest_and_end_as_the_worst() -> None:
    place = Place(file="/project/train.py", line=7)
    report = judged(
        recorded(rank=0, world_size=2),
        recorded(
            rank=1, world_size=2, steps=1, ending=Ending.RAISED, error="KeyError: 1", error_at=place
        ),
    )
    run = report.run
    assert (run.steps, run.ending, run.ranks, run.world_size) == (1, "raised", (0, 1), 2)
    assert (run.error, run.error_at) == ("rank 1: KeyError: 1", place)
    assert [each.ranks for each in report.findings] == [(0, 1)]


def test_processes_that_all_take_themselves_for_the_first_are_counted() -> None:
    assert judged(recorded(), recorded(), recorded()).run.ranks == (0, 1, 2)


@pytest.mark.parametrize(
    ("file", "expected"),
    [("model.py", Place(file="model.py", line=12)), ("", Place(file="root.py", line=3))],
)
def test_the_nearest_line_is_that_of_the_innermost_module_of_the_program(
    file: str, expected: Place
) -> None:
    modules = Modules(
        modules=(
            Module(name="", kind="Net", file="root.py", line=3, training=(True,)),
            Module(name="model.encoder", kind="Encoder", file=file, line=12, training=(True,)),
            Module(name="model.encoder.layer", kind="Linear", training=(True,)),
        )
    )
    (reported,) = judged(recorded(modules)).findings
    assert reported.nearest == expected


def test_the_report_is_written_to_the_file_in_one_piece(tmp_path: Path) -> None:
    delivery = Delivery.prepare("json", tmp_path / "new" / "report.json")
    assert delivery.deliver(judged(recorded()))
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["report.json"]
