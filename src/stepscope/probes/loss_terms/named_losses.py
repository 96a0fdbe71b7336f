"""What a program calls its losses: keys of dictionaries, attributes, variables."""

import dataclasses
import re
import sys
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

from torch import Tensor, nn

from stepscope.probes.source_lines import LIBRARY, PROGRAM, forget_variables, kind_of

Named = tuple[str, Tensor]

_TOTAL = re.compile(
    r"_*((the|closure|running|step|batch|scaled)_)?((total|full|overall|final|sum|all|combined)_?)?"
    r"(loss(es)?|objective|total)?(_?(total|sum|all))?\d*",
    re.IGNORECASE,
)
_FRAMES = 8  # of the program and its libraries, around the call of backward
_ENTRIES = 64  # of one dictionary


def is_total(name: str) -> bool:
    """Tell a name for a sum of losses, or for any loss, from one that means something."""
    return _TOTAL.fullmatch(name.rpartition(".")[2]) is not None


def in_output(output: Any) -> Iterator[Named]:
    """Yield the scalars that a forward handed out under a name."""
    if isinstance(output, Mapping):
        yield from _in_mapping(output)
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        # not vars(): a dataclass with slots has no __dict__
        yield from _in_mapping(
            {each.name: getattr(output, each.name, None) for each in dataclasses.fields(output)}
        )
    elif isinstance(output, tuple | list):
        for each in output[:4]:
            if isinstance(each, Mapping):
                yield from _in_mapping(each)


def in_attributes(module: nn.Module) -> Iterator[Named]:
    """Yield the scalars a module keeps as attributes that are called a loss."""
    for name, value in module.__dict__.items():
        if "loss" in name and is_loss(value):
            yield name, value


def in_callers() -> Iterator[tuple[Named, bool]]:
    """Yield scalars that the calling functions hold, and whether a key or attribute names them.

    Variables count in the program's own functions only.
    """
    frame: FrameType | None = sys._getframe(1)
    left = _FRAMES
    while frame is not None and left:
        kind = kind_of(frame.f_code)
        if kind >= LIBRARY:
            left -= 1
            yield from _in_frame(frame, variables=kind >= PROGRAM)
        frame = frame.f_back


def _in_frame(frame: FrameType, *, variables: bool) -> Iterator[tuple[Named, bool]]:
    held = frame.f_locals
    for name, value in list(held.items()):
        if is_loss(value):
            if variables:
                yield (name, value), False
        elif isinstance(value, Mapping) and not name.startswith("__"):
            yield from ((named, True) for named in _in_mapping(value))
        elif name == "self" and hasattr(value, "__dict__"):
            yield from ((named, True) for named in _in_mapping(vars(value)) if "loss" in named[0])
    forget_variables(frame, held)


def _in_mapping(mapping: Mapping[Any, Any]) -> Iterator[Named]:
    for name, value in list(mapping.items())[:_ENTRIES]:
        if not isinstance(name, str):
            continue
        if is_loss(value):
            yield name, value
        elif type(value) is dict:
            yield from (
                (key, each) for key, each in value.items() if isinstance(key, str) and is_loss(each)
            )


def is_loss(value: Any) -> bool:
    """Tell whether this could be a loss: one floating-point number that is no parameter."""
    return (
        isinstance(value, Tensor)
        and not isinstance(value, nn.Parameter)
        and value.numel() == 1
        and value.is_floating_point()
        and not value.is_meta
        and (value.grad_fn is not None or (value.dim() == 0 and not value.requires_grad))
    )
