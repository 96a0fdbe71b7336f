"""However a watched program comes to its end, it is told once, and the program sees nothing."""

import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from stepscope.adapters.target import Target, TargetError
from stepscope.adapters.watched_script import Ended, watch
from stepscope.core import Severity
from stepscope.evidence.environment import Ending
from stepscope.watching.verdicts import News
from stepscope.watching.watched import Watched
from tests.watching.conftest import always_wrong

LOOP = """
import os, sys, torch
model = torch.nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
def step():
    optimizer.zero_grad()
    model(torch.ones(8, 4)).square().mean().backward()
    optimizer.step()
"""
Start = Callable[..., tuple[int, list[Ended], Watched]]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Return a function that watches a program in this process, and tells how it ended."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    deepest = sys.getrecursionlimit()

    def started(
        program: str, *arguments: str, stops: bool = False
    ) -> tuple[int, list[Ended], Watched]:
        (tmp_path / "train.py").write_text(LOOP + textwrap.dedent(program))
        watched = Watched("train.py", rules=[always_wrong], told=told)
        nonlocal present, is_to_stop
        present, is_to_stop = watched, stops
        ends: list[Ended] = []

        def conclude(ended: Ended) -> int:
            ends.append(ended)
            return ended.code + 10

        try:
            target = Target("train.py", is_module=False, arguments=arguments)
            return watch(target, watched, conclude), ends, watched
        finally:
            sys.setrecursionlimit(deepest)

    def told(news: News) -> None:
        if is_to_stop and news.severity is Severity.ERROR:
            present.stop_run()

    present = Watched("none", rules=[])
    is_to_stop = False
    return started


@pytest.mark.parametrize(
    ("program", "ended"),
    [
        ("step()", Ended(Ending.FINISHED, 0)),
        ("step(); sys.exit()", Ended(Ending.FINISHED, 0)),
        ("step(); sys.exit(3)", Ended(Ending.FINISHED, 3, "SystemExit: 3")),
        ("step(); sys.exit('why')", Ended(Ending.FINISHED, 1, "SystemExit: why")),
        ("step(); raise KeyError('lr')", Ended(Ending.RAISED, 1, "KeyError: 'lr'")),
        ("step(); raise KeyboardInterrupt", Ended(Ending.RAISED, 130, "KeyboardInterrupt")),
    ],
)
def test_its_end_is_told_with_the_code_that_it_would_have_left_with(
    start: Start, program: str, ended: Ended
) -> None:
    code, ends, watched = start(program)
    assert ends == [ended]
    assert code == ended.code + 10
    assert watched.step == 1
    assert watched.faults == []


def test_the_program_sees_what_it_would_see_without_us(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = sys.modules["__main__"]
    seen = "print(__name__, sys.argv, __file__, sys.path[0], sys.modules[__name__].step is step)"
    start(f"step(); {seen}", "--lr", "1")
    folder = tmp_path.resolve()
    assert capsys.readouterr().out == (
        f"__main__ ['train.py', '--lr', '1'] {folder}/train.py {folder} True\n"
    )
    assert sys.modules["__main__"] is main


def test_the_traceback_of_the_program_is_its_own(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    start("def train(): raise ValueError('a bad sample')\nstep(); train()")
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert "in train" in said
    assert "ValueError: a bad sample" in said
    assert "watched_script" not in said


def test_a_stop_by_a_finding_is_no_failure_of_the_program(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    program = "try:\n    for i in range(99): step()\nfinally: print('left after', i)"
    code, ends, watched = start(program, stops=True)
    assert (code, ends) == (11, [Ended(Ending.FINISHED, 1, stopped=True)])
    assert watched.stopped
    assert capsys.readouterr() == ("left after 3\n", "")


def test_a_program_that_swallows_the_stop_is_still_said_to_be_stopped(start: Start) -> None:
    program = "for i in range(9):\n    try: step()\n    except KeyboardInterrupt: break"
    _, ends, watched = start(program, stops=True)
    assert ends == [Ended(Ending.FINISHED, 0, stopped=True)]
    assert watched.step == 4


def test_steps_in_another_thread_are_said_to_be_out_of_sight(
    start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    program = """
    import threading
    thread = threading.Thread(target=step)
    thread.start(); thread.join()
    """
    _, (ended,), watched = start(program)
    assert (watched.step, ended.elsewhere) == (0, "a thread other than the main one")
    assert "which is not observed" in capfd.readouterr().err


def test_a_forked_child_that_comes_to_the_end_tells_nobody(start: Start, tmp_path: Path) -> None:
    program = """
    step()
    child = os.fork()
    if child: os.waitpid(child, 0)
    """
    parent = os.getpid()
    try:
        code, ends, _ = start(program)
    finally:
        if os.getpid() != parent:  # the child has come back into the test
            os._exit(0)
    assert (code, ends) == (10, [Ended(Ending.FINISHED, 0)])


def test_afterwards_nothing_of_ours_is_left(start: Start) -> None:
    before = os._exit, os.execv, torch.nn.Module._call_impl, torch.autograd.backward
    start("step(); step()")
    assert (os._exit, os.execv, torch.nn.Module._call_impl, torch.autograd.backward) == before


def test_what_cannot_be_started_is_a_mistake_and_nothing_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ends: list[Ended] = []
    watched = Watched("absent.py", rules=[])
    with pytest.raises(TargetError, match=r"there is no script absent\.py"):
        watch(Target("absent.py", is_module=False), watched, lambda end: ends.append(end) or 0)
    assert ends == []
