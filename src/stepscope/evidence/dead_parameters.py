"""Sums up all parameters that one line cuts off, wherever in the model they are."""

from collections.abc import Iterable
from dataclasses import dataclass

from stepscope.core import Place
from stepscope.evidence.subtrees import subtrees

_NAMED = 3  # parts of the model in one subject


@dataclass(frozen=True, slots=True)
class CutOff:
    """The parameters behind one line."""

    subject: str  # "sdtps.0.score_predictor, sdtps.1.score_predictor, ... (12 parameters)"
    count: int
    at: Place  # the line, with the first of these parts


def cut_off(names: Iterable[str], among: Iterable[str], line: Place) -> CutOff:
    """Sum up the parameters of these names, one at least, that a line cuts off.

    `among` holds the qualified names of all parameters.
    """
    chosen = tuple(dict.fromkeys(names))
    trees = subtrees(chosen, among)
    first = trees[0]
    subject = first.subject
    if len(trees) > 1:
        labels = [tree.label for tree in trees[:_NAMED]] + ["..."] * (len(trees) > _NAMED)
        subject = f"{', '.join(labels)} ({len(chosen)} parameters)"
    at = Place(
        parameter=first.place.parameter,
        module=first.place.module,
        file=line.file,
        line=line.line,
        function=line.function,
    )
    return CutOff(subject, len(chosen), at)
