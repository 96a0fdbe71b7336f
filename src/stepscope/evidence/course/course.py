"""Folds the lines of a run into evidence: the same while it goes and afterwards."""

from collections import deque
from collections.abc import Iterable
from itertools import chain
from typing import ClassVar, Protocol

from stepscope.core import Evidence
from stepscope.evidence.course.line import NUMBERS, Happening, Line
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.course.series import Growing, Series

FIRST, LAST = 200, 200  # happenings of one kind that are kept; those between are counted


class Curves(Protocol):
    """A kind of evidence made of the numbers of one subject."""

    subject: ClassVar[str]

    def __init__(self, *, series: dict[str, Series]) -> None: ...


class Happenings(Protocol):
    """A kind of evidence made of the happenings of one kind."""

    happening: ClassVar[type[Happening]]

    def __init__(self, *, seen: tuple[tuple[int, Happening], ...], count: int) -> None: ...


class Course:
    """What is known of a run so far. `kinds` are all kinds of evidence of the house.

    A kind with a `subject` is given `series`, its numbers by name; one with a `happening` is given
    `seen`, pairs of a step and what happened at it, and `count`.
    """

    def __init__(self, kinds: Iterable[type[Evidence]]) -> None:
        kinds = tuple(kinds)
        self._by_subject = {
            subject: kind for kind in kinds if (subject := getattr(kind, "subject", None))
        }
        self._by_happening = {
            happening: kind for kind in kinds if (happening := getattr(kind, "happening", None))
        }
        self._curves: dict[str, dict[str, Growing]] = {}
        self._seen: dict[type[Happening], _Seen] = {}
        self._sampled = 0
        self._first: Line | None = None
        self._last: Line | None = None

    @property
    def happenings(self) -> tuple[type[Happening], ...]:
        """The kinds of happenings that some evidence is made of."""
        return tuple(self._by_happening)

    def add(self, line: Line) -> None:
        """Take a line in."""
        self._first = self._first or line
        self._last = line
        self._sampled += bool(line.numbers)
        for subject, numbers in line.numbers.items():
            curves = self._curves.setdefault(subject, {})
            for name, value in numbers.items():
                curves.setdefault(name, Growing()).add(line.step, value)
        for each in line.happened:
            self._seen.setdefault(type(each), _Seen()).add(line.step, each)
        self._sampled += line.left_out.get(NUMBERS, 0)
        for kind in self._by_happening:
            if left_out := line.left_out.get(kind.__name__):
                self._seen.setdefault(kind, _Seen()).count += left_out

    def evidence(self) -> tuple[Evidence, ...]:
        """Return one piece of evidence for each kind of which something is known."""
        return tuple(chain(self._progress(), self._of_curves(), self._of_happenings()))

    def _progress(self) -> Iterable[Evidence]:
        if self._first is not None and self._last is not None:
            yield Progress(
                first=self._first.step,
                step=self._last.step,
                sampled=self._sampled,
                seconds=self._last.seconds,
            )

    def _of_curves(self) -> Iterable[Evidence]:
        for subject, kind in self._by_subject.items():
            if curves := self._curves.get(subject):
                yield kind(series={name: each.series() for name, each in curves.items()})

    def _of_happenings(self) -> Iterable[Evidence]:
        for happening, kind in self._by_happening.items():
            if seen := self._seen.get(happening):
                yield kind(seen=seen.kept(), count=seen.count)


class _Seen:
    """The first and the last happenings of one kind."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[tuple[int, Happening]] = []
        self._last: deque[tuple[int, Happening]] = deque(maxlen=LAST)

    def add(self, step: int, happening: Happening) -> None:
        self.count += 1
        if len(self._first) < FIRST:
            self._first.append((step, happening))
        else:
            self._last.append((step, happening))

    def kept(self) -> tuple[tuple[int, Happening], ...]:
        return (*self._first, *self._last)
