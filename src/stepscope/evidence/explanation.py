"""What a configuration of another framework will really do to the parts of a model."""

import enum

import msgspec

from stepscope.core import Place


class Effect(enum.Enum):
    """What happens to a part, or to a key that was meant for one."""

    FROZEN = "frozen"  # requires no gradient
    PSEUDO = "lr 0, not frozen"
    REVIVED = "lifted from lr 0"
    TUNED = "tuned"
    UNMATCHED = "matches nothing"
    WIDE = "matches more"  # than its name says
    REFUSED = "not an argument"  # the class will not take it
    OVERWRITTEN = "overwritten"
    UNREAD = "not read"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence on one part or key."""

    effect: Effect
    what: str  # the key or the path in the configuration: "model.img_backbone"
    sentence: str
    lr: float | None = None  # in effect at the start
    parameters: int | None = None  # that it decides on; None without the model
    elements: int | None = None
    at: Place = Place()


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was found, and the plan that would do what seems to be meant."""

    path: str
    lr: float | None  # base rate of the optimizer
    said: tuple[Said, ...]
    frozen: tuple[str, ...] = ()  # of the plan
    tuned: dict[str, float] = {}
