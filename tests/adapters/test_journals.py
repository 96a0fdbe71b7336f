"""Findings reach each of the program's loggers once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as replace_struct

from stepscope.adapters.journals import MOST, Journals, TensorBoardJournal, TextJournal, Told
from stepscope.core import Finding, Findings, Place, Severity, rule
from stepscope.evidence.environment import Run
from stepscope.watching.verdicts import News


@rule("TST001", Severity.ERROR)
def always(run: Run) -> Findings:
    yield Finding(subject=run.program, message="", measured="", expected="")


@rule("TST002", Severity.NOTE)
def other(run: Run) -> Findings:
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
    journals = Journals(lambda _: found, int)
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
    journals = Journals(lambda _: pairs, int)
    for number in range(3):
        journals.tell(news(number))
    assert other.steps == [0, 1, 2]
    said = capfd.readouterr().err
    assert said.count("could not be written") == 1
    assert "no space left" in said


def test_asking_for_the_loggers_may_fail(capfd: pytest.CaptureFixture[str]) -> None:
    def found(_: Told) -> Iterator[Any]:
        raise RuntimeError("not set up")
        yield

    Journals(found, int).tell(news(1))
    assert "not set up" in capfd.readouterr().err


def test_tensorboard_is_given_markdown_at_the_step_of_the_whole_training() -> None:
    class Writer:
        def __init__(self) -> None:
            self.all_writers: dict[str, object] = {}
            self.said: list[tuple[str, str, int]] = []
            self.flushed = 0

        def add_text(self, tag: str, text_string: str, global_step: int | None = None) -> None:
            assert global_step is not None
            self.said.append((tag, text_string, global_step))

        def flush(self) -> None:
            self.flushed += 1

    writer = Writer()
    TensorBoardJournal(writer, Told([], lambda step: 100 + step)).write(news(5))
    ((tag, text, step),) = writer.said
    assert (tag, step, writer.flushed) == ("stepscope/TST001", 105, 1)
    assert text.split("\n\n") == [
        "**error** head 5 is not updated",
        "measured: lr 0",
        "expected: lr > 0",
        "at `train.py:7`",
    ]


@pytest.mark.corpus
@pytest.mark.filterwarnings("ignore")
def test_a_writer_that_was_closed_gets_it_and_is_closed_again(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(tmp_path)  # type: ignore[no-untyped-call]
    writer.add_scalar("loss", 0.5, 0)  # type: ignore[no-untyped-call]
    writer.close()  # type: ignore[no-untyped-call]
    TensorBoardJournal(writer, Told([], int)).write(news(5))
    assert writer.all_writers is None
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert events.Tags()["scalars"] == ["loss"]
    assert [each.step for each in events.Tensors("stepscope/TST001/text_summary")] == [5]


def test_a_text_has_all_that_a_rule_has_found_and_of_no_other() -> None:
    texts: dict[str, str] = {}
    told = Told([news(1), replace(news(2), rule=other), news(3)], lambda step: 100 + step)
    TextJournal(texts.__setitem__, told).write(told.news[2])
    assert texts == {
        "stepscope/TST001": (
            "step 101: error always: head 1 is not updated | measured: lr 0 | expected: lr > 0"
            " | at train.py:7\n"
            "step 103: error always: head 3 is not updated | measured: lr 0 | expected: lr > 0"
            " | at train.py:7"
        )
    }


@pytest.mark.parametrize(("length", "kept"), [(900, 4), (1300, 2), (9000, 1)])
def test_a_text_is_cut_to_what_loggers_take(length: int, kept: int) -> None:
    texts: dict[str, str] = {}
    long = replace(news(1), finding=replace_struct(news(1).finding, message="x" * length))
    told = Told([long] * 5, int)
    TextJournal(texts.__setitem__, told).write(long)
    *lines, last = texts["stepscope/TST001"].split("\n")
    assert len(lines) == kept
    assert last == f"and {5 - kept} more"
    assert sum(map(len, lines)) <= MOST
