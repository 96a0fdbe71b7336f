"""Where a run was when its milestones fell due: expected against actual."""

import math
from dataclasses import dataclass

from stepscope.evidence.course.chance import ChanceCurves
from stepscope.evidence.course.epochs import EpochEnds
from stepscope.evidence.course.loss_curves import LossCurves
from stepscope.evidence.course.metrics import MetricCurves
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.course.series import HEAD, RECENT, Series
from stepscope.evidence.milestones import Milestone

SHARE = 0.1  # of the steps before it is due, over which the loss of a batch is averaged
ALIKE = 1e-3  # relative: the loss that was logged is that of the call
SHOWN = 8  # names in a sentence


class UnknownName(Exception):  # noqa: N818 - an answer, not an error
    """No number of the milestone's name was seen, or several; the text says which there are."""


class Untold(Exception):  # noqa: N818 - an answer, not an error
    """It cannot be told whether the milestone is kept; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actual:
    """A number when its milestone fell due."""

    value: float  # in the unit of the bound
    step: int  # of the last point that is in it
    said: str  # with its unit: "0.91 of chance (4.86, N = 208)"


@dataclass(frozen=True, slots=True)
class Trajectory:
    """What is known of the run. Raises `UnknownName` and `Untold` where it cannot tell."""

    progress: Progress
    metrics: MetricCurves | None
    losses: LossCurves | None
    chance: ChanceCurves | None
    ends: EpochEnds | None

    def at(self, milestone: Milestone) -> Actual:
        """Return where the run was.

        A number that is logged counts as it was logged last. The loss of a step, which is that of
        one batch, is averaged over the last tenth of the steps.
        """
        due = self._due(milestone)
        curve, is_loss = self._curve(milestone.name)
        last = due - is_loss  # the loss of step n is that before its update
        points = [(step, value) for step, value in curve if step <= last]
        if not points:
            raise UnknownName(f"{milestone.name} was logged for the first time later")
        if len(curve) > HEAD + RECENT and HEAD <= len(points) - 1 < len(curve) - RECENT:
            raise Untold(f"{milestone.when} is long past: its points are thinned out")
        if is_loss:
            begin = last - max(math.ceil(SHARE * due), 1)
            points = [each for each in points if each[0] > begin] or points[-1:]
        else:
            points = points[-1:]
        if milestone.of_chance:
            return self._of_chance(milestone, curve, points)
        value = math.fsum(value for _, value in points) / len(points)
        return Actual(value=value, step=points[-1][0], said=f"{value:.4g}")

    def _due(self, milestone: Milestone) -> int:
        if milestone.unit == "step":
            if self.progress.step < milestone.after:
                raise Untold(f"{milestone.when} is not over")
            return milestone.after
        for step, end in self.ends.seen if self.ends else ():
            if end.number == milestone.after - 1:
                return step
        over = [end.number for _, end in self.ends.seen] if self.ends else []
        if not over:
            raise Untold("no end of an epoch is known: only callbacks and `run.epoch` tell of it")
        is_late = over[0] >= milestone.after
        raise Untold(f"{milestone.when} {'was over before' if is_late else 'is not over'}")

    def _curve(self, name: str) -> tuple[Series, bool]:
        """Find a number by its name, or by the last part of it where only one has that."""
        logged = self.metrics.series if self.metrics else {}
        losses = self.losses.series if self.losses else {}
        for curves in (logged, losses):
            if name in curves:
                return curves[name], curves is losses
        ending = [
            (full, curves is losses)
            for curves in (logged, losses)
            for full in curves
            if full.replace(".", "/").endswith(f"/{name}")
        ]
        if len(ending) == 1:
            ((full, is_loss),) = ending
            return (losses if is_loss else logged)[full], is_loss
        known = [full for full, _ in ending] or [*logged, *losses]
        shown = ", ".join(known[:SHOWN]) + (", ..." if len(known) > SHOWN else "")
        which = "several end so" if ending else "there are"
        raise UnknownName(f"{which}: {shown}" if known else "no number was logged")

    def _of_chance(
        self, milestone: Milestone, curve: Series, points: list[tuple[int, float]]
    ) -> Actual:
        counts = self._candidates(curve)
        known = [(step, value, counts[step]) for step, value in points if step in counts]
        if not known:
            raise Untold(f"the candidates that {milestone.name} has to choose from are not known")
        value = math.fsum(value / math.log(count) for _, value, count in known) / len(known)
        step, raw, count = known[-1]
        said = f"{value:.4g} of chance (last {raw:.4g} with N = {count:.0f})"
        return Actual(value=value, step=step, said=said)

    def _candidates(self, curve: Series) -> dict[int, float]:
        """Return N at each step: of the cross-entropy with this value, or of all if they agree."""
        series = self.chance.series if self.chance else {}
        lines = sorted({name.partition(".")[0] for name in series})
        by_line = {
            line: (dict(series[f"{line}.ratio"]), dict(series[f"{line}.candidates"]))
            for line in lines
        }
        found: dict[int, float] = {}
        for step, value in curve:
            there = {
                counts[step]: ratios[step] * math.log(counts[step])
                for ratios, counts in by_line.values()
                if step in counts and step in ratios and counts[step] > 1
            }
            same = [n for n, own in there.items() if math.isclose(own, value, rel_tol=ALIKE)]
            if len(same) == 1 or len(there) == 1:
                found[step] = (same or list(there))[0]
        return found
