"""What the normalisation layers were given."""

from typing import ClassVar

import msgspec

from stepscope.core import Evidence, Place


class NormalisationCall(msgspec.Struct, frozen=True, kw_only=True):
    """The calls of one normalisation layer in the recorded steps."""

    module: str
    kind: str  # "BatchNorm1d", "GroupNorm"
    training: bool
    fewest_values: int  # values one statistic was computed from, at the least; 0: it computed none
    most_values: int = 0  # and at the most
    raised: bool  # the smallest call raised
    calls: int
    at: Place = Place()


class NormalisationCalls(Evidence, frozen=True, kw_only=True):
    """Batch, instance, group and layer normalisation in the recorded steps."""

    obtained_by: ClassVar[str] = "a normalisation layer in the model"
    calls: tuple[NormalisationCall, ...]
