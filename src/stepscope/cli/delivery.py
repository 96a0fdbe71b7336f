"""Where the report goes: a stream that the script cannot write on, or a file."""

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from stepscope.core.verdict import Report
from stepscope.core.whole_file import draft_of, write_whole
from stepscope.reporters import formats, reporter, text
from stepscope.reporters.content.printable import one_line
from stepscope.reporters.content.summary import verdict

NARROWEST, WIDEST = 60, 100  # columns; longer lines are hard to read
_PLAIN = str.maketrans({"│": "|", "─": "-", "…": "~"})  # our own signs, for terminals without them


@dataclass(frozen=True, slots=True)
class Delivery:
    """One way to hand a report over, settled before the script runs."""

    form: str
    output: Path | None
    descriptor: int  # to write to, where there is no file
    width: int
    colour: bool
    encoding: str
    errors: int = 2  # to write to, what is said of the file

    @classmethod
    def prepare(cls, form: str, output: Path | None, *, on_stdout: bool = False) -> "Delivery":
        """Check the format and the file, and keep stdout for the report where it goes there.

        `on_stdout`: text goes there too, because no script writes on it.

        From then on the script's stdout is stderr, also for its threads and its subprocesses:
        for good, as they may outlive the recording.

        Raises:
            ValueError: there is no such format, or the file cannot be written.
        """
        if form not in formats():
            raise ValueError(f"there is no format {form!r}; choose one of {', '.join(formats())}")
        if output is not None:
            output = writable(output)
        errors = descriptor = _own(2)
        if (form != "text" or on_stdout) and output is None:
            if sys.stdout is None:
                raise ValueError("standard output is closed; give the report a file by --output")
            sys.stdout.flush()
            descriptor = _own(1)
            os.dup2(2, 1)
        width, colour = _terminal(descriptor)
        encoding = "utf-8" if sys.stderr is None else sys.stderr.encoding
        return cls(form, output, descriptor, width, colour, encoding, errors)

    def deliver(self, report: Report) -> bool:
        """Write the report; tell whether that succeeded."""
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            with contextlib.suppress(Exception):  # the script closed it, or put something there
                if stream is not None:
                    stream.flush()
        try:
            if self.output is None:
                self._write(self._rendered(report))
            else:
                content = reporter(self.form)(report)
                write_whole(self.output, content.encode(errors="backslashreplace"))
        except OSError as why:
            where = self.output or "the report"
            self._say(f"stepscope: {where} cannot be written: {why.strerror}\n")
            return False
        if self.output is not None:
            self._say(f"stepscope: {verdict(report)} The report is in {self.output}\n")
        return True

    def _rendered(self, report: Report) -> str:
        if self.form != "text":
            return reporter(self.form)(report)
        shown = text.render(report, width=self.width, colour=self.colour)
        return shown if self.encoding.lower().startswith("utf") else shown.translate(_PLAIN)

    def _write(self, content: str) -> None:
        encoding = self.encoding if self.form == "text" else "utf-8"
        _write(self.descriptor, content.encode(encoding, "backslashreplace"))

    def _say(self, sentence: str) -> None:
        line = one_line(sentence) + "\n"
        with contextlib.suppress(OSError):  # closed from the start: nobody listens
            _write(self.errors, line.encode(self.encoding, "backslashreplace"))


def _own(descriptor: int) -> int:
    """Return a copy that the script, which may close or redirect its own, does not know of."""
    try:
        return os.dup(descriptor)
    except OSError:  # closed from the start
        return descriptor


def _write(descriptor: int, data: bytes) -> None:
    """Write to the descriptor itself: the script may have put anything in place of `sys.stderr`."""
    with contextlib.suppress(BrokenPipeError):  # the reader has seen enough
        while data:
            data = data[os.write(descriptor, data) :]


def writable(output: Path) -> Path:
    """Return the absolute path of a file to write in the end, in a folder that is there.

    Raises:
        ValueError: it cannot be written.
    """
    output = output.absolute()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise ValueError(f"--output {output}: its folder cannot be made: {why.strerror}") from why
    try:
        if output.is_dir():
            raise ValueError(f"--output {output} is a folder; give the name of a file in it")
        if output.is_file() or not output.exists():
            draft = draft_of(output)
            draft.touch()
            draft.unlink()
    except OSError as why:
        raise ValueError(f"--output {output} cannot be written: {why.strerror}") from why
    return output


def _terminal(descriptor: int) -> tuple[int, bool]:
    """Return how wide it is, and whether it shows colour (https://no-color.org)."""
    environment = os.environ
    is_terminal = os.isatty(descriptor)
    width = os.get_terminal_size(descriptor).columns if is_terminal else text.WIDTH
    colour = is_terminal and environment.get("TERM") != "dumb"
    if environment.get("FORCE_COLOR"):
        colour = True
    if environment.get("NO_COLOR"):
        colour = False
    return min(max(width, NARROWEST), WIDEST), colour
