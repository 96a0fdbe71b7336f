"""Turns what is known of a run into files, and lives with a disk that does not take them."""

import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

from stepscope.core import Recording
from stepscope.evidence.course.line import NUMBERS, Line
from stepscope.recordings.entries import Ended, Found, numbered, written
from stepscope.recordings.segments import Segments
from stepscope.recordings.window_files import WindowFiles

BUDGET = 48_000_000  # bytes of one rank, whatever the number of steps
WINDOWS_SHARE = 4  # windows may take a fourth of it, entries the rest
LONGEST_SHARE = 8  # an entry that is longer than an eighth of it is left out
CHUNK = 2**16  # bytes that are written at once
HELD = 2**22  # bytes of entries that wait for a disk; further lines are left out
RETRY_S = 5.0  # until a disk that took nothing is asked again


class Writing:
    """The side of a recorder that may wait for the disk. Only one thread comes here."""

    def __init__(self, folder: Path, budget: int, said: Callable[[str], None]) -> None:
        self._folder = folder
        self._budget = budget
        self._said = said
        self._segments = Segments(folder, budget - budget // WINDOWS_SHARE)
        self._files = WindowFiles(folder, budget // WINDOWS_SHARE)
        self._n = 0
        self._waiting = bytearray()  # entries; the first may be written in part
        self._windows: deque[tuple[int, float, bytes]] = deque()
        self._left_out: Counter[str] = Counter()  # since the last line
        self._troubles: set[str] = set()  # that were said
        self._again_at = 0.0
        self._is_over = False

    def line(self, line: Line, left_out: int = 0) -> None:
        """Write a line; so many lines of numbers before it were not handed over."""
        self._left_out[NUMBERS] += left_out
        if self._is_over or len(self._waiting) > HELD:
            self._leave_out(line)
            return
        try:
            text = line.to_json()
        except (TypeError, ValueError) as why:
            self._say("line", f"a line of the recording cannot be written: {why}; it is left out")
            self._leave_out(line)
            return
        if len(text) > self._budget // LONGEST_SHARE:
            self._say("long", f"a line of {len(text):,} bytes is too long to be recorded")
            self._leave_out(line)
            return
        self._tell_left_out(line.step, line.seconds)
        self._add(text)

    def found(self, found: Found) -> None:
        """Write a finding, even where it must wait for long."""
        self._add(written(found.step, found.seconds, found=found))

    def ended(self, ended: Ended) -> None:
        """Write that this is the end."""
        self._tell_left_out(ended.step, ended.seconds)
        self._add(written(ended.step, ended.seconds, ended=ended.how))

    def window(self, step: int, seconds: float, seen: Recording) -> None:
        """Write a window into a file of its own."""
        content = b'%b,"evidence":%b}' % (written(step, seconds)[:-1], seen.to_json())
        room = self._budget // WINDOWS_SHARE
        if len(content) + sum(len(each) for _, _, each in self._windows) > room:
            self._say("window", f"the window at step {step} is too large to be recorded")
            return
        self._windows.append((step, seconds, content))
        self.push()

    def push(self, *, at_once: bool = False) -> bool:
        """Bring what waits onto the disk, and tell whether all of it is there."""
        if self._is_over or (time.monotonic() < self._again_at and not at_once):
            return False
        if not (self._segments.part or self._waiting or self._windows):
            return True  # a process that has nothing to say leaves nothing
        try:
            self._segments.append(self._waiting)
            while self._windows:
                step, seconds, content = self._windows[0]
                name = self._files.add(self._segments.part, content)
                self._windows.popleft()
                self._n += 1
                self._waiting += numbered(self._n, written(step, seconds, window=str(name)))
                self._segments.append(self._waiting)
        except FileNotFoundError as why:
            self._is_over = True
            self._waiting.clear()
            self._windows.clear()
            self._say("gone", f"{why}; the run goes on, and is not recorded any more")
            return False
        except OSError as why:
            self._again_at = time.monotonic() + RETRY_S
            self._say(
                why.strerror or str(why),
                f"{self._folder} cannot be written: {why.strerror}; the run goes on, and the "
                f"recording too as soon as there is room",
            )
            return False
        self._again_at = 0.0
        return True

    def close(self) -> None:
        """Write what waits, and close the files. What comes later is left out."""
        self.push(at_once=True)
        self._is_over = True
        try:
            self._segments.close()
        except OSError as why:
            self._say(str(why), f"{self._folder} is not safe on its disk: {why.strerror}")

    def _tell_left_out(self, step: int, seconds: float) -> None:
        if left_out := +self._left_out:
            self._left_out.clear()
            self._add(Line(step=step, seconds=seconds, left_out=dict(left_out)).to_json())

    def _add(self, text: bytes) -> None:
        if self._is_over:
            return
        self._n += 1
        self._waiting += numbered(self._n, text)
        if len(self._waiting) > CHUNK:
            self.push()

    def _leave_out(self, line: Line) -> None:
        self._left_out.update(line.left_out)
        self._left_out.update(type(each).__name__ for each in line.happened)
        self._left_out[NUMBERS] += bool(line.numbers)

    def _say(self, trouble: str, sentence: str) -> None:
        if trouble not in self._troubles:
            self._troubles.add(trouble)
            self._said(sentence)
