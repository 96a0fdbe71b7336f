"""What a process hands to the one that reports: little while the run goes, the rest at the end."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from stepscope.core import Evidence, Finding, Recording, Rule, Severity
from stepscope.core.recording import sayable
from stepscope.core.report import Outcome, Status
from stepscope.core.whole_file import write_whole
from stepscope.evidence.course.across_ranks import shared_part
from stepscope.evidence.course.line import Line
from stepscope.recordings.writer import Recorder
from stepscope.watching.watched import Keeper

OVER = "over.json"


class Handing:
    """Keeps what becomes known, and hands on findings and what is compared between ranks."""

    def __init__(self, kept: Keeper, handed: Recorder) -> None:
        """`handed` writes where the first rank reads."""
        self._kept = kept
        self._handed = handed

    def line(self, line: Line) -> None:
        """Keep a line, and hand on the part of it that is compared."""
        self._kept.line(line)
        if (shared := shared_part(line)) is not None:
            self._handed.line(shared)

    def window(self, step: int, recording: Recording) -> None:
        """Keep what a window has shown."""
        self._kept.window(step, recording)

    def finding(self, step: int, code: str, severity: Severity, finding: Finding) -> None:
        """Keep a finding, and have the first rank tell of it."""
        self._kept.finding(step, code, severity, finding)
        self._handed.finding(step, code, severity, finding)


class UnlessOnlyStarting:
    """Keeps nothing of a process that starts others and takes no step itself.

    What comes before its first step waits until then, or until its end: a rank may take its place.
    """

    def __init__(self, kept: Keeper) -> None:
        self._kept = kept
        self._waiting: list[Callable[[], None]] | None = []  # None once it is known to train

    def line(self, line: Line) -> None:
        """Keep a line."""
        self._keep(lambda: self._kept.line(line))

    def window(self, step: int, recording: Recording) -> None:
        """Keep what a window has shown."""
        self._keep(lambda: self._kept.window(step, recording))

    def finding(self, step: int, code: str, severity: Severity, finding: Finding) -> None:
        """Keep a finding."""
        self._keep(lambda: self._kept.finding(step, code, severity, finding))

    def keep_all(self) -> None:
        """Keep what has waited, and all that comes."""
        waiting, self._waiting = self._waiting, None
        for keep in waiting or ():
            keep()

    def _keep(self, keep: Callable[[], None]) -> None:
        if self._waiting is None:
            keep()
        else:
            self._waiting.append(keep)


class _Said(msgspec.Struct, frozen=True):
    code: str
    status: Status
    findings: tuple[Finding, ...]
    reason: str


class _Over(msgspec.Struct, frozen=True):
    recording: msgspec.Raw
    outcomes: tuple[_Said, ...]


def hand_over(folder: Path, recording: Recording, outcomes: Iterable[Outcome]) -> None:
    """Write what was said of this process, where the one that reports waits for it.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    said = tuple(
        _Said(each.rule.code, each.status, each.findings, each.reason) for each in outcomes
    )
    over = {"recording": msgspec.Raw(recording.to_json()), "outcomes": _sayable(said)}
    write_whole(folder / OVER, msgspec.json.encode(over))


def handed_over(
    folder: Path, kinds: Iterable[type[Evidence]], rules: Sequence[Rule]
) -> tuple[Recording, tuple[Outcome, ...]] | None:
    """Read what a process has written, with one outcome for each of the rules; None if nothing.

    Raises:
        msgspec.DecodeError: it was written by something else.
    """
    path = folder / OVER
    if not path.exists():
        return None
    over = msgspec.json.decode(path.read_bytes(), type=_Over, strict=False)
    said = {each.code: each for each in over.outcomes}
    outcomes = tuple(
        Outcome(rule, each.status, each.findings, each.reason)
        for rule in rules
        if (each := said[rule.code])
    )
    return Recording.from_json(over.recording, kinds), outcomes


def _sayable(said: tuple[_Said, ...]) -> object:
    return sayable(msgspec.to_builtins(said))
