"""Takes a total loss apart into its summands and their weights."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from stepscope.probes.loss_graph import VIEWS, is_scalar, number, saved
from stepscope.probes.values import Value, value_of

Edge = tuple[Any, int]  # a node and which of its outputs
Spot = tuple[int, str, int]  # an output of a node of the autograd graph

VALUE_VIEWS = frozenset(
    (
        "to",
        "float",
        "half",
        "double",
        "bfloat16",
        "view",
        "reshape",
        "squeeze",
        "unsqueeze",
        "contiguous",
        "clone",
        "type",
        "type_as",
        "flatten",
        "cpu",
        "cuda",
    )
)
_ADDS = frozenset(
    (
        "add",
        "__add__",
        "__radd__",
        "__iadd__",
        "add_",
        "sub",
        "__sub__",
        "__rsub__",
        "rsub",
        "__isub__",
        "sub_",
    )
)
MULS = frozenset(("mul", "__mul__", "__rmul__", "__imul__", "mul_", "multiply"))
DIVS = frozenset(("div", "__truediv__", "__itruediv__", "div_", "divide", "true_divide"))
_REDUCTIONS = ("SumBackward0", "SumBackward1", "MeanBackward0", "MeanBackward1")
_LISTS = ("StackBackward0", "CatBackward0")
_DEEPEST = 200  # additions in a row, as of a sum over layers


@dataclass(slots=True)
class Part:
    """One summand. `node` is None for a constant, as far as the gradient knows."""

    weight: float | None
    node: Any = None
    output: int = 0
    value: Value | None = None
    constant: float | None = None  # a Python number
    names: list[str] = field(default_factory=list)
    spots: list[Spot] = field(default_factory=list)  # the same number, up to its shape


def spot_of(tensor: Tensor) -> Spot | None:
    """Return where in the graph a tensor stands; None for a leaf."""
    node = tensor.grad_fn
    return None if node is None else spot(node, tensor.output_nr)


def spot(node: Any, output: int) -> Spot:
    """Return what identifies an output of a node."""
    return node._sequence_nr(), node.name(), output


class Decomposition:
    """The parts of one total, and the factor that all of them share."""

    def __init__(
        self,
        root: Tensor,
        name_at: Callable[[Spot], tuple[str, bool] | None],  # name, and whether it is a key
        scaled: Iterable[Spot],
    ) -> None:
        self._name_at = name_at
        self._scaled = set(scaled)  # products with the factor of a GradScaler
        self.scaled_by = 1.0
        self.top: float | None = 1.0  # factor above the first sum
        self.parts = self._under((root.grad_fn, root.output_nr), value_of(root), 1.0, 0, top=True)

    def _under(
        self,
        edge: Edge,
        value: Value | None,
        weight: float | None,
        depth: int,
        *,
        top: bool = False,
    ) -> list[Part]:
        node, output = edge
        names: list[str] = []
        spots: list[Spot] = []
        keyed = False
        while True:
            here = spot(node, output)
            spots.append(here)
            if (found := self._name_at(here)) is not None:
                names.append(found[0])
                keyed |= found[1]
            if node.name() not in VIEWS or not _leads_on(node):
                break
            node, output = node.next_functions[0]
        while value is not None and value.operation in VALUE_VIEWS and value.parents:
            value = value.parents[0]
        whole = Part(weight, node, output, value, None, names, spots)
        if not is_scalar(node, output) or depth > _DEEPEST:
            return [whole]
        parts = self._inside(node, value, weight, top=top, depth=depth + 1)
        if parts is None:
            return [whole]
        if len(parts) == 1 and parts[0].node is not None and parts[0].weight == weight:
            parts[0].names += names
        named_below = any(part.names for part in parts)
        if names and not named_below and (keyed or not top):
            return [whole]
        return parts

    def _inside(
        self, node: Any, value: Value | None, weight: float | None, *, top: bool, depth: int
    ) -> list[Part] | None:
        """Return the parts of a sum, product by a constant or mean; None for anything else."""
        name = node.name()
        if name in ("MulBackward0", "DivBackward0"):
            return self._product(node, value, weight, top=top, depth=depth)
        if name == "NegBackward0":
            below = _parent(value, ("neg", "__neg__"))
            edge = node.next_functions[0]
            return self._under(edge, below, _times(weight, -1), depth, top=top)
        if name in ("AddBackward0", "SubBackward0", "RsubBackward0", "RsubBackward1"):
            return self._sum(node, value, weight, depth)
        if name in _REDUCTIONS:
            return self._reduction(node, value, weight, depth)
        return None

    def _product(
        self, node: Any, value: Value | None, weight: float | None, *, top: bool, depth: int
    ) -> list[Part] | None:
        divides = node.name() == "DivBackward0"
        edges = node.next_functions
        carrying = [index for index, (edge, _) in enumerate(edges) if edge is not None]
        if len(carrying) != 1 or (divides and carrying != [0]):
            return None
        factor = number(saved(node, "self" if carrying == [1] else "other"))
        if factor is None or (divides and not factor):
            return None
        factor = 1 / factor if divides else factor
        if spot(node, 0) in self._scaled:
            self.scaled_by, factor = factor, 1.0
        elif top:
            self.top = _times(self.top, factor)
        below = _with_gradient(value, DIVS if divides else MULS, 1)
        return self._under(edges[carrying[0]], below[0], _times(weight, factor), depth, top=top)

    def _sum(self, node: Any, value: Value | None, weight: float | None, depth: int) -> list[Part]:
        name = node.name()
        alpha = float(getattr(node, "_saved_alpha", 1))
        factors = {"AddBackward0": (1.0, alpha), "SubBackward0": (1.0, -alpha)}.get(
            name, (-alpha, 1.0)
        )
        edges = node.next_functions
        carrying = [index for index, (edge, _) in enumerate(edges) if edge is not None]
        values = _with_gradient(value, _ADDS, len(carrying))
        parts: list[Part] = []
        for index, below in zip(carrying, values, strict=True):
            parts += self._under(edges[index], below, _times(weight, factors[index]), depth)
        parts += self._constants(value, weight, factors, carrying)
        return parts

    def _constants(
        self,
        value: Value | None,
        weight: float | None,
        factors: tuple[float, float],
        carrying: list[int],
    ) -> list[Part]:
        """Return what a sum adds without gradient, where the tracer saw it."""
        if value is None or value.operation not in _ADDS or len(carrying) > 1:
            return []
        factor = _times(weight, factors[1 - carrying[0]] if carrying else 1.0)
        plain = [each for each in value.parents if not each.requires_grad]
        parts = [Part(factor, value=each) for each in plain]
        if not plain and value.constants and value.constants[0]:
            parts.append(Part(factor, value=value, constant=value.constants[0]))
        return parts

    def _reduction(
        self, node: Any, value: Value | None, weight: float | None, depth: int
    ) -> list[Part] | None:
        (below, output) = node.next_functions[0]
        inner = _parent(value, ("sum", "mean"))
        if is_scalar(below, output):
            return self._under((below, output), inner, weight, depth)
        if below.name() not in _LISTS:
            return None
        edges = below.next_functions
        if any(edge is not None and not is_scalar(edge, nr) for edge, nr in edges):
            return None
        each = _times(weight, 1 / len(edges) if node.name().startswith("Mean") else 1.0)
        known = inner is not None and len(inner.parents) == len(edges)
        parts: list[Part] = []
        for index, (edge, nr) in enumerate(edges):
            part = inner.parents[index] if inner is not None and known else None
            if edge is not None:
                parts += self._under((edge, nr), part, each, depth)
            elif part is not None:
                parts.append(Part(each, value=part))
        return parts


def _leads_on(node: Any) -> bool:
    below, output = node.next_functions[0]
    return below is not None and is_scalar(below, output)


def _times(weight: float | None, factor: float | None) -> float | None:
    return None if weight is None or factor is None else weight * factor


def _parent(value: Value | None, operations: tuple[str, ...]) -> Value | None:
    if value is None or value.operation not in operations or not value.parents:
        return None
    return value.parents[0]


def _with_gradient(
    value: Value | None, operations: frozenset[str], count: int
) -> list[Value | None]:
    """Return the values of the operands that carry gradient, in order, where all are known."""
    if value is not None and value.operation in operations:
        carrying = [each for each in value.parents if each.requires_grad]
        if len(carrying) == count:
            return list(carrying)
    return [None] * count
