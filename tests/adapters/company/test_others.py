"""What a process hands over is what the first one reads."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stepscope.adapters.company.company import STARTER, Company, Joined
from stepscope.core import Finding, Recording, Severity
from stepscope.core.report import Outcome, Status
from stepscope.evidence.course.line import Line
from stepscope.evidence.course.rank_marks import RankMarks
from stepscope.evidence.course.replicas import Replicas, Replicated
from stepscope.evidence.course.series import Series
from stepscope.evidence.environment import Ending, Run
from stepscope.recordings.entries import Found
from stepscope.recordings.folder import RunFolder
from stepscope.recordings.writer import Recorder
from stepscope.rules.distributed.ranks_diverge import ranks_diverge
from stepscope.rules.distributed.unused_parameters import unused_parameters

RULES = (ranks_diverge, unused_parameters)
FOUND = Finding(subject="head", message="is dead", measured="0 of 3", expected="some")


def ran(rank: int, steps: int = 4) -> Recording:
    return Recording(
        Run(program="train.py", steps=steps, asked=steps, ending=Ending.FINISHED, rank=rank)
    )


def wrapper(rank: int) -> Replicated:
    return Replicated(
        number=0,
        kind="DistributedDataParallel",
        module="",
        rank=rank,
        group=(0, 1),
        keeps_copies=True,
    )


def noted(rank: int, mark: float) -> Line:
    return Line(
        step=0,
        seconds=0.1,
        numbers={"rank": {"0/steps": 1.0, "0/parameters/0/w#1": mark}, "loss": {"total": 1.0}},
        happened=(wrapper(rank),),
    )


def second(tmp_path: Path, mark: float = 2.0, rank: int = 1) -> tuple[Company, Callable[[], None]]:
    """Return rank 1 of two, or the other, and how it comes to its end."""
    folder = RunFolder(tmp_path)
    recorder = Recorder(folder.rank(rank), clock=lambda: 0.0, said=pytest.fail)
    company = Company(folder, rank, RULES)
    keeper = company.keeper(recorder)
    keeper.line(noted(rank, mark))
    keeper.finding(3, "DST003", Severity.ERROR, FOUND)
    assert recorder.flush()
    assert company._handed is not None
    assert company._handed.flush()

    def over() -> None:
        skipped = Outcome(ranks_diverge, Status.SKIPPED, reason="needs all")
        failed = Outcome(unused_parameters, Status.FAILED, (FOUND,))
        company.hand_over(ran(rank), (skipped, failed), step=4)

    return company, over


def first(tmp_path: Path, heard: list[tuple[int, Found]]) -> Company:
    return Company(
        RunFolder(tmp_path),
        0,
        RULES,
        numbers=lambda: (1,),
        told=lambda rank, found: heard.append((rank, found)),
    )


def own(mark: float) -> Recording:
    """Return what the first rank knows of itself."""
    marks = {"0/steps": Series((0,), (1.0,)), "0/parameters/0/w#1": Series((0,), (mark,))}
    return Recording(Replicas(seen=((0, wrapper(0)),), count=1), RankMarks(series=marks))


PASSED = tuple(Outcome(rule, Status.PASSED) for rule in RULES)


def joined(company: Company, mark: float, patience_s: float = math.inf) -> Joined:
    handed, notes = company.gather(patience_s=patience_s)
    assert len(list(company.beside(own(mark)))) == 1
    return company.joined(ran(0), PASSED, handed, notes)


def test_what_a_rank_found_and_noted_is_read_and_compared(tmp_path: Path) -> None:
    _, over = second(tmp_path)
    heard: list[tuple[int, Found]] = []
    company = first(tmp_path, heard)
    over()
    told = joined(company, mark=1.0)
    assert list(told.recordings) == [0, 1]
    assert [(rank, found.code, found.finding) for rank, found in heard] == [(1, "DST003", FOUND)]
    diverge, unused = told.outcomes[1]
    assert diverge.status is Status.FAILED  # which it could not know alone
    assert unused.findings == (FOUND,)
    assert told.notes == ()


def test_ranks_of_equal_marks_have_passed(tmp_path: Path) -> None:
    _, over = second(tmp_path, mark=1.0)
    company = first(tmp_path, [])
    over()
    diverge, _ = joined(company, mark=1.0).outcomes[1]
    assert diverge.status is Status.PASSED


def test_whoever_starts_ranks_compares_them_while_they_run(tmp_path: Path) -> None:
    for rank in range(2):
        second(tmp_path, mark=rank, rank=rank)
    heard: list[tuple[int, Found]] = []
    company = Company(
        RunFolder(tmp_path),
        STARTER,
        RULES,
        numbers=lambda: (0, 1),
        told=lambda rank, found: heard.append((rank, found)),
    )
    until = time.monotonic() + 10
    while not any(found.code == "DST001" for _, found in heard):
        assert time.monotonic() < until
        time.sleep(0.02)
    found = next(each for _, each in heard if each.code == "DST001")
    assert found.severity is Severity.ERROR
    company.gather(patience_s=0.0)


def test_the_first_rank_says_when_to_stop_for_who_takes_no_steps(tmp_path: Path) -> None:
    ranks = [Company(RunFolder(tmp_path), rank, RULES) for rank in range(2)]
    ranks[0].exchange.path.mkdir()
    ranks[0].exchange.ask_to_stop()
    assert not ranks[1].is_to_stop(9)
    assert [ranks[0].is_to_stop(step) for step in (7, 8, 9)] == [False, False, True]
    assert ranks[1].is_to_stop(9)


def test_a_rank_that_was_started_again_has_not_come_to_its_end(tmp_path: Path) -> None:
    _, over = second(tmp_path)
    over()
    second(tmp_path)
    told = joined(first(tmp_path, []), mark=1.0, patience_s=0.1)
    assert any("rank 1 did not come to its end" in note for note in told.notes)


def test_of_a_rank_that_was_killed_the_findings_are_left(tmp_path: Path) -> None:
    second(tmp_path)
    told = joined(first(tmp_path, []), mark=1.0, patience_s=0.1)
    assert list(told.recordings) == [0]
    _, unused = told.outcomes[1]
    assert unused.findings == (FOUND,)
    assert any("rank 1 did not come to its end" in note for note in told.notes)


def test_whoever_is_known_to_be_gone_is_not_waited_for(tmp_path: Path) -> None:
    company = Company(RunFolder(tmp_path), -1, RULES, numbers=lambda: (0,), is_gone=lambda _: True)
    handed, notes = company.gather(patience_s=math.inf)
    assert handed == {}
    assert len(notes) == 1


def test_a_process_that_only_starts_others_is_left_out() -> None:
    both = Joined(
        recordings={-1: ran(0, steps=0), 0: ran(0), 1: ran(1)},
        outcomes={-1: PASSED, 0: PASSED, 1: PASSED},
    )
    left = both.without_starter(-1, are_ranks=False)
    assert list(left.recordings) == [0, 1]
    assert left.notes == ("processes are numbered in the order of their start",)
    assert both.without_starter(-1, are_ranks=True).notes == ()


def test_children_that_take_fewer_steps_are_left_out_and_that_is_said() -> None:
    both = Joined(
        recordings={-1: ran(0, steps=9), 0: ran(0)}, outcomes={-1: PASSED, 0: PASSED}
    ).without_starter(-1, are_ranks=False)
    assert list(both.recordings) == [0]
    assert both.recordings[0].get(Run) == ran(0, steps=9).get(Run)
    assert any("not judged" in note for note in both.notes)
