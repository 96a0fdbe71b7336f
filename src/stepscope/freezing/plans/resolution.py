"""Which parameters a plan freezes in a stage, and what multiplies the rate of the others."""

from dataclasses import dataclass

from torch import nn

from stepscope.evidence.intent import matches
from stepscope.freezing.patterns import Names, expect_match, longest
from stepscope.freezing.plans.plan import Plan


@dataclass(frozen=True, slots=True)
class Decision:
    """What a plan does to one parameter in one stage."""

    frozen: bool
    multiplier: float = 1.0


FROZEN, TRAINED = Decision(frozen=True), Decision(frozen=False)


def decide(plan: Plan, model: nn.Module, stage: int) -> dict[str, Decision]:
    """Decide on each parameter, by the first of its names.

    What a stage freezes is frozen; else the longest glob of `frozen` and `tuned` decides.

    Raises:
        ValueError: a glob matches nothing, or two globs of the same length say different things.
    """
    names = Names.of(model)
    passing = plan.stages[stage].frozen if stage < len(plan.stages) else ()
    norms = plan.norm if isinstance(plan.norm, dict) else {}
    for glob in (*plan.frozen, *passing, *plan.tuned, *norms):
        expect_match(glob, names)
    said = {glob: Decision(frozen=False, multiplier=tuned) for glob, tuned in plan.tuned.items()}
    said |= dict.fromkeys(plan.frozen, FROZEN)
    aliases: dict[int, list[str]] = {}
    for name, parameter in names.parameters.items():
        aliases.setdefault(id(parameter), []).append(name)
    decided: dict[str, Decision] = {}
    for first, *others in aliases.values():
        known = (first, *others)
        if any(matches(name, passing) for name in known):
            decided[first] = FROZEN
        else:
            decided[first] = longest(first, known, said) or TRAINED
    return decided
