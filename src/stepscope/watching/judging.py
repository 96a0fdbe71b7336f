"""When the whole of a run is judged, and by which rules."""

from collections.abc import Sequence

from stepscope.core import Rule
from stepscope.evidence.course.line import Happening, Line

FIRST_JUDGED = (20, 50, 100, 200, 500)  # steps; later by time
JUDGING_SHARE = 0.005  # of the time of the run


class Judging:
    """Says after each step which rules to ask: all of them seldom, at a price that is kept.

    What tells something by itself is judged at once, the first time that its kind happens, and by
    the rules that take it: there are few kinds, so that this costs the same in any run.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._told: set[type[Happening]] = set()
        self._pressing: set[type[Happening]] = set()
        self._next_s = 0.0

    def heard(self, line: Line) -> None:
        """Take note of what has happened, once it is known to the rules."""
        for each in line.happened:
            if each.is_telling and type(each) not in self._told:
                self._told.add(type(each))
                self._pressing.add(type(each))

    def due(self, step: int, seconds: float) -> tuple[Rule, ...]:
        """Return the rules to ask after so many steps and seconds of the run."""
        if step in FIRST_JUDGED or (step > FIRST_JUDGED[0] and seconds >= self._next_s):
            self._pressing.clear()
            return self._rules
        if not self._pressing:
            return ()
        pressing, self._pressing = self._pressing, set()
        return tuple(rule for rule in self._rules if _takes(rule, pressing))

    def judged(self, seconds: float, took_s: float) -> None:
        """Take note of what it has cost."""
        self._next_s = seconds + took_s / JUDGING_SHARE


def _takes(rule: Rule, happenings: set[type[Happening]]) -> bool:
    kinds = (need.kind for need in rule.needs.values())
    return any(vars(kind).get("happening") in happenings for kind in kinds)
