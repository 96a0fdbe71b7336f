"""How far a run has come."""

from typing import ClassVar

from stepscope.core import Evidence


class Progress(Evidence, frozen=True, kw_only=True):
    """Where in the run this is."""

    obtained_by: ClassVar[str] = "a run that is watched (`stepscope run`)"
    first: int  # step at which the watching began
    step: int  # optimizer steps taken so far
    sampled: int  # steps of which numbers are known
    seconds: float  # since the run began
