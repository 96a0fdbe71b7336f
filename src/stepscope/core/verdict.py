"""The verdict on a run: what it was, what was found, and what that amounts to."""

import enum
from dataclasses import dataclass, field

from stepscope.core.finding import Finding, Severity
from stepscope.core.place import Place
from stepscope.core.recording import Recording
from stepscope.core.report import Outcome, Status
from stepscope.core.rule import Rule


class Verdict(enum.Enum):
    """What the run amounts to."""

    CLEAN = "clean"
    FINDINGS = "findings"
    NOT_JUDGED = "not-judged"


EXIT_CODES = {Verdict.CLEAN: 0, Verdict.FINDINGS: 1, Verdict.NOT_JUDGED: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a reader must know of the run to read the findings."""

    program: str  # "train.py", "-m open_clip_train.main"
    root: str  # folder the program was started in; paths below it are shown relative to it
    steps: int  # optimizer steps that every process recorded, or else the number of `unit`
    asked: int
    unit: str = "optimizer step"  # what was looked at: "tensor" of a checkpoint
    subject: str = "run"  # what is judged: "file"
    ending: str = "recorded"  # "recorded", "finished", "raised", "timed-out"
    error: str = ""  # of the program: "ValueError: ..."
    error_at: Place | None = None
    ranks: tuple[int, ...] = (0,)  # that were recorded
    world_size: int = 1
    compiled: bool = False  # torch.compile was used; the recorded steps ran eagerly
    wall_s: float = 0.0
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()  # of the observer, never of the run
    elsewhere: str = ""  # "a forked process": where steps were taken that nothing observed
    settings: str = ""  # the file that the settings were read from
    seen: Recording = field(default_factory=Recording, compare=False)  # in the first process

    @property
    def obstacle(self) -> str:
        """Why the run cannot be called clean even where nothing was found; "" if it can."""
        if self.unit != "optimizer step":
            return "" if self.steps else f"the {self.subject} has no {self.unit}"
        if self.elsewhere and not self.steps:
            return f"optimizer steps were taken only in {self.elsewhere}, which is not observed"
        done = f"after {self.steps} of {self.asked} optimizer steps" if self.steps else ""
        if self.ending == "timed-out":
            return f"the time was up {done or 'before the first optimizer step'}"
        if self.ending == "raised":
            what = "was interrupted" if self.error.endswith("KeyboardInterrupt") else "raised"
            return f"the program {what} {done or 'before the first optimizer step'}"
        if self.error:  # it left by itself, and called that a failure
            return f"the program left with {self.error} {done or 'before an optimizer step'}"
        return "" if self.steps else "the program ended without an optimizer step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A finding as the report shows it: with its rule, its weight and its processes."""

    rule: Rule
    finding: Finding
    severity: Severity
    ranks: tuple[int, ...] = ()  # that have it, of several; () where there is one process
    nearest: Place | None = None  # a line to point at where the finding itself has none
    ignored: str = ""  # the user's reason to ignore it


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that is said of one run."""

    run: RunFacts
    outcomes: tuple[Outcome, ...]  # one for each selected rule, processes joined
    findings: tuple[Reported, ...]  # most severe first, then by code
    ignored: tuple[Reported, ...] = ()
    strict: bool = False  # warnings count as faults

    @property
    def at_fault(self) -> tuple[Reported, ...]:
        """The findings for which the run should not go on."""
        return tuple(each for each in self.findings if self.is_fault(each))

    def is_fault(self, reported: Reported) -> bool:
        """Tell whether a finding counts against the run."""
        return reported.severity is Severity.ERROR or (
            self.strict and reported.severity is Severity.WARNING
        )

    @property
    def obstacle(self) -> str:
        """Why nothing found would not mean that all is well; "" where it would."""
        judged = any(each.status in (Status.PASSED, Status.FAILED) for each in self.outcomes)
        return self.run.obstacle or ("" if judged else "no rule was able to judge")

    @property
    def verdict(self) -> Verdict:
        """What the findings amount to. Without an optimizer step nothing has been judged."""
        if not self.run.steps:
            return Verdict.NOT_JUDGED
        if self.at_fault:
            return Verdict.FINDINGS
        return Verdict.NOT_JUDGED if self.obstacle else Verdict.CLEAN

    @property
    def exit_code(self) -> int:
        """0: nothing at fault. 1: the run is at fault. 2: it could not be judged."""
        return EXIT_CODES[self.verdict]

    def with_status(self, status: Status) -> tuple[Outcome, ...]:
        """Return the outcomes that came out so, by code."""
        return tuple(each for each in self.outcomes if each.status is status)
