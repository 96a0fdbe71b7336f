"""The file of the report is the one that was named, whatever stands there."""

import os
from pathlib import Path

import pytest

from stepscope.cli.delivery import Delivery
from stepscope.core.verdict import Report, RunFacts

RUN = RunFacts(program="train.py", root="/project", steps=0, asked=3)


def delivered(output: Path) -> bool:
    return Delivery.prepare("markdown", output).deliver(Report(run=RUN, outcomes=(), findings=()))


def test_a_link_is_followed_and_kept(tmp_path: Path) -> None:
    (tmp_path / "there.md").touch()
    link = tmp_path / "link.md"
    link.symlink_to("there.md")
    assert delivered(link)
    assert link.is_symlink()
    assert "train.py" in (tmp_path / "there.md").read_text("utf-8")


def test_a_pipe_is_written_to_and_not_put_aside(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert delivered(pipe)
        assert b"train.py" in os.read(reader, 10_000)
        assert pipe.is_fifo()
    finally:
        os.close(reader)


def test_a_file_that_cannot_be_written_in_the_end_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    delivery = Delivery.prepare("markdown", tmp_path / "a" / "report.md")
    (tmp_path / "a").rmdir()
    assert not delivery.deliver(Report(run=RUN, outcomes=(), findings=()))
    assert "report.md cannot be written: No such file" in capfd.readouterr().err
