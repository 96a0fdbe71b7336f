"""What was seen of a run and what was said of it in, one report out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stepscope.configurations.declared import declared_at
from stepscope.configurations.settings import Settings
from stepscope.core import Finding, Place, Recording
from stepscope.core.joining import join
from stepscope.core.report import Outcome
from stepscope.core.selection import Selection
from stepscope.core.verdict import Report, RunFacts
from stepscope.evidence.environment import Ending, Run
from stepscope.evidence.modules import Modules
from stepscope.evidence.optimizers import Optimizers

_WORST = (Ending.TIMED_OUT, Ending.RAISED, Ending.FINISHED, Ending.RECORDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """By what a run is judged, settled before it begins."""

    selection: Selection
    settings: Settings
    root: str  # the folder in which the program is started
    strict: bool = False  # warnings count as faults


def sum_up(
    terms: Terms,
    recordings: Mapping[int, Recording],
    outcomes: Mapping[int, Sequence[Outcome]],
    notes: tuple[str, ...] = (),
) -> Report:
    """Join what is said of each rank. Each recording says how the run went there."""
    first = next(iter(recordings.values()))
    settings = terms.settings.file
    return join(
        _facts(recordings, notes, terms.root, settings),
        outcomes,
        strict=terms.strict,
        ignore=terms.selection.ignored,
        locate=lambda finding: (
            declared_at(finding, settings, terms.root) or _nearest(finding, first)
        ),
    )


def run_of(recording: Recording) -> Run:
    """Return how the run went."""
    run = recording.get(Run)
    assert run is not None, "the adapter records how the run went"
    return run


def _facts(
    recordings: Mapping[int, Recording], notes: tuple[str, ...], root: str, settings: str
) -> RunFacts:
    runs = {rank: run_of(recording) for rank, recording in recordings.items()}
    first = next(iter(runs.values()))
    # The others fail because the first to fail is gone.
    failing = [rank for rank, run in runs.items() if run.error]
    failed = min(failing, key=lambda rank: runs[rank].wall_s, default=None)
    stopped = min(runs.values(), key=lambda run: _WORST.index(run.ending))
    several = len(runs)
    is_one_of_several = max(several, first.world_size) > 1
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
        error=f"rank {failed}: {error}" if error and (failed or is_one_of_several) else error,
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
