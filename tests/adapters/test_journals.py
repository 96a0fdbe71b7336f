"""Findings reach each of the program's loggers once."""

from collections.abc import Iterator
from typing import Any

import pytest

from stepscope.adapters.journals import Journals, TensorBoardJournal
from stepscope.core import Finding, Findings, Place, Severity, rule
from stepscope.evidence.environment import Run
from stepscope.watching.verdicts import News


@rule("TST001", Severity.ERROR)
def always(run: Run) -> Findings:
    yield Finding(subject=run.program, message="", measured="", expected="")


def news(number: int) -> News:
    finding = Finding(
        subject=f"head {number}",
        message="is not updated",
        measured="lr 0",
        expected="lr > 0",
        at=Place(file="train.py", line=7),
    )
    return News(always, finding, number)


class Logger:
    """One of the program's."""


class Remembering:
    def __init__(self) -> None:
        self.steps: list[int] = []

    def write(self, news: News) -> None:
        self.steps.append(news.step)


class Failing:
    def write(self, news: News) -> None:
        raise OSError("no space left")


def test_a_logger_that_turns_up_later_gets_what_it_has_missed() -> None:
    found: list[tuple[Logger, Remembering]] = [(Logger(), Remembering())]
    journals = Journals(lambda: found)
    journals.tell(news(1))
    found.append((Logger(), Remembering()))
    journals.tell(news(2))
    found.append((Logger(), Remembering()))
    found.append(found[0])  # heard by another way as well
    journals.catch_up()
    assert [journal.steps for _, journal in found[:3]] == [[1, 2]] * 3


def test_one_that_fails_is_said_once_and_keeps_nothing_from_the_others(
    capfd: pytest.CaptureFixture[str],
) -> None:
    other = Remembering()
    pairs = [(Logger(), Failing()), (Logger(), other)]
    journals = Journals(lambda: pairs)
    for number in range(3):
        journals.tell(news(number))
    assert other.steps == [0, 1, 2]
    said = capfd.readouterr().err
    assert said.count("could not be written") == 1
    assert "no space left" in said


def test_asking_for_the_loggers_may_fail(capfd: pytest.CaptureFixture[str]) -> None:
    def found() -> Iterator[Any]:
        raise RuntimeError("not set up")
        yield

    Journals(found).tell(news(1))
    assert "not set up" in capfd.readouterr().err


def test_tensorboard_is_given_markdown_at_the_step_of_the_whole_training() -> None:
    class Writer:
        def __init__(self) -> None:
            self.said: list[tuple[str, str, int]] = []
            self.flushed = 0

        def add_text(self, tag: str, text_string: str, global_step: int | None = None) -> None:
            assert global_step is not None
            self.said.append((tag, text_string, global_step))

        def flush(self) -> None:
            self.flushed += 1

    writer = Writer()
    TensorBoardJournal(writer, lambda step: 100 + step).write(news(5))
    ((tag, text, step),) = writer.said
    assert (tag, step, writer.flushed) == ("stepscope/TST001", 105, 1)
    assert text.split("\n\n") == [
        "**error** head 5 is not updated",
        "measured: lr 0",
        "expected: lr > 0",
        "at `train.py:7`",
    ]
