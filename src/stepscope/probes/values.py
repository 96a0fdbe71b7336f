"""Values and what they were computed from: the graph that goes on where autograd's ends."""

import weakref
from types import CodeType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stepscope.core import Place
from stepscope.probes.source_lines import place_of

Line = tuple[CodeType, int]  # cheap to keep; a Place is made of it in the end

PARAMETER, INPUT, OPAQUE = "parameter", "input", "opaque"  # operations that torch does not have


Calls = tuple[tuple[int, weakref.ref[nn.Module]], ...]  # each with its number


class Value:
    """One tensor value: the operation that made it, and the values it was made from.

    Values hold their parents and no tensor; the table below holds a tensor's value for as long
    as the tensor lives. What the program drops is therefore dropped here too.
    """

    __slots__ = (
        "arrived", "calls", "code", "constants", "entered", "floating", "grad_enabled", "inputs",
        "is_target", "keywords", "leaf", "line", "lost", "opaque", "operation", "owner", "parents",
        "region", "requires_grad", "serial", "shape", "step", "tensor",
    )  # fmt: skip

    def __init__(self, operation: str, parents: tuple["Value", ...] = ()) -> None:
        self.operation = operation  # "softmax", "__add__", PARAMETER, INPUT, "Function:MyF"
        self.parents = parents  # in the order of the arguments; tensors without a value left out
        self.lost: tuple[Value, ...] = ()  # parents with gradient, where this has none: a cut
        self.requires_grad = False
        self.grad_enabled = True  # was gradient mode on when it was made
        self.floating = True  # False: integers and booleans, through which no derivative passes
        self.opaque = False  # made by code that cannot be followed; parents are a superset or few
        self.leaf = ""  # name of a root's input; a parameter is named through `tensor`
        self.constants: tuple[float, ...] = ()  # Python numbers among the positional arguments
        self.keywords: dict[str, float | str | bool] = {}  # plain keyword arguments
        self.region: Line | None = None  # the line that turned gradients off
        self.code: CodeType | None = None  # the line that made it
        self.line = 0
        self.owner: weakref.ref[nn.Module] | None = None  # innermost module that was running
        self.calls: Calls = ()  # forwards that were running, outermost first
        self.tensor: weakref.ref[Tensor] | None = None  # while it lives
        self.shape: tuple[int, ...] = ()
        self.serial = 0  # order of making
        self.step = 0
        self.inputs = 0  # bits of the inputs of the model that it was computed from
        self.entered = 0  # bits of those that meet a gradient here for the first time
        self.arrived: list[Tensor] = []  # size of each gradient that came to it, where they do
        self.is_target: tuple[Value, ...] = ()  # parents that came in as the target of a loss

    @property
    def place(self) -> Place:
        """The line that made it."""
        return place_of(self.code, self.line) if self.code is not None else Place()

    @property
    def is_parameter(self) -> bool:
        """Whether it is a leaf that can be trained."""
        return self.operation == PARAMETER

    @property
    def is_leaf(self) -> bool:
        """Whether nothing that is followed was before it."""
        return self.operation in (PARAMETER, INPUT)


class Escape(NamedTuple):
    """A value that left torch as Python numbers or as a NumPy array."""

    operation: str  # "item", "numpy"
    value: Value
    number: float | None  # where it became a single number
    line: Line | None
    owner: weakref.ref[nn.Module] | None  # innermost module that was running

    @property
    def in_forward(self) -> bool:
        """Whether some module's forward was running."""
        return self.owner is not None


class _Table:
    """Tensors by identity, held weakly: nothing is written on one that would be saved with it."""

    def __init__(self) -> None:
        self.held: dict[int, tuple[weakref.ref[Tensor], Value]] = {}
        self.escapes: list[Escape] = []  # since the last optimizer step
        self.inputs: list[Value] = []  # likewise


_table = _Table()


def value_of(tensor: Tensor) -> Value | None:
    """Return the value that a tensor carries: what was last computed into this very object."""
    entry = _table.held.get(id(tensor))
    return entry[1] if entry is not None else None


def carries(tensor: Tensor) -> bool:
    """Tell whether a tensor carries a value."""
    return id(tensor) in _table.held


def set_value(tensor: Tensor, value: Value) -> None:
    """Make a tensor carry a value."""
    key = id(tensor)
    held = _table.held
    known = held.get(key)
    if known is None:

        def forget(_: object) -> None:
            held.pop(key, None)

        reference = weakref.ref(tensor, forget)
    else:
        reference = known[0]
    value.tensor = reference
    held[key] = (reference, value)


def escapes() -> list[Escape]:
    """Return the numbers that left torch since the last optimizer step."""
    return _table.escapes


def inputs() -> list[Value]:
    """Return the floating-point inputs of outermost modules since the last optimizer step."""
    return _table.inputs


def forget_values() -> None:
    """Let go of everything."""
    _table.held.clear()
    _table.escapes.clear()
    _table.inputs.clear()


def is_floating(tensor: torch.Tensor) -> bool:
    """Tell whether a derivative can pass through it."""
    return tensor.dtype.is_floating_point or tensor.dtype.is_complex
