"""What a process of a run has to do with the others of it."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stepscope.adapters.company.exchange import Exchange
from stepscope.adapters.company.handing import OVER, Handing, hand_over
from stepscope.adapters.company.others import Handed, Others
from stepscope.core import Evidence, Recording, Rule, judge
from stepscope.core.report import Outcome, Status
from stepscope.evidence.course.across_ranks import AcrossRanks, across
from stepscope.evidence.kinds import every_kind
from stepscope.recordings.entries import Found
from stepscope.recordings.folder import RunFolder
from stepscope.recordings.writer import Recorder
from stepscope.summing_up import run_of
from stepscope.watching.verdicts import News
from stepscope.watching.watched import Keeper

STARTER = -1  # number of a process that starts the others, and takes no steps
PATIENCE_S = 60.0  # for the slowest of them to come to its end
PATIENCE_AFTER_FAILURE_S = 3.0  # the others may wait for this one in a collective, for ever


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What is known of all of them at the end. The one that reports comes first."""

    recordings: Mapping[int, Recording]
    outcomes: Mapping[int, Sequence[Outcome]]
    notes: tuple[str, ...] = ()

    def without_starter(self, number: int, *, are_ranks: bool) -> "Joined":
        """Leave out the process that started the others, or them, whoever took fewer steps.

        With `are_ranks` the numbers of the others are those that the program knows.
        """
        mine = run_of(self.recordings[number]).steps
        others = [run_of(each).steps for rank, each in self.recordings.items() if rank != number]
        if max(others, default=-1) < mine or not others:
            left_out = f"not judged: processes that it started ({len(others)} took steps)"
            return Joined(
                recordings={0: self.recordings[number]},
                outcomes={0: self.outcomes[number]},
                notes=(*self.notes, *((left_out,) if others else ())),
            )
        notes = list(self.notes)
        if not are_ranks:
            notes.insert(0, "processes are numbered in the order of their start")
        if mine:
            notes.append(f"not judged: {mine} steps of the process that started the others")
        return Joined(
            recordings={r: each for r, each in self.recordings.items() if r != number},
            outcomes={r: each for r, each in self.outcomes.items() if r != number},
            notes=tuple(notes),
        )

    @classmethod
    def alone(
        cls, number: int, own: Recording, outcomes: Sequence[Outcome], notes: tuple[str, ...]
    ) -> "Joined":
        """Return what is known where there are no others."""
        return cls(recordings={number: own}, outcomes={number: outcomes}, notes=notes)


class Company:
    """One process among several. The first reads what the others hand on, and reports for all.

    `numbers` are those of the others, as far as they are known; none where another one is first.
    """

    def __init__(
        self,
        run: RunFolder,
        number: int,
        rules: Sequence[Rule],
        *,
        numbers: Callable[[], Iterable[int]] | None = None,
        told: Callable[[int, Found], None] = lambda _rank, _found: None,
        greet: Callable[[], bool] = lambda: True,
        is_gone: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self.exchange = Exchange(run)
        self._number = number
        self._rules = rules
        self._across = tuple(rule for rule in rules if _is_across(rule))
        self._own = Recording()  # what is known of this process, when it was last judged
        self._told = told
        self._others: Others | None = None
        self._handed: Recorder | None = None
        if numbers is not None:
            self._others = Others(
                run,
                self.exchange,
                kinds=every_kind(),
                rules=rules,
                numbers=numbers,
                told=told,
                greet=greet,
                is_gone=is_gone,
                compare=self._compare if number == STARTER else lambda: None,
            )
            self._others.begin()

    def keeper(self, kept: Keeper) -> Keeper:
        """Return what keeps for this process and, where another is first, hands on."""
        if self._others is not None:
            return kept
        with contextlib.suppress(OSError):  # of this rank as it was before it was started again
            (self.exchange.rank(self._number) / OVER).unlink()
        began = time.monotonic()
        self._handed = Recorder(
            self.exchange.rank(self._number),
            clock=lambda: time.monotonic() - began,
            said=lambda _: None,  # the recording is in the same trouble, and says so
        )
        return Handing(kept, self._handed)

    def beside(self, own: Recording) -> Iterator[Evidence]:
        """Yield what the other processes tell of the run."""
        if self._others is not None:
            self._own = own
            facts = across({**self._others.recordings(), self._number: own})
            if facts is not None:
                yield facts

    def is_to_stop(self, step: int) -> bool:
        """Tell whether the run stops after this step. Asked after each."""
        if self._others is None and self._number == 0 and self.exchange.is_asked_to_stop():
            with contextlib.suppress(OSError):
                self.exchange.wish_to_stop(step)
        return self.exchange.is_to_stop(step)

    def _compare(self) -> None:
        """Tell what only a comparison shows, in the place of a first rank."""
        assert self._others is not None, "it asks for this"
        known = self._others.recordings()
        if (facts := across(known)) is None:
            return
        for rank, recording in known.items():
            step = self._others.steps[rank]
            for outcome in judge(self._across, Recording(*recording, facts)):
                for finding in outcome.findings:
                    news = News(outcome.rule, finding, step)
                    found = Found(
                        step=step,
                        seconds=0.0,
                        code=news.rule.code,
                        severity=news.severity,
                        finding=finding,
                    )
                    self._told(rank, found)

    def hand_over(self, own: Recording, outcomes: Iterable[Outcome], *, step: int) -> None:
        """Leave what was said of this process to the one that reports.

        Raises:
            OSError: it cannot be written.
        """
        assert self._handed is not None, "its keeper was asked for"
        self._handed.close(step, "over")
        hand_over(self.exchange.rank(self._number), own, outcomes)

    def gather(self, *, patience_s: float) -> tuple[Mapping[int, Handed], tuple[str, ...]]:
        """Wait for the others to come to their ends. What they told is complete then."""
        assert self._others is not None, "this is the first"
        return self._others.gather(patience_s)

    def joined(
        self,
        own: Recording | None,
        outcomes: Sequence[Outcome],
        handed: Mapping[int, Handed],
        notes: tuple[str, ...],
    ) -> Joined:
        """Lay side by side what came of each; `own` is None where only the others trained."""
        assert self._others is not None, "this is the first"
        known = self._others.recordings()
        facts = across({**known, self._number: self._own})
        said = {
            rank: tuple(
                self._with_across(each, known.get(rank), facts) for each in of_rank.outcomes
            )
            for rank, of_rank in handed.items()
        }
        recordings = {
            rank: each.recording for rank, each in handed.items() if each.recording is not None
        }
        if own is not None:
            recordings = {self._number: own, **recordings}
            said = {self._number: tuple(outcomes), **said}
        return Joined(recordings=recordings, outcomes=said, notes=notes)

    def _with_across(
        self, outcome: Outcome, known: Recording | None, facts: AcrossRanks | None
    ) -> Outcome:
        """Add to what a rank said what only the comparison with the others can tell."""
        if outcome.rule not in self._across or known is None or facts is None:
            return outcome
        (compared,) = judge((outcome.rule,), Recording(*known, facts))
        if compared.status is Status.SKIPPED:
            return outcome
        findings = (*outcome.findings, *compared.findings)
        status = Status.FAILED if findings else compared.status
        return Outcome(outcome.rule, status, findings, compared.reason)


def _is_across(rule: Rule) -> bool:
    return any(need.kind is AcrossRanks for need in rule.needs.values())
