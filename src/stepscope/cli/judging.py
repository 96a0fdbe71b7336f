"""Recordings in, report out."""

from dataclasses import dataclass

from stepscope.adapters.script import Checked
from stepscope.cli.delivery import Delivery
from stepscope.core import Recording, judge
from stepscope.core.report import Outcome, Status
from stepscope.core.verdict import Report
from stepscope.summing_up import Terms, run_of, sum_up
from stepscope.watching.verdicts import is_of_windows

WHOLE_RUN = "needs a whole run (`stepscope run`)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """How to judge what a program did, settled before it runs."""

    terms: Terms
    delivery: Delivery

    def conclude(self, checked: Checked) -> int:
        """Judge, report, and return the exit code."""
        if not checked.reports:
            return 0
        return self.deliver(self.report(checked))

    def report(self, checked: Checked) -> Report:
        """Judge the recording of each rank, and join what is said of them."""
        recordings = _by_rank(checked.recordings)
        notes = checked.notes
        if any(run_of(each).rank != rank for rank, each in recordings.items()):
            notes = ("processes are numbered in the order of their start", *notes)
        terms = self.terms
        outcomes = {
            rank: tuple(
                _of_first_steps(each)
                for each in judge(terms.selection.rules, recording, terms.settings.options)
            )
            for rank, recording in recordings.items()
        }
        return sum_up(terms, recordings, outcomes, notes)

    def deliver(self, report: Report) -> int:
        """Hand a report over, and return the exit code."""
        return report.exit_code if self.delivery.deliver(report) else 2


def _by_rank(recordings: tuple[Recording, ...]) -> dict[int, Recording]:
    by_rank = {run_of(each).rank: each for each in recordings}
    if len(by_rank) < len(recordings):  # independent runs, each of which takes itself for the first
        return dict(enumerate(recordings))
    return by_rank


def _of_first_steps(outcome: Outcome) -> Outcome:
    """Say one thing of all rules that first steps can never suffice for."""
    if outcome.status is Status.SKIPPED and not is_of_windows(outcome.rule):
        return Outcome(outcome.rule, Status.SKIPPED, reason=WHOLE_RUN)
    return outcome
