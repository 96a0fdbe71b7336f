"""Judges a run from its recording: the facts of the live run, and the same rules."""

from collections.abc import Iterator, Sequence

from stepscope.core import Evidence, Recording
from stepscope.core.report import Outcome
from stepscope.core.verdict import Report
from stepscope.evidence.course.across_ranks import across
from stepscope.evidence.course.course import Course
from stepscope.evidence.environment import Beginning, Ending, Run
from stepscope.evidence.intent import Intent
from stepscope.evidence.kinds import every_kind
from stepscope.recordings.reader import RankRecorded, Recorded
from stepscope.summing_up import Terms, sum_up
from stepscope.watching.verdicts import Verdicts, is_of_windows, is_over_time


def review(recorded: Recorded, terms: Terms) -> Report:
    """Judge what is there of a run: the whole of it, or as far as it has come.

    Raises:
        ValueError: no process has left anything.
    """
    ranks = [_Rank(each, recorded, terms) for each in recorded.ranks]
    if not any(each.run.steps for each in ranks):
        raise ValueError(f"{recorded.folder} holds no optimizer step of any process")
    facts = across({each.run.rank: each.over_time() for each in ranks}) if len(ranks) > 1 else None
    beside = (facts,) if facts is not None else ()
    outcomes = {each.run.rank: each.judged(beside) for each in ranks}
    recordings = {each.run.rank: each.seen for each in ranks}
    return sum_up(terms, recordings, outcomes, tuple(_notes(recorded)))


class _Rank:
    """One process of the run, as it was recorded."""

    def __init__(self, left: RankRecorded, recorded: Recorded, terms: Terms) -> None:
        self._terms = terms
        self._verdicts = Verdicts(terms.selection.rules, terms.settings.options)
        self._course = Course(every_kind())
        last = 0
        seconds = 0.0
        for line in left.lines(self._course.happenings):
            self._course.add(line)
            last, seconds = max(last, line.step), line.seconds
        ended = left.ended
        self.run = Run(
            program=recorded.header.program,
            steps=ended.step if ended is not None else last,
            asked=ended.step if ended is not None else last,
            ending=Ending(ended.how) if ended is not None else Ending.RECORDED,
            rank=left.rank,
            world_size=recorded.header.ranks,
            wall_s=ended.seconds if ended is not None else seconds,
        )
        self.seen = Recording()
        self._judge_windows(left)
        self.seen.add(self.run)
        rules = {rule.code: rule for rule in terms.selection.rules}
        for found in left.findings():
            if found.code in rules:
                self._verdicts.recall(rules[found.code], found.finding)

    def _judge_windows(self, left: RankRecorded) -> None:
        rules = [rule for rule in self._terms.selection.rules if is_of_windows(rule)]
        for window in left.windows(every_kind()):
            if window.seen.get(Beginning) is None:
                kept = (each for each in self.seen if not isinstance(each, Beginning))
                self.seen = Recording(*kept)
            for item in window.seen:
                self.seen.add(item)
            self._verdicts.judge(rules, window.seen, window.step)

    def over_time(self) -> Recording:
        """Return what is known at its end. What was declared then stands over what is now."""
        declared = self.seen.get(Intent) or self._terms.settings.intent
        return Recording(*self.seen, declared, *self._course.evidence())

    def judged(self, beside: Sequence[Evidence]) -> tuple[Outcome, ...]:
        recording = self.over_time()
        for item in beside:
            recording.add(item)
        rules = [rule for rule in self._terms.selection.rules if is_over_time(rule)]
        self._verdicts.judge(rules, recording, self.run.steps)
        return self._verdicts.outcomes()


def _notes(recorded: Recorded) -> Iterator[str]:
    yield f"read from {recorded.folder}, a run that began at {recorded.header.started}"
    for each in recorded.ranks:
        yield from each.damage
        if each.ended is None:
            yield f"rank {each.rank} goes on, or was killed: it has no end"
    if recorded.missing:
        yield f"nothing was left by ranks {', '.join(map(str, recorded.missing))}"
