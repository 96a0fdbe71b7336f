"""The other processes of a run, as the one that reports sees them."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from stepscope.adapters.company.exchange import Exchange
from stepscope.adapters.company.handing import handed_over
from stepscope.core import Evidence, Recording, Rule
from stepscope.core.report import Outcome, Status
from stepscope.evidence.course.course import Course
from stepscope.evidence.course.line import Line
from stepscope.recordings.entries import Found
from stepscope.recordings.folder import RunFolder
from stepscope.recordings.reader import RankRecorded
from stepscope.recordings.tail import Tail, understood

PERIOD_S = 0.5  # between two looks at what they handed on
PERIOD_OF_ONE_S = 0.005  # and at least so much for each of them
MEETING_S = 0.02  # while some of them do not know the folder yet
MEETING_LASTS_S = 60.0  # later ones are greeted more slowly
TICK_S = 0.05
GRACE_S = 5.0  # for the thread, which may be reading


@dataclass(frozen=True, slots=True)
class Handed:
    """What came of one of them."""

    outcomes: tuple[Outcome, ...]
    recording: Recording | None  # None of one that did not come to its end


class Others:
    """Reads what they hand on, in a thread of its own: files may be slow."""

    def __init__(
        self,
        run: RunFolder,
        exchange: Exchange,
        *,
        kinds: Sequence[type[Evidence]],
        rules: Sequence[Rule],
        numbers: Callable[[], Iterable[int]],
        told: Callable[[int, Found], None],
        greet: Callable[[], bool] = lambda: True,
        is_gone: Callable[[int], bool] = lambda _: False,
        compare: Callable[[], None] = lambda: None,
    ) -> None:
        """`numbers` tells which there are by now; `told` gets their findings, in the thread.

        `compare` is called there whenever more is known of what is compared between them.

        `greet` is called again and again, until it says that all have been greeted. `is_gone`
        tells of a process that it has ended, where that can be known.
        """
        self._run = run
        self._exchange = exchange
        self._kinds = kinds
        self._happenings = Course(kinds).happenings
        self._rules = rules
        self._numbers = numbers
        self._told = told
        self._greet = greet
        self._is_gone = is_gone
        self._compare = compare
        self._tails: dict[int, Tail] = {}
        self._courses: dict[int, Course] = {}
        self.steps: dict[int, int] = {}  # how far each has come
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read_on, name="stepscope ranks", daemon=True)

    def begin(self) -> None:
        """Read from now on."""
        self._thread.start()

    def recordings(self) -> dict[int, Recording]:
        """Return what is compared between ranks, as far as it is known of each."""
        with self._lock:
            return {rank: Recording(*each.evidence()) for rank, each in self._courses.items()}

    def gather(self, patience_s: float) -> tuple[Mapping[int, Handed], tuple[str, ...]]:
        """Wait until all have come to their ends; return what came of each, and what is missing."""
        until = time.monotonic() + patience_s
        handed: dict[int, Handed] = {}
        while True:
            gone = {rank for rank in self._numbers() if self._is_gone(rank)}  # before it is read
            for rank in self._missing(handed):
                if (found := self._handed_over(rank)) is not None:
                    handed[rank] = found
            if gone.issuperset(self._missing(handed)) or time.monotonic() >= until:
                break
            time.sleep(TICK_S)
        self._over.set()
        self._thread.join(GRACE_S)
        if not self._thread.is_alive():
            self._read()
        missing = self._missing(handed)
        for rank in missing:
            if (left := self._left_behind(rank)) is not None:
                handed[rank] = left
        notes = tuple(
            f"rank {rank} did not come to its end, as far as was seen" for rank in missing
        )
        return dict(sorted(handed.items())), notes

    def _missing(self, handed: Mapping[int, Handed]) -> list[int]:
        return [rank for rank in self._numbers() if rank not in handed]

    def _handed_over(self, rank: int) -> Handed | None:
        over = handed_over(self._exchange.rank(rank), self._kinds, self._rules)
        return None if over is None else Handed(over[1], over[0])

    def _left_behind(self, rank: int) -> Handed | None:
        """Return what a process found that did not come to its end; None if nothing."""
        folder = self._run.rank(rank)
        found = RankRecorded(rank, folder).findings() if folder.is_dir() else ()
        if not found:
            return None
        return Handed(tuple(_so_far(rule, found) for rule in self._rules), None)

    def _read_on(self) -> None:
        have_met = False
        hurries_until = time.monotonic() + MEETING_LASTS_S
        while True:
            hurries = not have_met and time.monotonic() < hurries_until
            if self._over.wait(MEETING_S if hurries else self._period()):
                return
            have_met = have_met or self._greet()
            with contextlib.suppress(OSError):  # a disk in trouble: they are asked again
                self._read()

    def _period(self) -> float:
        return max(PERIOD_S, PERIOD_OF_ONE_S * len(self._tails))

    def _read(self) -> None:
        is_more = False
        for rank in self._numbers():
            folder = self._exchange.rank(rank)
            if not folder.is_dir():
                continue
            tail = self._tails.setdefault(rank, Tail(folder, 1))
            said = [understood(*each, self._happenings, tail.damage) for each in tail.new()]
            with self._lock:
                course = self._courses.setdefault(rank, Course(self._kinds))
                for each in said:
                    if isinstance(each, Line):
                        course.add(each)
                        self.steps[rank] = each.step
                        is_more = True
            for each in said:
                if isinstance(each, Found):
                    self._told(rank, each)
        if is_more:
            self._compare()


def _so_far(rule: Rule, found: Sequence[Found]) -> Outcome:
    findings = tuple(each.finding for each in found if each.code == rule.code)
    if findings:
        return Outcome(rule, Status.FAILED, findings)
    return Outcome(rule, Status.SKIPPED, reason="needs a process that comes to its end")
