"""Joins probes and rules: the only room that knows both."""

import time
from collections.abc import Callable
from typing import TypeGuard

from stepscope import probes as probes_home
from stepscope.core import Evidence, Recording
from stepscope.core.discovery import members
from stepscope.evidence.course.course import Course
from stepscope.evidence.environment import Beginning, Ending, Run
from stepscope.evidence.kinds import every_kind
from stepscope.freezing.proof.observed import FreezesProbe
from stepscope.probes.course.pulse import Pulse
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.gradient_paths.paths import GradientPathsProbe
from stepscope.probes.live_run import LiveRun
from stepscope.probes.observation import Observation
from stepscope.probes.probe import Probe
from stepscope.trials.derivatives import DirectionalDerivatives

EXAMPLE_STEPS = 1000  # an example is observed to its end


def every_probe() -> tuple[Callable[[LiveRun], Probe], ...]:
    """Find all probes of the house; the one that asks for proofs is given the trial."""
    found = dict.fromkeys(members(probes_home, _is_probe))
    observing = (_proving if probe is GradientPathsProbe else probe for probe in found)
    return (*observing, FreezesProbe)


def _proving(run: LiveRun) -> Probe:
    return GradientPathsProbe(run, DirectionalDerivatives(run))


def every_sampler() -> tuple[type[Sampler], ...]:
    """Find all samplers of the house."""
    return tuple(dict.fromkeys(members(probes_home, _is_sampler)))


def _is_probe(value: object) -> TypeGuard[type[Probe]]:
    return isinstance(value, type) and issubclass(value, Probe) and value is not Probe


def _is_sampler(value: object) -> TypeGuard[type[Sampler]]:
    return isinstance(value, type) and issubclass(value, Sampler) and value is not Sampler


class Observed:
    """The `Watch` that an example is given: what it hands over stands above what was seen."""

    def __init__(self) -> None:
        self.given: list[Evidence] = []

    def saw(self, *evidence: Evidence) -> None:
        """Keep facts that are handed over."""
        self.given.extend(evidence)


def record_example(example: Callable[[Observed], None]) -> Recording:
    """Run an example under all probes and samplers; return what was seen and handed over."""
    watch = Observed()
    observation = Observation(every_probe(), steps=EXAMPLE_STEPS, is_window=True)
    course = Course(every_kind())
    began = time.perf_counter()
    windows: list[Observation] = []
    pulse = Pulse(
        every_sampler(),
        line=course.add,
        every=1,
        window=lambda: windows[0] if windows else None,
    )
    with pulse:
        with observation:
            windows.append(observation)
            example(watch)
        windows.clear()
        window = Recording(Beginning(), *observation.evidence)
        for kind in course.happenings:
            for told in kind.seen_in(window):
                pulse.notes.happen(told)
    run = Run(
        program=example.__name__,
        steps=observation.run.step,
        asked=observation.run.step,
        ending=Ending.FINISHED,
        wall_s=time.perf_counter() - began,
        faults=tuple(observation.run.faults),
    )
    return Recording(run, Beginning(), *observation.evidence, *course.evidence(), *watch.given)
