"""What a rule says: one sentence about one subject, with the measurement that proves it."""

import enum

import msgspec

from stepscope.core.place import Place


class Severity(enum.Enum):
    """How much a finding should weigh on the decision to go on training."""

    ERROR = "error"  # proved: the run does not do what it was started for
    WARNING = "warning"  # a threshold or a resemblance: very likely not what was meant
    NOTE = "note"  # worth knowing; nothing need change


class Related(msgspec.Struct, frozen=True):
    """A second place that belongs to the finding, and what happens there."""

    label: str  # "enters the loss again"
    at: Place


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong. The report adds the rule's code, name and severity."""

    subject: str  # what it is about: "backbone (159 of 161 parameters)"
    message: str  # a sentence that claims no more than `measured` shows
    measured: str  # the evidence, with units, as it was read
    expected: str  # what a run without this defect would show
    at: Place = Place()
    related: tuple[Related, ...] = ()
    severity: Severity | None = None  # where this one weighs differently from its rule
