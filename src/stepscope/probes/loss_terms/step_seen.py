"""What one step has shown of its losses, and what it says of the parts of a total."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from stepscope.core import Place
from stepscope.probes.loss_terms.constants import escaped_as, feeders, unscaled
from stepscope.probes.loss_terms.decomposition import Part, Spot, spot_of
from stepscope.probes.loss_terms.joining import Dangling, Seen


@dataclass(frozen=True, slots=True)
class Setting:
    """The total whose parts are described."""

    total: Place  # the line that began its backward
    trainable: set[int]  # identities of the optimizers' parameters
    alive: set[int]  # identities of the values of the parts with gradient
    name_of: Callable[[Tensor], str]  # of a parameter


@dataclass(slots=True)
class Name:
    """What the program calls a number."""

    name: str
    keyed: bool  # a key or an attribute, not a variable


@dataclass(slots=True)
class StepSeen:
    """What one step has shown so far."""

    names: dict[Spot, Name] = field(default_factory=dict)
    constants: dict[int, Name] = field(default_factory=dict)  # by id of a value, kept alive below
    kept: list[Any] = field(default_factory=list)
    numbers: dict[Spot, Tensor] = field(default_factory=dict)
    functions: dict[Spot, tuple[str, Place]] = field(default_factory=dict)
    scaled: set[Spot] = field(default_factory=set)
    handed_out: dict[Spot, Dangling] = field(default_factory=dict)
    backwards: list[tuple[list[Seen], float | None]] = field(default_factory=list)
    foreign: bool = False  # hooks or saved-tensor hooks: no extra backward

    def describe(self, part: Part, setting: Setting) -> Seen | None:
        """Return what is known of a part; None for a constant that means nothing."""
        if part.node is not None:
            function, at = next(
                (self.functions[s] for s in part.spots if s in self.functions), ("", Place())
            )
            number = next((self.numbers[s] for s in part.spots if s in self.numbers), None)
            if part.value is not None:
                at = at if at.line else part.value.place
                function = function or part.value.operation.strip("_")
                if (
                    number is None
                    and part.value.tensor
                    and (tensor := part.value.tensor()) is not None
                ):
                    number = tensor.detach().clone()
            function = (
                function or part.node.name().rstrip("0123456789").removesuffix("Backward").lower()
            )
            name = part.names[0] if part.names else function
            return Seen(
                name,
                bool(part.names),
                part.weight,
                number,
                differentiable=True,
                at=at,
                total=setting.total,
            )
        return self._constant(part, setting)

    def _constant(self, part: Part, setting: Setting) -> Seen | None:
        value, weight, at, factor = part.value, part.weight, Place(), 1.0
        assert value is not None
        number = None
        if part.constant is not None:
            at = value.place
            escape = escaped_as(part.constant)
            if escape is None or weight is None or escape.number is None:
                return None
            weight *= part.constant / escape.number
            value, number = escape.value, torch.tensor(escape.number)
        else:
            value, factor = unscaled(value)
        if id(value) in setting.alive:
            return None  # `x - x.detach()`: the term has its gradient beside it
        named = self.constants.get(id(value))
        if value.tensor and (tensor := value.tensor()) is not None and tensor.numel() == 1:
            number = tensor.detach().clone() if number is None else number
            here = spot_of(tensor)
            named = named or (None if here is None else self.names.get(here))
        fed_by = feeders(value, setting.trainable)
        if named is None and not fed_by:
            return None
        return Seen(
            name=named.name if named is not None else value.operation.strip("_"),
            named=named is not None,
            weight=None if weight is None else weight * factor,
            number=number,
            differentiable=False,
            at=at if at.line else value.place,
            total=setting.total,
            feeds_from=tuple(setting.name_of(parameter) for parameter in fed_by),
        )
