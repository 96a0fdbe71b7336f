"""Calls of an evaluated model that differ in nothing but a selector."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class CallsCompared(Happening, frozen=True, kw_only=True):
    """In one evaluation a model was given the same tensors twice, and two values of a selector.

    That is an argument that is no tensor, or a word or a truth that the model holds. `at` is the
    line that evaluates. A pair of values is told of once in an evaluation, and four times in a run.
    """

    module: str  # qualified name; "" is the root
    kind: str  # class name
    selector: str  # "pattern"; "argument 1"; several: "a, b"
    values: tuple[str, str]
    tensors: int  # in the result
    same: bool  # all their fingerprints are equal
    evaluated: int  # optimizer steps taken before


class ComparedCalls(Evidence, frozen=True, kw_only=True):
    """All such pairs of calls."""

    obtained_by: ClassVar[str] = "an evaluation that calls a model with two values of a selector"
    happening: ClassVar[type[Happening]] = CallsCompared
    seen: tuple[tuple[int, CallsCompared], ...]
    count: int
