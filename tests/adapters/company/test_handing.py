"""What is kept of a process that starts others, and may be no rank itself."""

from stepscope.adapters.company.handing import UnlessOnlyStarting
from stepscope.core import Finding, Recording, Severity
from stepscope.evidence.course.line import Line
from tests.recordings.making import Skipped, line


class Kept:
    def __init__(self) -> None:
        self.steps: list[int] = []

    def line(self, line: Line) -> None:
        self.steps.append(line.step)

    def window(self, step: int, recording: Recording) -> None:
        raise AssertionError

    def finding(self, step: int, code: str, severity: Severity, finding: Finding) -> None:
        self.steps.append(step)


def test_what_comes_before_the_first_step_waits_for_it() -> None:
    finding = Finding(subject="seed", message="never read", measured="1 of 2", expected="2 of 2")
    kept = Kept()
    keeper = UnlessOnlyStarting(kept)
    keeper.line(line(0, Skipped()))
    keeper.finding(1, "CFG001", Severity.NOTE, finding)
    assert kept.steps == []
    keeper.keep_all()
    assert kept.steps == [0, 1]
    keeper.keep_all()
    keeper.line(line(2, loss=2.0))
    assert kept.steps == [0, 1, 2]
