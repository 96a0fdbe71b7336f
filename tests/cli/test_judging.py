"""Recordings of one or several processes become one report."""

from pathlib import Path

import msgspec
import pytest

from stepscope.adapters.script import Checked
from stepscope.cli.delivery import Delivery
from stepscope.cli.judging import Judging
from stepscope.configurations.declared import declared_at
from stepscope.configurations.settings import Settings
from stepscope.core import Evidence, Finding, Findings, Place, Recording, Severity, rule
from stepscope.core.selection import select
from stepscope.core.verdict import Report
from stepscope.evidence.environment import Ending, Run
from stepscope.evidence.modules import Module, Modules
from stepscope.reporters import reporter
from stepscope.summing_up import Terms

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
        terms=Terms(
            selection=select([always]), settings=Settings(file="stepscope.toml"), root="/project"
        ),
        delivery=Delivery("text", None, 2, 80, colour=False, encoding="utf-8"),
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
    run = judged(recorded(), recorded(), recorded()).run
    assert run.ranks == (0, 1, 2)
    assert run.notes == ("processes are numbered in the order of their start",)
    assert judged(recorded(rank=2), recorded(rank=1)).run.notes == ()


def test_steps_out_of_sight_beside_those_recorded_are_a_note_and_no_obstacle() -> None:
    report = judged(recorded(elsewhere="a forked process"))
    assert report.obstacle == ""
    assert report.run.notes == ("not judged: optimizer steps that were taken in a forked process",)


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


SETTINGS = """\
# nothing of "backbon" is declared here
[intent]
frozen = [
    "backbon",  # and not "start.pt"
]
checkpoint = "start.pt"
losses = { loss_cls = 1.0, loss_box = 0.5 }
"""


@pytest.mark.parametrize(
    ("subject", "module", "line"),
    [
        ("pattern 'backbon'", "backbon", 4),
        ("start.pt", "", 6),
        ("loss_box", "", 7),
        ("start.pt (declared)", "", 6),
        ("loss", "", None),
        ("backbon (2 parameters)", "backbon", None),
    ],
)
def test_what_is_declared_is_looked_for_in_the_settings(
    tmp_path: Path, subject: str, module: str, line: int | None
) -> None:
    (tmp_path / "stepscope.toml").write_text(SETTINGS, "utf-8")
    finding = Finding(
        subject=subject, message="m", measured="0", expected="1", at=Place(module=module)
    )
    found = declared_at(finding, "stepscope.toml", str(tmp_path))
    assert found == (Place(file="stepscope.toml", line=line) if line else None)


def test_without_a_settings_file_nothing_is_declared(tmp_path: Path) -> None:
    finding = Finding(subject="start.pt", message="m", measured="0", expected="1")
    assert declared_at(finding, "", str(tmp_path)) is None
    assert declared_at(finding, "gone.toml", str(tmp_path)) is None


def test_a_line_of_the_settings_comes_before_a_file_without_a_line(tmp_path: Path) -> None:
    (tmp_path / "stepscope.toml").write_text(SETTINGS, "utf-8")

    @rule("TST002", Severity.ERROR)
    def absent(_: Run) -> Findings:
        for subject in ("start.pt", "other.pt"):
            yield Finding(
                subject=subject, message="m", measured="0", expected="1", at=Place(file="train.py")
            )

    judging = Judging(
        terms=Terms(
            selection=select([absent]), settings=Settings(file="stepscope.toml"), root=str(tmp_path)
        ),
        delivery=Delivery("text", None, 2, 80, colour=False, encoding="utf-8"),
    )
    report = judging.report(Checked((recorded(),)))
    declared = Place(file="stepscope.toml", line=6)
    assert [each.nearest for each in report.findings] == [declared, None]
    assert "declared  stepscope.toml:6" in reporter("text")(report)
    assert "file=stepscope.toml,line=6" in reporter("github")(report)
    assert '"uri": "stepscope.toml"' in reporter("sarif")(report)
