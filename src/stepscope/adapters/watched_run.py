"""One run under watch: told while it goes, kept on disk, summed up when it is over."""

import contextlib
import math
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from stepscope.adapters.company.beginning import Begun, begun
from stepscope.adapters.company.company import (
    PATIENCE_AFTER_FAILURE_S,
    PATIENCE_S,
    Company,
    Joined,
)
from stepscope.adapters.company.handing import UnlessOnlyStarting
from stepscope.adapters.company.undisturbed import Undisturbed
from stepscope.adapters.late import Late
from stepscope.adapters.own_words import say as say_plainly
from stepscope.adapters.ranks import Ranks
from stepscope.adapters.shown import Shown
from stepscope.core import Evidence, Recording, Severity
from stepscope.core.joining import say_ranks
from stepscope.core.verdict import Report
from stepscope.evidence.environment import Ending
from stepscope.recordings.folder import RunFolder
from stepscope.recordings.writer import Recorder
from stepscope.summing_up import Terms, sum_up
from stepscope.watching.verdicts import News
from stepscope.watching.watched import Keeper, Plan, Watched, interrupt

STARTER = -1  # number of a process that starts the others


class Children(Protocol):
    """The processes that this one starts, watched as ranks of the run."""

    def __bool__(self) -> bool:
        """Tell whether any was started."""

    def watch(
        self, run_folder: Callable[[], Path | None], first_started: Callable[[], None]
    ) -> None:
        """Watch each that is started from now on, once there is a folder."""

    def numbers(self) -> Iterable[int]:
        """Return their numbers."""

    def is_gone(self, number: int) -> bool:
        """Tell whether one of them has ended."""

    def over(self) -> None:
        """Watch no more of them."""


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
        told: Callable[[News], None] = lambda _: None,
        is_whole: bool = True,
        ranks: Ranks | None = None,
        folder: RunFolder | None = None,
        children: Children | None = None,
        is_late: bool = False,
    ) -> None:
        """Nothing is watched before `watched` is entered. The ranks of a run meet here.

        `home` is where `.stepscope` lies. A callable as `on_error` gets each finding of weight
        error, and may return True to stop the run; `stop` does so, after a step of so many.
        `told` gets all that is said in the terminal. `is_whole` as in `Watched`. `folder` is that
        of a run which another process has begun, and reports on. `children` are watched too, where
        this process is the only one. With `is_late` nothing is written, and no rank is met, before
        a step is taken or one of the children started: the program may never train.
        """
        self._terms = terms
        self._on_error = on_error
        self._told = told
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
        self._children: Children | None = None
        if children is not None and self._ranks.world_size == 1:
            self._children = children
            children.watch(self._folder_for_children, self._has_children)
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

    def conclude(self, ending: Ending, *, error: str = "", elsewhere: str = "") -> Report | None:
        """Close the recording, and say what came of the run; None where another rank does.

        The watching is over. Afterwards, and when the report is where it belongs, `reported` lets
        the other ranks go.
        """
        if self._company is not None:
            self._undisturbed.begin()
        report = self._concluded(ending, error, elsewhere)
        if report is None:
            self._undisturbed.end()
        return report

    def _concluded(self, ending: Ending, error: str, elsewhere: str) -> Report | None:
        watched = self.watched
        if self._children is not None:
            self._children.over()
        if self._late is not None:
            return None  # it has not trained
        if self._recorder is not None and (watched.step or not self._children):
            self._recorder.close(watched.step, ending.value)
        facts = watched.run_facts(ending, error=error, elsewhere=elsewhere)
        own = Recording(*watched.seen, facts)
        has_failed = bool(error) or ending is Ending.RAISED
        if not self._is_to_report(own, has_failed=has_failed):
            return None
        joined = Joined.alone(self._ranks.rank, own, watched.outcomes())
        if self._company is not None:
            patience_s = PATIENCE_AFTER_FAILURE_S if has_failed else PATIENCE_S
            if self._children:  # Python itself waits for them too
                patience_s = math.inf
            handed, notes = self._company.gather(patience_s=patience_s)
            notes += self._not_watched(handed)
            watched.judge_again()
            joined = self._company.joined(own, watched.outcomes(), handed, notes)
            if self._children:
                joined = joined.without_starter(STARTER)
        notes = (*self._notes(), *joined.notes)
        return sum_up(self._terms, joined.recordings, joined.outcomes, notes)

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
        if self.watched.stopped:
            yield "the run was stopped by a finding"
        if self.watched.compiled:
            yield "torch.compile was used: no close look, which would have run the model eagerly"
        elif not self._children:
            yield f"looked closely {self.watched.windows_judged} times"
        if self.folder is not None:
            yield f"the recording is in {self.folder.path}"

    def _tell(self, news: News) -> None:
        if news.rule.code in self._terms.selection.ignored:
            return
        if self._reports and not self._children:  # then it comes with the report, a moment later
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
        if self._late is not None:
            self._begin_late()
        return (
            self._company is not None
            and self._on_error != "report"
            and self._company.exchange.is_to_stop(step)
        )

    def _beside(self, own: Recording) -> Iterator[Evidence]:
        self._shown.hand_on(self._tell_further)
        if self._company is not None:
            yield from self._company.beside(own)

    def _tell_further(self, news: News) -> None:
        self._guarded("what was to be told of a finding", lambda: self._told(news))

    def _is_to_stop(self, news: News) -> bool:
        on_error = self._on_error
        if isinstance(on_error, str):
            return on_error == "stop"
        return self._guarded("on_error", lambda: on_error(news)) is True

    def _guarded(self, what: str, call: Callable[[], bool | None]) -> bool | None:
        """Keep an exception of what is called from the run, and say so."""
        try:
            return call()
        except Exception as why:  # noqa: BLE001 - it may be the user's own function
            last = traceback.format_exception_only(why)[-1].strip()
            say_plainly(f"{what} raised {last}; the run goes on")
            return None

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

    def _has_children(self) -> None:
        """The first of them has been started."""
        assert self.folder is not None and self._children is not None, "they are watched"  # noqa: PT018
        self._company = Company(
            self.folder,
            STARTER,
            self._terms.selection.rules,
            numbers=self._children.numbers,
            told=self._shown.hear,
            is_gone=self._children.is_gone,
        )

    def _keeper(self) -> Keeper | None:
        if self._recorder is not None and self._children is not None:
            return UnlessOnlyStarting(self._recorder, lambda: bool(self._children))
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
