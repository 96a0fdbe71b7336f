"""What a run is to have reached by when, as people write it: `epoch 5: acc > 0.2`."""

import re
from dataclasses import dataclass

SHAPE = "'epoch 5: acc > 0.2' or 'step 50: loss < 0.7 of chance'"
_WHEN = re.compile(r"(epoch|step)\s+(\d+)")
_WHAT = re.compile(
    r"(?P<name>[^<>=]*[^<>=\s])\s*(?P<sign><=|>=|<|>)\s*"
    r"(?P<bound>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?P<chance>\s+of\s+chance)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Milestone:
    """A bound that a number is to keep when it falls due."""

    text: str
    unit: str  # "epoch", "step"
    after: int  # so many epochs, or optimizer steps, are over; from 1
    name: str  # of the number, as the program logs it or the model hands it out
    sign: str  # "<", "<=", ">", ">="
    bound: float
    of_chance: bool  # the bound is in units of ln N, the cross-entropy of N equal probabilities

    @property
    def when(self) -> str:
        """When it falls due: "epoch 5"."""
        return f"{self.unit} {self.after}"

    def holds(self, value: float) -> bool:
        """Tell whether a value, in the unit of the bound, keeps it; nan does not."""
        if self.sign[0] == "<":
            return value < self.bound or (value == self.bound and len(self.sign) > 1)
        return value > self.bound or (value == self.bound and len(self.sign) > 1)


def parsed(text: str) -> Milestone:
    """Read one.

    Raises:
        ValueError: it is written otherwise; the message names the part.
    """
    when, colon, what = (part.strip() for part in text.partition(":"))
    moment = _WHEN.fullmatch(when)
    if not colon or moment is None:
        raise ValueError(
            f"{text!r} begins with no moment; expected 'epoch N:' or 'step N:', as in {SHAPE}"
        )
    if not int(moment[2]):
        raise ValueError(f"{text!r} falls due before the first {moment[1]}; count from 1")
    bound = _WHAT.fullmatch(what)
    if bound is None:
        raise ValueError(
            f"{text!r} has no bound after the colon; expected a name, one of < <= > >=, and a "
            f"number, as in {SHAPE}"
        )
    return Milestone(
        text=text,
        unit=moment[1],
        after=int(moment[2]),
        name=bound["name"].strip(),
        sign=bound["sign"],
        bound=float(bound["bound"]),
        of_chance=bound["chance"] is not None,
    )
