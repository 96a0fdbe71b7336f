"""One run under watch: told while it goes, kept on disk, summed up when it is over."""

import contextlib
import math
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from stepscope.adapters.active_runs import under_way
from stepscope.adapters.company.arrivals import Arrivals
from stepscope.adapters.company.beginning import Begun, begun
from stepscope.adapters.company.company import (
    PATIENCE_AFTER_FAILURE_S,
    PATIENCE_S,
    STARTER,
    Company,
    Joined,
)
from stepscope.adapters.company.exchange import Exchange
from stepscope.adapters.company.handing import UnlessOnlyStarting
from stepscope.adapters.company.undisturbed import Undisturbed
from stepscope.adapters.family import Children
from stepscope.adapters.journals import FindJournals, Journals, no_journals
from stepscope.adapters.late import Late
from stepscope.adapters.left_behind import from_recordings
from stepscope.adapters.own_words import say as say_plainly
from stepscope.adapters.ranks import Ranks
from stepscope.adapters.shown import Shown
from stepscope.core import Evidence, Recording, Severity
from stepscope.core.joining import say_ranks
from stepscope.core.verdict import Report
from stepscope.evidence.environment import Ending
from stepscope.inherited import VARIABLE, is_launcher
from stepscope.recordings.entries import Found
from stepscope.recordings.folder import RunFolder
from stepscope.recordings.writer import Recorder
from stepscope.summing_up import Terms, sum_up
from stepscope.watching.verdicts import News
from stepscope.watching.watched import Keeper, Plan, Watched, interrupt

OnError: TypeAlias = Literal["report", "stop"] | Callable[[News], bool | None]


class WatchedRun:
    """One process of a run, from its beginning to its report."""

    def __init__(
        self,
        program: str,
        arguments: Sequence[str] = (),
        *,
        terms: Terms,
        home: Path,
        plan: Plan,
        on_error: OnError = "report",
        stop: Callable[[int], None] = interrupt,
        journals: FindJournals = no_journals,
        logged_step: Callable[[int], int] = lambda step: step,
        is_whole: bool = True,
        ranks: Ranks | None = None,
        folder: RunFolder | None = None,
        children: Children | None = None,
        is_late: bool = False,
    ) -> None:
        """Nothing is watched before `watched` is entered. The ranks of a run meet here.

        `home` is where `.stepscope` lies. A callable as `on_error` gets each finding of weight
        error, and may return True to stop the run; `stop` does so, after a step of so many.
        The first rank also writes each finding to the loggers that the program has under way, and
        to `journals`; `logged_step` makes a step of this run one of theirs. `is_whole` as in
        `Watched`. `folder` is that of a run which another process has begun, and reports on.
        `children` are watched too, where this process is the only one, or the first rank and starts
        the others. With `is_late` nothing is written, and no rank is met, before a step is taken or
        one of the children started: the program may never train.
        """
        self._terms = terms
        self._on_error = on_error
        self._journals = Journals(
            lambda told: (*under_way(self.watched, told), *journals(told)), logged_step
        )
        self._ranks = ranks or Ranks.of_environment()
        self._undisturbed = Undisturbed()
        self._shown = Shown(terms.selection, terms.root)
        self._names = program, tuple(arguments), home
        self._began = time.monotonic()
        self._is_child = folder is not None
        self.folder = folder
        self._reports = not (self._is_child or self._ranks.rank)
        self._recorder: Recorder | None = None
        self._company: Company | None = None
        self._starter: UnlessOnlyStarting | None = None
        self._meeting = threading.Lock()  # children may be seen to come in another thread
        self._children = children if self._ranks.world_size == 1 else None
        self._is_placed = not (is_late or self._children is not None)
        self._late: Late | None = None
        keeper: Keeper | None = None
        if is_late:
            keeper = self._late = Late()
        else:
            keeper = self._begin()
        self.watched = Watched(
            program,
            rules=terms.selection.rules,
            options=terms.settings.options,
            intent=terms.settings.intent,
            plan=plan,
            keeper=keeper,
            told=self._tell,
            stop=stop,
            said=say_plainly,
            is_whole=is_whole,
            beside=self._beside,
            heeds=self._heeds,
            rank=self._ranks.rank,
            world_size=self._ranks.world_size,
        )
        if self._children is not None:
            self._children.watch(self._folder_for_children, self._meet_children)

    def conclude(self, ending: Ending, *, error: str = "", elsewhere: str = "") -> Report | None:
        """Close the recording, and say what came of the run; None where another rank does.

        The watching is over. Afterwards, and when the report is where it belongs, `reported` lets
        the other ranks go.
        """
        if self._children is not None:
            self._children.over()
            self._meet_children()
        if self._company is not None:
            self._undisturbed.begin()
        report = self._concluded(ending, error, elsewhere)
        if not self._ranks.rank:
            self._journals.catch_up()
        if report is None:
            self._undisturbed.end()
        return report

    def _concluded(self, ending: Ending, error: str, elsewhere: str) -> Report | None:
        watched = self.watched
        if self._late is not None:
            return None  # it has not trained
        if self._recorder is not None and (watched.step or not self._children):
            if self._starter is not None:
                self._starter.keep_all()
            self._recorder.close(watched.step, ending.value)
        facts = watched.run_facts(ending, error=error, elsewhere=elsewhere)
        own = Recording(*watched.seen, facts)
        has_failed = bool(error) or ending is Ending.RAISED
        if not self._is_to_report(own, has_failed=has_failed):
            return None
        if self._company is None:
            joined = Joined.alone(self._ranks.rank, own, watched.outcomes(), self._not_watched({}))
        else:
            joined = self._gathered(self._company, own, has_failed=has_failed)
        notes = (*self._notes(), *joined.notes)
        report = sum_up(self._terms, joined.recordings, joined.outcomes, notes)
        if self._only_starts and not report.run.steps and self.folder is not None:
            return from_recordings(self.folder, self._terms, report)
        return report

    def _gathered(self, company: Company, own: Recording, *, has_failed: bool) -> Joined:
        """Wait for the others, and lay side by side what came of each."""
        patience_s = PATIENCE_AFTER_FAILURE_S if has_failed else PATIENCE_S
        is_waited_for = self._children is not None and self._children.is_waited_for
        handed, notes = company.gather(patience_s=math.inf if is_waited_for else patience_s)
        notes += self._not_watched(handed)
        self.watched.judge_again()
        joined = company.joined(own, self.watched.outcomes(), handed, notes)
        if self._only_starts:
            joined = joined.without_starter(STARTER, are_ranks=not is_waited_for)
        return joined

    def reported(self) -> None:
        """Let the other ranks go, which may wait with their own ends until the report is there."""
        if self._company is not None:
            self._company.exchange.clear()
        self._undisturbed.end()

    def _is_to_report(self, own: Recording, *, has_failed: bool) -> bool:
        """Tell whether this process reports; leave what it knows to the first where that does."""
        company = self._company
        if company is None:
            return self._reports
        if self._reports:
            return company.exchange.claim_report()
        with contextlib.suppress(OSError):  # it will be missed, and that is said
            company.hand_over(own, self.watched.outcomes(), step=self.watched.step)
        if self._is_child:  # whoever started it outlives it
            return False
        if has_failed and company.exchange.is_left_to_report():
            self._company = self._all_others()
            return True
        if self.watched.stopped:
            company.exchange.wait_for_report()
        return False

    def _not_watched(self, handed: Mapping[int, object]) -> tuple[str, ...]:
        """Say which ranks this run has and nothing was seen of: they are not watched, or dead."""
        ranks = range(self._ranks.world_size)
        left_out = [each for each in ranks if each not in handed and each != self._ranks.rank]
        return (f"nothing is known of {say_ranks(left_out)}",) if left_out else ()

    def _notes(self) -> Iterator[str]:
        company = self._company
        if self.watched.stopped or (
            company is not None and self._only_starts and company.exchange.is_agreed_to_stop
        ):
            yield "the run was stopped by a finding"
        if self._children is not None and not self._children and is_launcher(self._names[0]):
            yield "nothing that it started took a step, or has stepscope installed for its Python"
        if self.watched.compiled:
            yield "torch.compile was used: no close look, which would have run the model eagerly"
        elif not self._only_starts:
            yield f"looked closely {self.watched.windows_judged} times"
        if self.folder is not None:
            yield f"the recording is in {self.folder.path}"

    def _tell(self, news: News) -> None:
        if news.rule.code in self._terms.selection.ignored:
            return
        if self._reports and not self._only_starts:  # then it comes with the report, a moment later
            self._shown.show(news)
        self._tell_further(news)
        if news.severity is Severity.ERROR and self._is_to_stop(news):
            self._stop()

    def _stop(self) -> None:
        """Stop the run: together with the other ranks, which would else wait for this one."""
        if self._company is not None:
            with contextlib.suppress(OSError):
                self._company.exchange.wish_to_stop(self.watched.step)
                return
        self.watched.stop_run()

    def _heeds(self, step: int) -> bool:
        if not self._is_placed:
            self._take_place()
        return (
            self._company is not None
            and self._on_error != "report"
            and self._company.is_to_stop(step)
        )

    def _hear(self, rank: int, found: Found) -> None:
        """Show what another rank has found, or what only this process can, which starts them."""
        self._shown.hear(rank, found)
        is_error = found.severity is Severity.ERROR and self._on_error == "stop"
        company, ignored = self._company, self._terms.selection.ignored
        if is_error and self._only_starts and company is not None and found.code not in ignored:
            with contextlib.suppress(OSError):  # the report is written
                company.exchange.ask_to_stop()

    def _beside(self, own: Recording) -> Iterator[Evidence]:
        self._shown.hand_on(self._tell_further)
        if self._company is None and self._children is not None:
            self._meet_children()
        if self._company is not None:
            yield from self._company.beside(own)

    def _tell_further(self, news: News) -> None:
        if not self._ranks.rank:
            self._journals.tell(news)

    def _is_to_stop(self, news: News) -> bool:
        on_error = self._on_error
        if isinstance(on_error, str):
            return on_error == "stop"
        try:
            return on_error(news) is True
        except Exception as why:  # noqa: BLE001 - it is the user's own function
            last = traceback.format_exception_only(why)[-1].strip()
            say_plainly(f"on_error raised {last}; the run goes on")
            return False

    def _begin(self) -> Keeper | None:
        """Make the folder of the run or find it, meet the other ranks, and say what keeps."""
        begin = Begun(folder=self.folder, reports=False, has_others=True)
        if not self._is_child:
            program, arguments, home = self._names
            begin = begun(home, program, arguments, self._ranks)
        self.folder, self._reports = begin.folder, begin.reports
        if self.folder is not None:
            self._recorder = Recorder(
                self.folder.rank(self._ranks.rank),
                clock=lambda: time.monotonic() - self._began,
                said=say_plainly,
            )
        self._company = self._others(begin)
        return self._keeper()

    def _begin_late(self) -> None:
        late, self._late = self._late, None
        if late is not None:
            late.open(self._begin())

    def _folder_for_children(self) -> Path | None:
        self._begin_late()
        return self.folder.path if self.folder is not None else None

    def _take_place(self) -> None:
        """Find out which rank this is. With the first step the process group is there."""
        self._is_placed = True
        if self._late is None:
            self._meet_children()
        else:
            self._come_late(self._late)
        if self._starter is not None:
            self._starter.keep_all()

    def _come_late(self, late: Late) -> None:
        self._place(Ranks.of_environment())
        if self._ranks.world_size > 1 and self._children is not None:
            self._children.over()  # the others are ranks like this one, and meet it
            self._children = None
        if self._is_child and not self._is_welcome():
            self._late = None
            late.open(None)
        self._begin_late()

    def _is_welcome(self) -> bool:
        assert self.folder is not None, "it was begun by another process"
        try:
            is_free = Arrivals(Exchange(self.folder)).take(self._ranks.rank)
        except OSError:  # the run is over
            return False
        if is_free:
            os.environ.pop(VARIABLE, None)  # what a rank starts is none
        return is_free

    def _place(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self.watched.placed(ranks.rank, ranks.world_size)

    def _meet_children(self) -> None:
        """Keep company with what was started. By now this process may be the first rank of all."""
        with self._meeting:
            if self._company is not None or self.folder is None or self._children is None:
                return
            ranks = Ranks.of_group()
            is_first = ranks.world_size > 1 and ranks.rank == 0
            if is_first:
                self._is_welcome()  # what inherits its environment is another program
                self._place(ranks)
            elif not self._children:
                return
            self._company = Company(
                self.folder,
                STARTER if self._only_starts else 0,
                self._terms.selection.rules,
                numbers=self._children.numbers,
                told=self._hear,
                is_gone=self._children.is_gone,
            )

    @property
    def _only_starts(self) -> bool:
        """Tell a process that has started the ranks of the run, and is none of them."""
        return bool(self._children) and self._ranks.world_size == 1

    def _keeper(self) -> Keeper | None:
        if self._recorder is not None and self._children is not None:
            self._starter = UnlessOnlyStarting(self._recorder)
            return self._starter
        if self._recorder is None or self._company is None:
            return self._recorder
        return self._company.keeper(self._recorder)

    def _others(self, begin: Begun) -> Company | None:
        if begin.folder is None or not begin.has_others:
            return None
        return Company(
            begin.folder,
            self._ranks.rank,
            self._terms.selection.rules,
            numbers=begin.numbers if begin.reports else None,
            told=self._shown.hear,
            greet=begin.greet,
        )

    def _all_others(self) -> Company:
        """Return the company of a rank that reports in the place of the first."""
        assert self.folder is not None, "the ranks have met there"
        rank = self._ranks.rank
        others = [each for each in range(self._ranks.world_size) if each != rank]
        return Company(self.folder, rank, self._terms.selection.rules, numbers=lambda: others)
