"""Recordings in, report out."""

from collections.abc import Mapping
from dataclasses import dataclass

from stepscope.adapters.script import Checked
from stepscope.cli.declared import declared_at
from stepscope.cli.delivery import Delivery
from stepscope.cli.settings import Settings
from stepscope.core import Finding, Place, Recording, judge
from stepscope.core.joining import join
from stepscope.core.selection import Selection
from stepscope.core.verdict import Report, RunFacts
from stepscope.evidence.environment import Ending, Run
from stepscope.evidence.modules import Modules
from stepscope.evidence.optimizers import Optimizers

_WORST = (Ending.TIMED_OUT, Ending.RAISED, Ending.FINISHED, Ending.RECORDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """How to judge what a program did, settled before it runs."""

    selection: Selection
    settings: Settings
    delivery: Delivery
    root: str  # the folder in which the program is started
    strict: bool

    def conclude(self, checked: Checked) -> int:
        """Judge, report, and return the exit code."""
        if not checked.reports:
            return 0
        report = self.report(checked)
        return report.exit_code if self.delivery.deliver(report) else 2

    def report(self, checked: Checked) -> Report:
        """Judge the recording of each rank, and join what is said of them."""
        recordings = _by_rank(checked.recordings)
        notes = checked.notes
        if any(_run(each).rank != rank for rank, each in recordings.items()):
            notes = ("processes are numbered in the order of their start", *notes)
        first = next(iter(recordings.values()))
        return join(
            _facts(recordings, notes, self.root, self.settings.file),
            {
                rank: judge(self.selection.rules, recording, self.settings.options)
                for rank, recording in recordings.items()
            },
            strict=self.strict,
            ignore=self.selection.ignored,
            locate=lambda finding: (
                declared_at(finding, self.settings.file, self.root) or _nearest(finding, first)
            ),
        )


def _by_rank(recordings: tuple[Recording, ...]) -> dict[int, Recording]:
    by_rank = {_run(recording).rank: recording for recording in recordings}
    if len(by_rank) < len(recordings):  # independent runs, each of which takes itself for the first
        return dict(enumerate(recordings))
    return by_rank


def _run(recording: Recording) -> Run:
    run = recording.get(Run)
    assert run is not None, "the adapter records how the run went"
    return run


def _facts(
    recordings: Mapping[int, Recording], notes: tuple[str, ...], root: str, settings: str
) -> RunFacts:
    runs = {rank: _run(recording) for rank, recording in recordings.items()}
    first = next(iter(runs.values()))
    failed = next((rank for rank, run in runs.items() if run.error), None)
    stopped = min(runs.values(), key=lambda run: _WORST.index(run.ending))
    several = len(runs)
    error = "" if failed is None else runs[failed].error
    compiled = any(run.compiled for run in runs.values())
    if compiled:
        notes = ("torch.compile was used; the recorded steps ran eagerly", *notes)
    elsewhere = next((run.elsewhere for run in runs.values() if run.elsewhere), "")
    steps = min(run.steps for run in runs.values())
    if elsewhere and steps:
        notes = (*notes, f"not judged: optimizer steps that were taken in {elsewhere}")
    return RunFacts(
        program=first.program,
        root=root,
        steps=steps,
        asked=first.asked,
        ending=stopped.ending.value,
        error=f"rank {failed}: {error}" if error and several > 1 else error,
        error_at=stopped.error_at if failed is None else runs[failed].error_at,
        ranks=tuple(runs),
        world_size=max(first.world_size, several),
        compiled=compiled,
        wall_s=max(run.wall_s for run in runs.values()),
        notes=notes,
        faults=tuple(fault for run in runs.values() for fault in run.faults),
        elsewhere=elsewhere,
        settings=settings,
        seen=next(iter(recordings.values())),
    )


def _nearest(finding: Finding, recording: Recording) -> Place | None:
    """Find a line for a finding without one: its module's, or that of its optimizer."""
    if finding.at.file:
        return None
    modules = recording.get(Modules)
    name = finding.at.module or finding.at.parameter.rpartition(".")[0]
    places = {each.name: each for each in modules.modules} if modules else {}
    while True:
        module = places.get(name)
        if module is not None and module.file:
            return Place(file=module.file, line=module.line)
        if not name:
            break
        name = name.rpartition(".")[0]
    optimizers = recording.get(Optimizers)
    made = [each.made_at for each in optimizers.optimizers] if optimizers else []
    return next((place for place in made if place.file), None)
