"""What is said stands on standard error, above a bar, and never breaks the program."""

import io
import sys
import types

import pytest

from stepscope.watching.terminal import say


def test_it_is_said_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    say("two\nlines")
    assert capsys.readouterr() == ("", "two\nlines\n")


def test_it_is_flushed_before_the_program_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    held = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(held), "utf-8"))
    say("now")
    assert held.getvalue() == b"now\n"


def test_a_bar_that_is_drawn_writes_it_above_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, object]] = []

    class tqdm:  # noqa: N801 - as it is called there
        _instances = frozenset(("a bar",))

        @staticmethod
        def write(text: str, file: object) -> None:
            written.append((text, file))

    monkeypatch.setitem(sys.modules, "tqdm", types.SimpleNamespace(tqdm=tqdm))
    say("above")
    assert written == [("above", sys.stderr)]


def test_where_no_bar_is_drawn_it_is_said_plainly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = types.SimpleNamespace(tqdm=types.SimpleNamespace(_instances=frozenset()))
    monkeypatch.setitem(sys.modules, "tqdm", bars)
    say("plain")
    assert capsys.readouterr().err == "plain\n"


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise ValueError("I/O operation on closed file")


@pytest.mark.parametrize("stream", [None, Broken(), object()])
def test_whatever_the_program_has_put_in_its_place_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, stream: object
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    say("nobody hears it")
